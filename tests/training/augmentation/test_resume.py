"""Stopped and resumed, a run hears every clip as it would have in one go, with ranges that move over it too."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.training.material import ALPHABET, MEL, Listener, recipe, six_clips
from tests.voices import white_noise
from training import checkpoints
from training.architectures import new_model
from training.batches import BatchMaker, Surroundings, plan_epoch
from training.checkpoints import Progress
from training.clips import ClipArray
from training.fit import fit
from training.recipe import Augmentation, Recipe
from training.schedule import epoch_span

AROUND = Surroundings([white_noise(2, -20)], [np.array([1, 0, 0.5], np.float32)])
MOVING = {
    "snr_db": {"from": [20, 30], "to": [0, 10]},
    "speed_range": {"from": [1, 1], "to": [0.8, 1.2]},
    "noise": 1,
    "speaker": 0.5,
    "tempo": 0.3,
    "simulated_rooms": 0.5,
    "noise_layers": 3,
    "made_noise": 0.5,
}


def batch(epoch: int, number: int, epochs: int = 4) -> torch.Tensor:
    """One batch, by a maker that has made nothing before."""
    clips, plan = six_clips(), recipe(schedule={"epochs": epochs}).schedule
    maker = BatchMaker(clips, ALPHABET, MEL, Augmentation.model_validate(MOVING), AROUND, np.zeros(80, np.float32))
    planned = plan_epoch(clips.seconds, np.ones(6), 3.0, np.random.default_rng((1, epoch)), 0.5)
    maker.set_plan(planned, 1, epoch, epoch_span(plan, Progress(epoch=epoch)))
    return maker[number % len(planned)].features


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 3), st.integers(0, 5))
def test_a_batch_repeats_exactly_whatever_was_made_before(epoch: int, number: int) -> None:
    assert torch.equal(batch(epoch, number), batch(epoch, number))


def test_a_longer_run_is_less_far_in_its_second_epoch() -> None:
    assert not torch.equal(batch(1, 0, epochs=4), batch(1, 0, epochs=40))


def stop_after(steps: int) -> Callable[[], bool]:
    asked = iter(range(10**6))
    return lambda: next(asked) >= steps


def learned(made: Recipe, folder: Path, stops: list[int]) -> dict[str, torch.Tensor]:
    folder.mkdir()
    none = ClipArray(np.zeros(0, np.int16), np.zeros(0, np.int64), [])
    for part, stop in enumerate([*map(stop_after, stops), lambda: False]):
        fit(
            made,
            new_model(made),
            six_clips(),
            none,
            ALPHABET,
            MEL,
            AROUND,
            folder,
            Listener(),
            resume=part > 0,
            stop=stop,
        )
    return checkpoints.load(folder / "last.pt").model


@pytest.mark.parametrize("stops", [[2], [4, 3]])
def test_resumed_is_uninterrupted_where_ranges_move(stops: list[int], tmp_path: Path) -> None:
    made = recipe(schedule={"epochs": 4, "batch_s": 2.5}, augmentation=MOVING)
    whole, cut = learned(made, tmp_path / "whole", []), learned(made, tmp_path / "cut", stops)
    assert all(torch.equal(weight, cut[name]) for name, weight in whole.items())


def test_an_epoch_spans_its_share_of_the_epochs() -> None:
    plan = recipe(schedule={"epochs": 4}).schedule
    assert epoch_span(plan, Progress(epoch=1, batch=7)) == (0.25, 0.5)


def test_a_run_in_minutes_has_its_ranges_where_its_clock_stands() -> None:
    plan = recipe(schedule={"epochs": 40, "minutes": 10}).schedule
    assert epoch_span(plan, Progress(epoch=2, seconds=300)) == (0.5, 0.5)
    assert epoch_span(plan, Progress(epoch=2, seconds=3000)) == (1.0, 1.0)
