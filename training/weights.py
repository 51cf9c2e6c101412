"""A bundle's graph read back into torch: the way for those who have the bundle and not its checkpoint.

torch's exporter keeps the names of parameters but for three kinds, which are found by what they are connected to: the
matrix of a Linear stands transposed beside its bias, a recurrent layer's biases are one constant with its gates in
ONNX's order, and what the exporter could compute beforehand may stand behind Casts, Slices and Concats. Whether all of
it was put back in its place is for the caller to prove, by running both (`export.parity`).

The weights of a bundle were rounded to float16, so a model that is read back is the one that was measured.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import torch
from onnx.reference import ReferenceEvaluator
from torch import nn

from stt_server.errors import BadBundle
from training.architectures import ARCHITECTURES, build

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from stt_server.speech.bundle import Manifest
    from training.streaming import StreamingModel

    Values = NDArray[Any]

ONNX_GATES = {"GRU": "zrh", "LSTM": "iofc"}
TORCH_GATES = {"GRU": "rzh", "LSTM": "ifco"}


def restore(path: Path, manifest: Manifest) -> StreamingModel:
    """The model of a bundle's fp32 graph, without dropout.

    Raises BadBundle where its architecture is not known here or a parameter cannot be found in the graph.
    """
    graph = Graph(onnx.load(path).graph)
    model = build({**sizes(graph, manifest), "dropout": 0.0})
    with torch.no_grad():
        for name, tensor in model.state_dict(keep_vars=True).items():
            tensor.copy_(_fitting(name, graph.parameter(model, name), tuple(tensor.shape)))
    return model.eval()


def sizes(graph: Graph, manifest: Manifest) -> dict[str, Any]:
    """Architecture and sizes: those its lineage tells, else read off the states and the graph. Raises BadBundle."""
    told = manifest.lineage.get("model")
    if isinstance(told, dict):
        return told
    names = tuple(manifest.states)
    for architecture, (kind, _) in ARCHITECTURES.items():
        if names == kind.state_names:
            common = {
                "architecture": architecture,
                "n_mels": manifest.features.n_mels,
                "labels": len(manifest.alphabet),
            }
            return common | (_conv_sizes if architecture == "conv" else _deepspeech_sizes)(graph, manifest.states)
    told = f"no architecture of this version has the states {', '.join(names)}; start from another model"
    raise BadBundle(f"{manifest.name}: {told}", field="states")


def _conv_sizes(graph: Graph, states: dict[str, tuple[int, ...]]) -> dict[str, Any]:
    depth, past, width = states["blocks"]
    hidden = len(graph.constant("blocks.0.gate.bias")) // 2
    right = tuple(past - graph.residual_start(f"blocks.{block}.back.bias") for block in range(depth))
    channels = states["conv"][0]
    return {
        "width": width, "depth": depth, "kernel": past + 1, "channels": channels,
        "expansion": hidden / width, "right": right,
    }  # fmt: skip


def _deepspeech_sizes(_graph: Graph, states: dict[str, tuple[int, ...]]) -> dict[str, Any]:
    return {"width": states["hidden"][0], "context": states["window"][-1] // 2}


class Graph:
    """Constants of a graph by name, computed where the graph computes them from other constants."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self._values: dict[str, Values] = {t.name: onnx.numpy_helper.to_array(t) for t in graph.initializer}
        self._nodes: list[onnx.NodeProto] = list(graph.node)
        self._made_by = {output: node for node in graph.node for output in node.output}

    def constant(self, name: str) -> Values:
        """Raises BadBundle for what the graph does not hold or computes from its inputs."""
        if name not in self._values:
            node = self._made_by.get(name)
            if node is None:
                raise BadBundle(f"the graph has no weights called {name!r}; start from a checkpoint", field="models")
            inputs = {each: self.constant(each) for each in node.input if each}
            outputs: Any = ReferenceEvaluator(node).run(None, inputs)
            self._values.update(zip(node.output, outputs, strict=True))
        return self._values[name]

    def parameter(self, model: StreamingModel, name: str) -> Values:
        """The values of a parameter or buffer of `model`. Raises BadBundle."""
        parent, _, last = name.rpartition(".")
        module = model.get_submodule(parent)
        if isinstance(module, nn.GRU | nn.LSTM):
            return self._recurrent(type(module).__name__, last)
        if isinstance(module, nn.Linear) and last == "weight":
            return self.constant(self._matrix_beside(f"{parent}.bias")).T
        return self.constant(name)

    def residual_start(self, bias: str) -> int:
        """Where the slice of the past begins that is added to the Linear with this bias."""
        linear = self._with_input("Add", bias).output[0]
        added = next(each for each in self._with_input("Add", linear).input if each != linear)
        return int(self.constant(self._made_by[added].input[1]).item())

    def _matrix_beside(self, bias: str) -> str:
        added = self._with_input("Add", bias)
        product = next(each for each in added.input if each != bias)
        node = self._made_by.get(product)
        if node is None or node.op_type != "MatMul":
            raise BadBundle(f"the graph has no matrix beside {bias!r}; start from a checkpoint", field="models")
        return str(node.input[1])

    def _with_input(self, kind: str, name: str) -> onnx.NodeProto:
        node = next((node for node in self._nodes if node.op_type == kind and name in node.input), None)
        if node is None:
            raise BadBundle(f"the graph has no {kind} of {name!r}; start from a checkpoint", field="models")
        return node

    def _recurrent(self, kind: str, name: str) -> Values:
        """`weight_ih_l0` and the like, from the inputs W, R and B of the one recurrent node."""
        node = next((node for node in self._nodes if node.op_type == kind), None)
        if node is None:
            raise BadBundle(f"the graph has no {kind}; start from a checkpoint", field="models")
        place = {"weight_ih_l0": 1, "weight_hh_l0": 2, "bias_ih_l0": 3, "bias_hh_l0": 3}[name]
        values = self.constant(node.input[place])[0]
        if place == 3:
            values = np.split(values, 2)["hh" in name]
        gates = dict(zip(ONNX_GATES[kind], np.split(values, len(ONNX_GATES[kind])), strict=True))
        return np.concatenate([gates[gate] for gate in TORCH_GATES[kind]])


def _fitting(name: str, values: Values, shape: tuple[int, ...]) -> torch.Tensor:
    if values.shape != shape:
        told = f"{name} has the shape {list(values.shape)} in the graph, and the model needs {list(shape)}"
        raise BadBundle(f"{told}; start from a checkpoint", field="models")
    return torch.from_numpy(np.array(values, np.float32))
