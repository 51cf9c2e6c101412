"""What more data would bring: the run again on 25 and 50 % of its new clips, before the whole is exported.

A clip is in a share by a hash of its text, voice and file's name: the quarter lies in the half, and both are the same
on each machine and in each run. The schedule goes through a share as often as through the whole, so it takes as much
less time; minutes shrink with it. Replay keeps its share of the seconds. What is compared is what torch hears greedily
in the test clips with the weights that each validated best, the whole's too; without a test, in the dev clips.
"""

from __future__ import annotations

import hashlib
import math
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

from pydantic import TypeAdapter

from stt_server.speech.wer import score
from training.bundling import load_model
from training.data import Gathered
from training.learning import is_finished, learn
from training.listening import listen
from training.report import LearningPoint
from training.report.schema import Interval
from training.reporting import LEARNING, read_points
from training.rundir import decoded, hearing
from training.terminal import Terminal

if TYPE_CHECKING:
    from pathlib import Path

    from stt_server.corpus.clip import Clip
    from training.data import Gathering
    from training.distributed import Team
    from training.recipe import Recipe
    from training.rundir import Run

SHARES = (0.25, 0.5)
FEWEST = 4  # clips in the smallest share
FOLDER = "learning"


def draw_curve(run: Run, gathering: Gathering, together: Team, *, resume: bool) -> None:
    """Leave a point for each share in the run's `learning.json`; those that are there are kept on a resume.

    Broken off by Ctrl-C, as when the whole was not learned to its end, there are no more points: `--resume` goes on.
    """
    points = together.after_the_first(lambda: _begun(run.folder, anew=together.is_first and not resume))
    if not is_finished(run) or not _can_be_drawn(run, gathering, together):
        return
    for share in (*SHARES, 1.0):
        if any(point.share == share for point in points):
            continue
        part = replace(gathering, train=subset(gathering.train, share))
        shared = run if share == 1.0 else _learned_on(run, part, share, together)
        if shared is None:
            return
        if together.is_first:
            points.append(_point(shared, part, share))
            (run.folder / LEARNING).write_bytes(TypeAdapter(list[LearningPoint]).dump_json(points, indent=1))


def _begun(folder: Path, *, anew: bool) -> list[LearningPoint]:
    """The points of an earlier call; none where the run began anew."""
    kept = folder / LEARNING
    if anew:
        shutil.rmtree(folder / FOLDER, ignore_errors=True)
        kept.unlink(missing_ok=True)
    return read_points(kept) if kept.is_file() else []


def _can_be_drawn(run: Run, gathering: Gathering, together: Team) -> bool:
    few, deaf = SHARES[0] * len(gathering.train.clips) < FEWEST, not (gathering.test.clips or gathering.dev.clips)
    if (few or deaf) and together.is_first:
        told = "there are too few clips to share" if few else "there is nothing to measure it on"
        run.terminal.say(f"no learning curve: {told}")
    return not (few or deaf)


def subset(part: Gathered, share: float) -> Gathered:
    """So many of the clips, in their order."""
    order = sorted(range(len(part.clips)), key=lambda index: _mark(part.clips[index]))
    chosen = sorted(order[: math.ceil(share * len(order))])
    return Gathered([part.clips[index] for index in chosen], [part.weights[index] for index in chosen])


def _mark(clip: Clip) -> bytes:
    return hashlib.sha256(f"{clip.text}\n{clip.speaker}\n{clip.path.name}".encode()).digest()


def scaled(recipe: Recipe, share: float) -> Recipe:
    """The recipe for a share of the clips: epochs stay, so their steps are fewer, and minutes are."""
    minutes = recipe.schedule.minutes
    schedule = recipe.schedule.model_copy(update={"minutes": minutes * share if minutes else None})
    return recipe.model_copy(update={"schedule": schedule})


def _learned_on(run: Run, part: Gathering, share: float, together: Team) -> Run | None:
    """A run of its own in a folder of the run's, gone on with where it was broken off; None if it is broken off now."""
    folder = run.folder / FOLDER / f"{share:.0%}".rstrip("%")
    folder.mkdir(parents=True, exist_ok=True)
    if together.is_first:
        run.terminal.say(f"learning curve: {len(part.train.clips)} of the clips, {share:.0%}")
    terminal = Terminal(folder / "log.jsonl" if together.is_first else None, run.terminal.console)
    mine = replace(run, recipe=scaled(run.recipe, share), folder=folder, terminal=terminal)
    begun = mine.checkpoint.is_file()
    if not (begun and is_finished(mine)):
        learn(mine, part, resume=begun, together=together)
    return mine if is_finished(mine) else None


def _point(run: Run, part: Gathering, share: float) -> LearningPoint:
    alphabet, mel = hearing(run.recipe)
    clips = decoded(run, part.test if part.test.clips else part.dev)
    heard = listen(load_model(run.weights), clips, alphabet, mel).texts
    wer = score([(said.text, text) for said, text in zip(clips.said, heard, strict=True)]).wer
    interval = Interval(value=wer.value, low=wer.low, high=wer.high)
    run.terminal.say(f"learning curve: with {len(part.train.clips)} clips WER {wer}")
    return LearningPoint(share=share, clips=len(part.train.clips), wer=interval)
