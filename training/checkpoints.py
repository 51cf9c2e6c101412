"""Everything a run needs to go on where it stopped, in one file written at once or not at all."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import torch

from stt_server.errors import BadInput, NotFound

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(slots=True)
class Progress:
    """Where a run is: `batch` batches of `epoch` are done, `seconds` of training time are spent."""

    step: int = 0
    epoch: int = 0
    batch: int = 0
    seconds: float = 0.0
    best: float = float("inf")
    history: list[dict[str, Any]] = field(default_factory=list)


@dataclass(slots=True)
class Checkpoint:
    model: dict[str, Any]
    averaged: dict[str, Any]
    optimizer: dict[str, Any]
    progress: Progress
    shape: dict[str, Any]
    letters: str


def save(checkpoint: Checkpoint, path: Path) -> None:
    """Write beside `path`, then rename: a crash leaves the checkpoint before."""
    part = path.with_suffix(".part")
    content = {name: getattr(checkpoint, name) for name in ("model", "averaged", "optimizer", "shape", "letters")}
    torch.save(content | {"progress": asdict(checkpoint.progress)}, part)
    part.replace(path)


def load(path: Path) -> Checkpoint:
    """Read a checkpoint. Raises NotFound, or BadInput for a file that is none."""
    if not path.is_file():
        raise NotFound(f"there is no checkpoint {path}; start the run without --resume")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        return Checkpoint(**{**content, "progress": Progress(**content["progress"])})
    except (RuntimeError, KeyError, TypeError, EOFError) as error:
        raise BadInput(f"{path} is not a checkpoint of this version: {error}") from error
