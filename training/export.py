"""From a trained model to ONNX graphs in two precisions, proven equal to torch.

Weights are rounded to float16 before anything is measured and stored so, behind Cast nodes that onnxruntime folds away
when it loads: the graph computes in float32 at half the bytes on disk. int8 means the feed-forward matrices only
(`quantize_dynamic` on MatMul and Gemm); convolutions in int8 run slower than in float32.
"""

from __future__ import annotations

import copy
import logging
import warnings
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import onnx
import onnxscript  # noqa: F401  (torch's exporter needs it, and asks for it only when hours of training are over)
import torch
from onnxruntime.quantization import QuantType, quantize_dynamic

from stt_server.errors import Internal
from stt_server.speech.acoustic import AcousticModel
from training.streaming import SUBSAMPLING, StreamingModel

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

AnyModel = TypeVar("AnyModel", bound=StreamingModel)
STEP_FRAMES = 16
PARITY = 1e-3  # of any log-probability of the fp32 graph
MOVED = 0.05  # of the probability of a frame, on average, that int8 gives to other labels; 0.001 was measured
SMALLEST_STORED_SHORT = 256
TOLD = ("doc_string", "metadata_props")
EXPORT_TIMEOUT_S = 900.0  # ten million parameters take a quarter of a minute


def rounded(model: AnyModel) -> AnyModel:
    """A copy whose weights are float16 numbers, in float32: what the bundle stores and every figure is measured on."""
    model = copy.deepcopy(model).eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.copy_(weight.half().float())
    return model


def export_onnx(model: StreamingModel, fp32: Path, int8: Path) -> None:
    """Write both graphs. `model` should be `rounded`."""
    plain = fp32.with_suffix(".plain.onnx")
    # A process of its own: torch 2.13 traces a GRU wrongly the second time it exports in a process.
    with ProcessPoolExecutor(1, get_context("spawn")) as process:
        process.submit(_write_graph, model, plain).result(EXPORT_TIMEOUT_S)
    with _silenced():
        quantize_dynamic(plain, int8, weight_type=QuantType.QInt8, op_types_to_quantize=["MatMul", "Gemm"])
    for written, kept in ((plain, fp32), (int8, int8)):
        graph = stored_short(onnx.load(written))
        strip(graph)
        onnx.save(graph, kept)
    plain.unlink()


def _write_graph(model: StreamingModel, path: Path) -> None:
    with _silenced():
        _program(model).save(str(path), external_data=False)


def _program(model: StreamingModel) -> torch.onnx.ONNXProgram:
    """The model's graph; batch and number of frames stay open."""
    batch, steps = torch.export.Dim("batch", min=1, max=512), torch.export.Dim("steps", min=1, max=4096)
    # An example batch of one would be frozen into the graph without a word.
    example = (torch.randn(2, STEP_FRAMES, model.shape.n_mels), *model.initial(2))
    program = torch.onnx.export(
        model,
        example,
        dynamo=True,
        dynamic_shapes=({0: batch, 1: SUBSAMPLING * steps}, *({0: batch} for _ in model.state_names)),
        input_names=["features", *model.state_names],
        output_names=["logprobs", *(f"{name}_next" for name in model.state_names)],
        verbose=False,
    )
    if program is None:
        raise Internal("torch exported nothing")
    return program


@contextmanager
def _silenced() -> Iterator[None]:
    """The exporter and the quantiser give advice to their authors; only errors are for a person who trains."""
    loggers = [logging.getLogger(name) for name in ("", "torch.onnx", "onnxscript")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


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


def strip(part: Any) -> None:
    """Take out of a graph what is told beside the numbers: of every node where on this machine its line of Python was.

    Nothing of that is needed to run the graph.
    """
    for field, value in part.ListFields():
        if field.name in TOLD:
            part.ClearField(field.name)
        elif field.message_type:
            for inner in value if isinstance(value, Sequence) else (value,):
                strip(inner)


def _is_half(values: Floats) -> bool:
    with np.errstate(over="ignore"):
        return bool(np.array_equal(values.astype(np.float16).astype(np.float32), values))


def check_parity(model: StreamingModel, graph: Path, features: Floats, silence: float) -> float:
    """`parity`, refusing an export that computes something else than was trained."""
    worst = parity(model, graph, features, silence)
    if not worst <= PARITY:
        raise Internal(f"{graph.name} differs from the trained model by {worst:.2g} in log-probability, over {PARITY}")
    return worst


def check_int8(model: StreamingModel, graph: Path, features: Floats, silence: float) -> float:
    """The share of probability that the quantised graph gives to other labels, on average; refuses a large one."""
    whole, stepped = both_ways(model, AcousticModel.load(graph), features, silence)
    moved = float(np.abs(np.exp(stepped) - np.exp(whole)).sum(-1).mean() / 2)
    if not moved <= MOVED:
        raise Internal(f"{graph.name} gives {moved:.1%} of the probability to other labels, over {MOVED:.0%}")
    return moved


def parity(model: StreamingModel, graph: Path, features: Floats, silence: float) -> float:
    """Largest difference of log-probabilities between torch on the whole and ONNX in steps; features (B, T, mels)."""
    whole, stepped = both_ways(model, AcousticModel.load(graph), features, silence)
    return float(np.abs(stepped - whole).max())


@torch.no_grad()
def both_ways(model: StreamingModel, served: AcousticModel, features: Floats, silence: float) -> tuple[Floats, Floats]:
    """Log-probabilities (B, T / 4, labels) by torch on the whole and by onnxruntime step by step, as it serves."""
    lag = model.shape.lag_frames
    whole: Floats = model.whole(torch.from_numpy(features), silence).numpy()
    needed = features.shape[1] + SUBSAMPLING * lag
    behind = SUBSAMPLING * lag + -needed % STEP_FRAMES
    padded = np.pad(features, ((0, 0), (0, behind), (0, 0)), constant_values=silence)
    states = [served.initial() for _ in features]
    outputs = []
    for start in range(0, padded.shape[1], STEP_FRAMES):
        step, states = served.step(padded[:, start : start + STEP_FRAMES], states)
        outputs.append(step)
    return whole, np.concatenate(outputs, 1)[:, lag : lag + whole.shape[1]]
