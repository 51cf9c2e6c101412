"""The report of a run, made when its bundle is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import TypeAdapter, ValidationError

from stt_server.corpus.noise import find_noise
from stt_server.errors import BadInput
from stt_server.speech.alphabet import Alphabet
from training import checkpoints
from training.bundling import load_model
from training.clips import load_clips
from training.report import LearningPoint, Material, summary, write_report
from training.report.suspects import from_losses
from training.report.weighing import weigh
from training.schedule import is_stale

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from stt_server.corpus.evaluation import Evaluation
    from training.bundling import Ingredients
    from training.checkpoints import Progress
    from training.data import Gathering
    from training.places import Places
    from training.recipe import Schedule
    from training.report import Report
    from training.report.schema import Suspect

LEARNING = "learning.json"  # in the folder of a run, by `curve.py`


def report_run(
    made_of: Ingredients,
    gathering: Gathering,
    places: Places,
    evaluations: Sequence[Evaluation],
    folder: Path,
    say: Callable[[str], None],
) -> Report:
    """Write report.html, report.json and suspects.csv into the run's `folder`, beside `log.jsonl` and `bundle/`.

    `evaluations` are what the bundle heard in the test and in its kit.
    """
    recipe = made_of.recipe
    kept = folder / LEARNING
    material = Material(
        name=recipe.name,
        bundle=folder / "bundle",
        evaluations=evaluations,
        state=state_of(recipe.schedule, checkpoints.load(folder / "last.pt").progress),
        data_hash=gathering.digest,
        holds_for=gathering.holds_for,
        train=gathering.train.clips,
        dev=gathering.dev.clips,
        test=gathering.test.clips,
        findings=gathering.findings,
        noise=[clip for name in recipe.data.noise for clip in find_noise(places.corpora, name)]
        if places.corpora
        else [],
        log=folder / "log.jsonl",
        learning=read_points(kept) if kept.is_file() else (),
        suspects=suspects_of(made_of, gathering, places),
        players=recipe.report.players,
        audio_mb=recipe.report.audio_mb,
        noise_minutes=recipe.report.noise_minutes,
    )
    report = write_report(material, folder)
    for line in summary(report, folder):
        say(line)
    return report


def read_points(path: Path) -> list[LearningPoint]:
    """The results of runs on shares of the new data: a JSON list of share, clips and wer. Raises BadInput."""
    try:
        return TypeAdapter(list[LearningPoint]).validate_json(path.read_bytes())
    except ValidationError as error:
        told = error.errors()[0]["msg"]
        raise BadInput(f"{path} holds no learning curve ({told}); write [{{share, clips, wer}}, …]") from error


def state_of(plan: Schedule, progress: Progress) -> str:
    """How a run ended: finished, stopped early, or interrupted."""
    if progress.epoch >= plan.epochs or (plan.minutes is not None and progress.seconds >= 60 * plan.minutes):
        return "finished"
    return "stopped early" if is_stale(plan, progress) else "interrupted"


def suspects_of(made_of: Ingredients, gathering: Gathering, places: Places) -> list[Suspect]:
    """Labels of training and development clips that may be wrong, of as many clips as the recipe lets be looked at."""
    most = made_of.recipe.report.suspects
    if not most:
        return []
    model, alphabet = load_model(made_of.checkpoint), Alphabet(checkpoints.load(made_of.checkpoint).letters)
    found = []
    for part in (gathering.train, gathering.dev):
        audio = load_clips(part.clips, part.weights, places.cache)
        found += weigh(model, part.clips, audio, alphabet, made_of.mel, most)
    return from_losses(found)
