"""Models as they are exported, for the tests that read their graphs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
import torch

from training.architectures import build
from training.export import export_onnx, rounded

if TYPE_CHECKING:
    from pathlib import Path

    from training.streaming import StreamingModel


@dataclass(frozen=True)
class Exported:
    """A rounded model and both of its graphs."""

    model: StreamingModel
    fp32: Path
    int8: Path


def export(model: StreamingModel, folder: Path) -> Exported:
    """As decided in what it writes as a trained model is."""
    model.set_normalisation([-6.0] * 80, [3.0] * 80)
    with torch.no_grad():
        model.out.weight.mul_(8)
    model = rounded(model)
    export_onnx(model, folder / "model.fp32.onnx", folder / "model.int8.onnx")
    return Exported(model, folder / "model.fp32.onnx", folder / "model.int8.onnx")


@pytest.fixture(scope="session")
def deepspeech(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """Of drawn weights. For all tests one: torch's exporter takes ten seconds."""
    torch.manual_seed(1)
    described = {"architecture": "deepspeech", "width": 48, "context": 3}
    return export(build(described), tmp_path_factory.mktemp("deepspeech"))
