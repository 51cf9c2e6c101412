"""A bundle of an earlier run, from what its folder keeps: recipe, clips, language model, checkpoints."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stt_server.errors import NotFound
from stt_server.speech.alphabet import Alphabet
from training.bundling import make_bundle
from training.data import REPLAY, SPLITS, Gathered, Gathering
from training.origin import read_origin
from training.run import ingredients
from training.rundir import Run
from training.tuning import settled

if TYPE_CHECKING:
    from pathlib import Path

    from stt_server.speech.bundle import Bundle
    from training.places import Places
    from training.terminal import Terminal


def export_run(path: Path, folder: Path, places: Places, terminal: Terminal) -> Bundle:
    """The bundle of a run's best weights or, where `path` is one of its checkpoints, of that one.

    The data is not gathered anew: clips that are gone from disk are not measured, and that is said. Raises NotFound
    where there is no run, no checkpoint or no clip left to compare ONNX with torch on.
    """
    home = path.parent if path.is_file() else path
    origin = read_origin(home)
    recipe, base = settled(origin.recipe, places)
    run = Run(recipe, places, home, terminal, base)
    checkpoint = path if path.is_file() else run.weights
    if not checkpoint.is_file():
        raise NotFound(f"there is no checkpoint in {home}; the run has learned nothing yet")
    parts = {split: [clip for clip in origin.part(split) if clip.path.is_file()] for split in (*SPLITS, REPLAY)}
    gone = len(origin.clips) - sum(map(len, parts.values()))
    if gone:
        terminal.say(f"{gone} clips of the run are no more where they were; the rest is measured")
    if not parts["train"]:
        raise NotFound(f"no training clip of {home} is where it was; bring one back, to compare ONNX with torch on")
    if origin.recipe.lm and not run.lm.is_file():
        raise NotFound(f"{run.lm} is gone; bring it back, or go on with the run to make it anew")
    train, dev, test = (Gathered(parts[split], [1.0] * len(parts[split])) for split in ("train", "dev", "test"))
    gathering = Gathering(train, dev, test, findings=[], alphabet=Alphabet(origin.recipe.alphabet))
    bundle = make_bundle(ingredients(run, gathering, checkpoint), folder, terminal.say)
    terminal.say(f"the bundle of {checkpoint} is {bundle.folder}")
    return bundle
