"""The learning curve: shares of the clips that are the same each time, learned from beside the whole."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from stt_server.corpus.clip import Clip
from training import checkpoints
from training.curve import draw_curve, scaled, subset
from training.data import Gathered, Gathering
from training.distributed import ALONE
from training.learning import learn
from training.places import Places
from training.preparing import prepare
from training.recipe import load_recipe
from training.reporting import LEARNING, read_points
from training.rundir import Run
from training.terminal import Terminal

SMALL: dict[str, Any] = {
    "data.train.0.synthetic.count": 16,
    "data.dev.0.synthetic.count": 2,
    "data.test.0.synthetic.count": 3,
    "schedule.epochs": 2,
    "lm": None,
}

pytestmark = pytest.mark.timeout(400)


def clips(count: int, folder: str) -> Gathered:
    every = [Clip(Path(folder) / f"{number}.wav", f"text {number}", "test", "she") for number in range(count)]
    return Gathered(every, [float(number) for number in range(count)])


def test_a_smaller_share_lies_in_the_larger_wherever_the_clips_lie() -> None:
    part = clips(40, "here")
    quarter, half, whole = (subset(part, share) for share in (0.25, 0.5, 1.0))
    assert (len(quarter.clips), len(half.clips)) == (10, 20)
    assert set(quarter.clips) < set(half.clips)
    assert whole == part
    elsewhere = subset(clips(40, "there"), 0.25)
    assert [clip.text for clip in elsewhere.clips] == [clip.text for clip in quarter.clips]
    assert elsewhere.weights == quarter.weights == sorted(quarter.weights)


def test_a_share_is_gone_through_as_often_in_less_time() -> None:
    recipe = load_recipe("tiny", {"schedule.minutes": 10})
    assert scaled(recipe, 0.25).schedule.minutes == 2.5
    assert scaled(recipe, 0.25).schedule.epochs == recipe.schedule.epochs
    assert scaled(load_recipe("tiny"), 0.5).schedule.minutes is None


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Gathering]:
    """A run that has learned all of its clips to the end."""
    folder = tmp_path_factory.mktemp("curve")
    run = Run(load_recipe("tiny", SMALL), Places(None, folder / "cache"), folder / "run", Terminal(None, quiet=True))
    run, gathering = prepare(run)
    run = replace(run, terminal=Terminal(run.folder / "log.jsonl", quiet=True))
    learn(run, gathering, resume=False)
    return run, gathering


@pytest.mark.slow
def test_a_run_leaves_a_point_for_each_share_and_keeps_those_it_has(learned: tuple[Run, Gathering]) -> None:
    run, gathering = learned
    draw_curve(run, gathering, ALONE, resume=False)
    points = read_points(run.folder / LEARNING)
    assert [(point.share, point.clips) for point in points] == [(0.25, 4), (0.5, 8), (1.0, 16)]
    whole, quarter = (checkpoints.load(folder / "last.pt").progress for folder in (run.folder, shares(run, "25")))
    assert quarter.epoch == whole.epoch == 2
    assert (run.folder / "log.jsonl").read_text(encoding="utf-8").count('"validated"') == len(whole.history)
    before = (shares(run, "25") / "last.pt").stat().st_mtime_ns
    (run.folder / LEARNING).write_text("[]", encoding="utf-8")  # as if broken off before the first was measured
    draw_curve(run, gathering, ALONE, resume=True)
    assert read_points(run.folder / LEARNING) == points
    assert (shares(run, "25") / "last.pt").stat().st_mtime_ns == before


def shares(run: Run, name: str) -> Path:
    return run.folder / "learning" / name


@pytest.mark.slow
def test_what_was_not_learned_to_its_end_has_no_curve(learned: tuple[Run, Gathering], tmp_path: Path) -> None:
    run, gathering = learned
    shutil.copytree(run.folder, tmp_path / "run")
    longer = replace(run, recipe=load_recipe("tiny", SMALL | {"schedule.epochs": 9}), folder=tmp_path / "run")
    draw_curve(longer, gathering, ALONE, resume=False)
    assert not (tmp_path / "run" / LEARNING).exists()
