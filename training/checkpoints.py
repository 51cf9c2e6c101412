"""Everything a run needs to go on where it stopped, in one file written at once or not at all."""

from __future__ import annotations

import pickle
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any

import torch

from stt_server.errors import BadInput, NotFound

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(slots=True)
class Progress:
    """Where a run is: `batch` batches of `epoch` are done, `seconds` of training time are spent.

    `history` holds the word error rates of every validation.
    """

    step: int = 0
    epoch: int = 0
    batch: int = 0
    seconds: float = 0.0
    history: list[dict[str, Any]] = field(default_factory=list)


@dataclass(slots=True)
class Checkpoint:
    """State dicts of the learning model, its average and the optimizer; `shape` and `letters` rebuild the model."""

    model: dict[str, Any]
    averaged: dict[str, Any]
    optimizer: dict[str, Any]
    progress: Progress
    shape: dict[str, Any]
    letters: str


def save(checkpoint: Checkpoint, path: Path) -> None:
    """Write beside `path`, then rename: a run that dies meanwhile leaves the checkpoint before."""
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
        known = {each.name: content["progress"][each.name] for each in fields(Progress)}
        return Checkpoint(**{**content, "progress": Progress(**known)})
    except (RuntimeError, KeyError, TypeError, EOFError, pickle.UnpicklingError) as error:
        told = f"{path} is damaged or not a checkpoint of this version; start the run anew"
        raise BadInput(told, field="checkpoint") from error
