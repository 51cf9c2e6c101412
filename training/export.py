"""From a trained model to a bundle: ONNX in two precisions, proven equal to torch, with all a server must know.

Weights are rounded to float16 before anything is measured and stored so, behind Cast nodes that onnxruntime folds away
when it loads: the graph computes in float32 at half the bytes on disk. int8 means the feed-forward matrices only
(`quantize_dynamic` on MatMul and Gemm); convolutions in int8 run slower than in float32.
"""

from __future__ import annotations

import copy
import logging
import warnings
from typing import TYPE_CHECKING

import numpy as np
import onnx
import torch
from onnxruntime.quantization import QuantType, quantize_dynamic

from stt_server.errors import Internal
from stt_server.speech.acoustic import AcousticModel
from training.model import SUBSAMPLING, ConvModel

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

STEP_FRAMES = 16
PARITY = 1e-3
SMALLEST_STORED_SHORT = 256


def rounded(model: ConvModel) -> ConvModel:
    """A copy whose weights are float16 numbers, in float32: what the bundle stores and every figure is measured on."""
    model = copy.deepcopy(model).eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.copy_(weight.half().float())
    return model


def export_onnx(model: ConvModel, fp32: Path, int8: Path) -> None:
    """Write both graphs. `model` should be `rounded`."""
    names = ["features", *model.state_names]
    batch, steps = torch.export.Dim("batch", min=1, max=512), torch.export.Dim("steps", min=1, max=4096)
    # An example batch of one would be frozen into the graph without a word.
    example = (torch.randn(2, STEP_FRAMES, model.shape.n_mels), *model.initial(2))
    shapes = ({0: batch, 1: SUBSAMPLING * steps}, *({0: batch} for _ in model.state_names))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        program = torch.onnx.export(
            model,
            example,
            dynamo=True,
            dynamic_shapes=shapes,
            input_names=names,
            output_names=["logprobs", *(f"{name}_next" for name in model.state_names)],
            verbose=False,
        )
    if program is None:
        raise Internal("torch exported nothing")
    plain = fp32.with_suffix(".plain.onnx")
    program.save(str(plain), external_data=False)
    quantize_dynamic(plain, int8, weight_type=QuantType.QInt8, op_types_to_quantize=["MatMul", "Gemm"])
    onnx.save(stored_short(onnx.load(plain)), fp32)
    onnx.save(stored_short(onnx.load(int8)), int8)
    plain.unlink()


def stored_short(graph: onnx.ModelProto) -> onnx.ModelProto:
    """Large float32 constants kept as float16 behind a Cast. Exact where the weights were rounded before."""
    casts, kept = [], []
    for tensor in graph.graph.initializer:
        values = onnx.numpy_helper.to_array(tensor)
        if values.dtype != np.float32 or values.size < SMALLEST_STORED_SHORT or not _is_half(values):
            kept.append(tensor)
            continue
        kept.append(onnx.numpy_helper.from_array(values.astype(np.float16), f"{tensor.name}.half"))
        casts.append(onnx.helper.make_node("Cast", [f"{tensor.name}.half"], [tensor.name], to=onnx.TensorProto.FLOAT))
    del graph.graph.initializer[:]
    graph.graph.initializer.extend(kept)
    nodes = [*casts, *graph.graph.node]
    del graph.graph.node[:]
    graph.graph.node.extend(nodes)
    return graph


def _is_half(values: Floats) -> bool:
    with np.errstate(over="ignore"):
        return bool(np.array_equal(values.astype(np.float16).astype(np.float32), values))


@torch.no_grad()
def parity(model: ConvModel, graph: Path, features: Floats, silence: float) -> float:
    """Largest difference of log-probabilities between torch on the whole and ONNX in steps; features (B, T, mels)."""
    lag = model.shape.lag_frames
    whole = model.whole(torch.from_numpy(features), silence).numpy()
    frames = features.shape[1] + SUBSAMPLING * lag
    padded = np.pad(features, ((0, 0), (0, -frames % STEP_FRAMES + SUBSAMPLING * lag), (0, 0)), constant_values=silence)
    onnx_model = AcousticModel.load(graph)
    states = [onnx_model.initial() for _ in features]
    outputs = []
    for start in range(0, padded.shape[1], STEP_FRAMES):
        step, states = onnx_model.step(padded[:, start : start + STEP_FRAMES], states)
        outputs.append(step)
    return float(np.abs(np.concatenate(outputs, 1)[:, lag : lag + whole.shape[1]] - whole).max())


def check_parity(model: ConvModel, graph: Path, features: Floats, silence: float) -> float:
    """`parity`, refusing an export that computes something else than was trained."""
    worst = parity(model, graph, features, silence)
    if not worst <= PARITY:
        raise Internal(f"{graph.name} differs from the trained model by {worst:.2g} in log-probability, over {PARITY}")
    return worst
