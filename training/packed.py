"""Learning from a pack, on a machine that has no more than torch, numpy, yaml and pydantic.

    python -m training.packed PACK --output OUT --minutes 8

It learns until the schedule ends or the minutes are up, and leaves `last.pt`, `best.pt` and `log.jsonl` in OUT. The
same command again goes on where it stopped, to the bit. Exit code 0: the schedule is done; 75: the time was up.
PACK is a folder that `earloop train pack` wrote; folders of shards that came on other journeys are named behind it.
Back home the three files belong into the folder of the run, for `earloop export` or `earloop train --resume`.

Neither typer nor rich is imported here, nor is anything that imports them.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from stt_server.errors import EarloopError
from stt_server.speech.alphabet import Alphabet
from stt_server.speech.features import FeatureRecipe, LogMel
from training import checkpoints
from training.architectures import new_model
from training.batches import Surroundings
from training.fit import fit
from training.holding import Hold
from training.recipe import load_recipe, read_change
from training.runlog import RunLog
from training.schedule import is_over
from training.shards import RECIPE, START, find_files, read_pack, read_part
from training.start import freeze
from training.stopping import interruptible

if TYPE_CHECKING:
    from collections.abc import Sequence

    from training.checkpoints import Progress
    from training.clips import ClipArray
    from training.recipe import Recipe
    from training.streaming import StreamingModel

UNFINISHED = 75  # EX_TEMPFAIL of sysexits.h: the same again may succeed
LIGHT = "weights.pt"
SHOWN = 6  # pairs of true and heard


@dataclass(frozen=True, slots=True)
class Unpacked:
    """What `fit` takes, ready."""

    recipe: Recipe
    model: StreamingModel
    train: ClipArray
    dev: ClipArray
    surroundings: Surroundings
    hold: Hold | None

    @property
    def alphabet(self) -> Alphabet:
        return Alphabet(self.recipe.alphabet)

    @property
    def mel(self) -> LogMel:
        return LogMel(FeatureRecipe(n_mels=self.recipe.features.n_mels))


class Lines:
    """Tells how a run goes in plain lines on standard error, and keeps them in `log.jsonl` as the terminal does."""

    def __init__(self, log: RunLog) -> None:
        self.log = log

    def step(self, progress: Progress, loss: float, rate: float, share: float, speed: float, waiting: float) -> None:
        left = progress.seconds * (1 - share) / share / 60 if share else 0.0
        self._write(
            f"{share:6.1%}  step {progress.step}  loss {loss:.3f}  {speed:.0f} x real time ({speed / 3600:.2f} "
            f"hours of audio a second), {waiting:.0%} waiting for data, {left:.0f} min left"
        )
        self.log.step(progress, loss, rate, share, speed, waiting)

    def validated(self, progress: Progress, wer: dict[str, float], pairs: Sequence[tuple[str, str, str]]) -> None:
        rates = ", ".join(f"{source} {rate:.1%}" for source, rate in wer.items())
        self._write(f"step {progress.step}, greedy WER: {rates}")
        for _, true, heard in pairs[:: max(1, len(pairs) // SHOWN)][:SHOWN]:
            self._write(f"    true   {true}\n    heard  {heard}")
        self.log.validated(progress, wer)

    def say(self, sentence: str) -> None:
        self._write(sentence)
        self.log.say(sentence)

    def _write(self, line: str) -> None:
        sys.stderr.write(f"{line}\n")
        sys.stderr.flush()


def unpack(folders: Sequence[Path], changes: Sequence[str] = ()) -> Unpacked:
    """Read a pack; `changes` are key=value for its recipe. Raises NotFound, BadInput and BadOption."""
    pack = read_pack(folders[0])
    recipe = load_recipe(str(folders[0] / RECIPE), dict(read_change(text) for text in changes))
    files = find_files(pack, folders)
    train, numbers = read_part(pack, "train", files)
    parts = {part: read_part(pack, part, files)[0] for part in ("dev", "noise", "rir")}
    model = _first_model(recipe, files.get(START))
    hold = None
    if pack.hold:
        hold = Hold(_first_model(recipe, files.get(START)), sum(number < pack.first_replay for number in numbers))
    if recipe.start:
        freeze(model, recipe.start.freeze)
    around = Surroundings(*([part[number] for number in range(len(part))] for part in (parts["noise"], parts["rir"])))
    return Unpacked(recipe, model, train, parts["dev"], around, hold)


def _first_model(recipe: Recipe, start: Path | None) -> StreamingModel:
    model = new_model(recipe)
    if start:
        model.load_state_dict(checkpoints.load(start).averaged)
    return model


def learn(unpacked: Unpacked, output: Path, until: float, log: RunLog) -> bool:
    """Learn until the schedule or, after a step at least, the time of `time.monotonic()` is over; whether the schedule
    is. The step is so that no call is in vain, however long it took to begin.
    """
    recipe, last = unpacked.recipe, output / "last.pt"
    watcher, asked = Lines(log), count()
    output.mkdir(parents=True, exist_ok=True)
    with interruptible(watcher.say) as stop:
        fit(
            recipe,
            unpacked.model,
            unpacked.train,
            unpacked.dev,
            unpacked.alphabet,
            unpacked.mel,
            unpacked.surroundings,
            output,
            watcher,
            resume=last.is_file(),
            stop=lambda: stop() or (next(asked) > 0 and time.monotonic() >= until),
            hold=unpacked.hold,
        )
    return is_over(recipe.schedule, checkpoints.load(last).progress)


def main(words: Sequence[str] | None = None) -> int:
    """The command; returns its exit code."""
    begun = time.monotonic()
    asked = _options().parse_args(words)
    try:
        if asked.anew:
            _put_aside(asked.output)
        unpacked = unpack(asked.pack, asked.set)
        hours = float(np.sum(unpacked.train.seconds)) / 3600
        sys.stderr.write(f"{len(unpacked.train)} clips, {hours:.2f} h, read in {time.monotonic() - begun:.0f} s\n")
        until = begun + 60 * asked.minutes if asked.minutes else float("inf")
        done = learn(unpacked, asked.output, until, RunLog(asked.output / "log.jsonl"))
        if asked.light:
            best = asked.output / "best.pt"
            checkpoints.lighten(best if best.is_file() else asked.output / "last.pt", asked.output / LIGHT)
    except EarloopError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    if not done:
        sys.stderr.write("not finished: the same command goes on\n")
    return 0 if done else UNFINISHED


def _put_aside(output: Path) -> None:
    last = output / "last.pt"
    if last.is_file():
        last.replace(output / "previous.pt")
    (output / "best.pt").unlink(missing_ok=True)


def _options() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(prog="python -m training.packed", description="Learn from a pack.")
    options.add_argument(
        "pack", nargs="+", type=Path, help="the pack's folder; behind it others that hold shards of it"
    )
    options.add_argument("--output", type=Path, required=True, help="folder of checkpoints and log.jsonl")
    options.add_argument(
        "--minutes", type=float, help="learn until so long after the start; one validation comes behind that"
    )
    options.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="such as schedule.device=cuda")
    options.add_argument("--anew", action="store_true", help="begin again, where OUTPUT holds a checkpoint")
    options.add_argument(
        "--light", action="store_true", help=f"write {LIGHT}, too: what is exported alone, an eighth of a checkpoint"
    )
    return options


if __name__ == "__main__":
    sys.exit(main())
