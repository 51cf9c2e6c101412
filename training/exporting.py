"""A bundle of an earlier run, from what its folder keeps: recipe, clips, language model, checkpoints."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stt_server.errors import NotFound
from training.bundling import Ingredients, make_bundle
from training.origin import read_origin
from training.run import Run, spoken_text

if TYPE_CHECKING:
    from pathlib import Path

    from stt_server.speech.bundle import Bundle
    from training.data import Places
    from training.terminal import Terminal


def export_run(path: Path, folder: Path, places: Places, terminal: Terminal) -> Bundle:
    """The bundle of a run's best weights or, where `path` is one of its checkpoints, of that one.

    The data is not gathered anew: clips that are gone from disk are not measured, and that is said. Raises NotFound
    where there is no run, no checkpoint or no clip left to compare ONNX with torch on.
    """
    home = path.parent if path.is_file() else path
    origin = read_origin(home)
    run = Run(origin.recipe, places, home, terminal)
    checkpoint = path if path.is_file() else run.weights
    if not checkpoint.is_file():
        raise NotFound(f"there is no checkpoint in {home}; the run has learned nothing yet")
    train, test = ([clip for clip in origin.part(split) if clip.path.is_file()] for split in ("train", "test"))
    gone = len(origin.part("train")) + len(origin.part("test")) - len(train) - len(test)
    if gone:
        terminal.say(f"{gone} clips of the run are no more where they were; the rest is measured")
    if not train:
        raise NotFound(f"no training clip of {home} is where it was; bring one back, to compare ONNX with torch on")
    lm = run.lm if origin.recipe.lm and run.lm.is_file() else None
    made_of = Ingredients(origin.recipe, checkpoint, train, test, lm, spoken_text(run))
    bundle = make_bundle(made_of, folder, terminal.say)
    terminal.say(f"the bundle of {checkpoint} is {bundle.folder}")
    return bundle
