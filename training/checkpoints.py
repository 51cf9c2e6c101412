"""Everything a run needs to go on where it stopped, in one file written at once or not at all."""

from __future__ import annotations

import math
import pickle
from dataclasses import asdict, dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

import torch

from stt_server.errors import BadInput, NotFound

if TYPE_CHECKING:
    from pathlib import Path

EXACT = ("mean", "scale")  # the normalisation of the features, which an export does not round


@dataclass(slots=True)
class Patience:
    """The best validation that was waited on, as (WER, loss), and how many in a row since were no better."""

    wer: float = math.inf
    loss: float = math.inf
    stale: int = 0

    def feel(self, wer: float, loss: float, min_delta: float = 0.0) -> None:
        """Take note of one more. At the same WER the loss decides: a model that hears nothing yet may be learning."""
        if wer < self.wer - min_delta or (wer <= self.wer and loss < self.loss - min_delta):
            self.wer, self.loss, self.stale = wer, loss, 0
        else:
            self.stale += 1


@dataclass(slots=True)
class Progress:
    """Where a run is: `batch` batches of `epoch` are done, `seconds` of training time are spent.

    `history` has an entry for every validation (see `validation.py`); `best` is the one whose weights are in `best.pt`.
    `patience` waits for the early stop, `plateau` for the next of the rate's `drops`. `strikes` counts how often a
    clip's loss was not finite, `left_out` holds those that are not taken any more. `halvings` says how often a batch
    was halved to fit into memory.
    """

    step: int = 0
    epoch: int = 0
    batch: int = 0
    seconds: float = 0.0
    history: list[dict[str, Any]] = field(default_factory=list)
    best: dict[str, Any] = field(default_factory=dict)
    patience: Patience = field(default_factory=Patience)
    plateau: Patience = field(default_factory=Patience)
    drops: int = 0
    strikes: dict[int, int] = field(default_factory=dict)
    left_out: list[int] = field(default_factory=list)
    halvings: int = 0


@dataclass(slots=True)
class Checkpoint:
    """State dicts of the learning model, its average, the optimizer and (in fp16) the scaler of its loss.

    `shape` and `letters` rebuild the model, `features` says what it hears; `recipe` is a hash of the one it learned by.
    Checkpoints of the first shipped model lack the last three, and much of the progress. Light ones have only the
    average, in float16 as it is exported: it cannot be gone on with.
    """

    model: dict[str, Any]
    averaged: dict[str, Any]
    optimizer: dict[str, Any]
    progress: Progress
    shape: dict[str, Any]
    letters: str
    features: dict[str, Any] = field(default_factory=dict)
    recipe: str = ""
    scaler: dict[str, Any] = field(default_factory=dict)


def save(checkpoint: Checkpoint, path: Path) -> None:
    """Write beside `path`, then rename: a run that dies meanwhile leaves the checkpoint before."""
    part = path.with_suffix(".part")
    content = {each.name: getattr(checkpoint, each.name) for each in fields(Checkpoint)}
    torch.save(content | {"progress": asdict(checkpoint.progress)}, part)
    part.replace(path)


def lighten(path: Path, light: Path) -> None:
    """Write beside a checkpoint one with no more than is exported, an eighth of its size."""
    kept = load(path)
    averaged = {name: weight if name in EXACT else weight.half() for name, weight in kept.averaged.items()}
    save(replace(kept, model={}, averaged=averaged, optimizer={}, scaler={}), light)


def load(path: Path) -> Checkpoint:
    """Read a checkpoint. Raises NotFound, or BadInput for a file that is none."""
    if not path.is_file():
        raise NotFound(f"there is no checkpoint {path}; start the run without --resume")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        averaged = {name: weight.float() for name, weight in content["averaged"].items()}
        return Checkpoint(**{**content, "averaged": averaged, "progress": _progress(content["progress"])})
    except (RuntimeError, KeyError, TypeError, AttributeError, EOFError, pickle.UnpicklingError) as error:
        told = f"{path} is damaged or not a checkpoint of this version; start the run anew"
        raise BadInput(told, field="checkpoint") from error


def _progress(content: dict[str, Any]) -> Progress:
    """What is not there has the value it begins with: checkpoints of other versions know less or more."""
    known: dict[str, Any] = {each.name: content[each.name] for each in fields(Progress) if each.name in content}
    for name in ("patience", "plateau"):
        if name in known:
            known[name] = Patience(**known[name])
    return Progress(**known)
