"""The loop learns, stops, goes on exactly, and survives what teaches nothing."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from stt_server.errors import Conflict, NotFound
from tests.training.material import ALPHABET, MEL, UNCHANGED, Listener, clip_array, recipe, six_clips
from tests.voices import white_noise
from training import checkpoints
from training.batches import Batch, BatchMaker, Surroundings
from training.checkpoints import Progress
from training.clips import ClipArray
from training.fit import fit, set_normalisation
from training.listening import listen, logprobs_of, losses_of
from training.precision import PLAIN
from training.recipe import Recipe
from training.run import new_model
from training.schedule import learning_rate, share_done
from training.stepping import Stepper
from training.streaming import StreamingModel

NO_CLIPS = ClipArray(np.zeros(0, np.int16), np.zeros(0, np.int64), [])


def run(
    made: Recipe,
    folder: Path,
    *,
    train: ClipArray | None = None,
    dev: ClipArray = NO_CLIPS,
    watcher: Listener | None = None,
    **options: Any,
) -> StreamingModel:
    around = Surroundings([white_noise(2, -20)], [np.array([1, 0, 0.5], np.float32)])
    clips, told = train or six_clips(), watcher or Listener()
    return fit(made, new_model(made), clips, dev, ALPHABET, MEL, around, folder, told, **options)


def after(steps: int) -> Callable[[], bool]:
    """Stop behind this many steps: `fit` asks once at the start of an epoch and once behind every step."""
    asked = 0

    def stop() -> bool:
        nonlocal asked
        asked += 1
        return asked > steps

    return stop


def test_the_loss_falls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.fit.SHOWN_EVERY", 1)
    watcher = Listener()
    run(recipe(schedule={"epochs": 15}, augmentation=UNCHANGED.model_dump()), tmp_path, watcher=watcher)
    assert len(watcher.losses) > 20
    assert watcher.losses[-1] < 0.85 * watcher.losses[0]  # what is shown is a mean over fifty steps


@pytest.mark.slow
def test_six_utterances_are_learned_by_heart(tmp_path: Path) -> None:
    made = recipe(
        augmentation=UNCHANGED.model_dump(),
        model={"width": 64, "depth": 2, "channels": 8, "dropout": 0},
        schedule={"epochs": 100, "batch_s": 20, "learning_rate": 4e-3, "average_decay": 0.9},
    )
    watcher = Listener()
    averaged = run(made, tmp_path, dev=six_clips(), watcher=watcher)
    heard = listen(averaged, six_clips(), ALPHABET, MEL).texts
    assert watcher.rates[-1]["test"] <= 0.2, heard


STOPPABLE = {
    "schedule": {"epochs": 3, "batch_s": 2.5, "calm_share": 0.4, "average_decay": 0.9},
    "calm": UNCHANGED.model_dump(),
}


@pytest.mark.parametrize("steps", [[1], [4], [2, 3], [5, 4]])
def test_a_run_that_was_stopped_and_resumed_learns_what_it_would_have_in_one_go(
    steps: list[int], tmp_path: Path
) -> None:
    made = recipe(**STOPPABLE)
    whole = run(made, tmp_path)
    end = checkpoints.load(tmp_path / "last.pt").progress
    assert end.step > sum(steps) + 2
    cut = tmp_path / "cut"
    cut.mkdir()
    for number, count in enumerate(steps):
        run(made, cut, resume=number > 0, stop=after(count))
    resumed = run(made, cut, resume=True)
    progress = checkpoints.load(cut / "last.pt").progress
    assert (progress.step, progress.epoch, progress.batch) == (end.step, end.epoch, end.batch)
    for (name, one), other in zip(whole.state_dict().items(), resumed.state_dict().values(), strict=True):
        assert torch.equal(one, other), name


def test_a_finished_run_that_is_resumed_changes_nothing(tmp_path: Path) -> None:
    made = recipe(schedule={"epochs": 1})
    once = run(made, tmp_path)
    again = run(made, tmp_path, resume=True)
    assert all(torch.equal(one, other) for one, other in zip(once.parameters(), again.parameters(), strict=True))


def test_a_run_in_minutes_ends_when_they_are_up(tmp_path: Path) -> None:
    run(recipe(schedule={"epochs": 1000, "minutes": 0.02}), tmp_path)
    progress = checkpoints.load(tmp_path / "last.pt").progress
    assert progress.epoch < 1000
    assert progress.seconds >= 1.2


def test_empty_targets_do_not_break_the_loss(tmp_path: Path) -> None:
    averaged = run(recipe(augmentation={"empty": 1.0}, schedule={"epochs": 3}), tmp_path)
    assert all(weight.isfinite().all() for weight in averaged.parameters())
    assert checkpoints.load(tmp_path / "last.pt").progress.step > 0


def batch_of(train: ClipArray, model: StreamingModel) -> Batch:
    set_normalisation(model, train, MEL)
    maker = BatchMaker(train, ALPHABET, MEL)
    maker.set_plan([[(clip,) for clip in range(len(train))]], 1, 0)
    return maker[0]


def test_a_text_longer_than_its_audio_teaches_nothing_and_harms_nothing() -> None:
    model = new_model(recipe(model={"dropout": 0}))
    impossible = clip_array([(white_noise(0.2, -30), "much too long for a fifth of a second")])
    batch = batch_of(impossible, model)
    assert losses_of(logprobs_of(model, batch, PLAIN), batch).tolist() == [0]


def test_a_step_without_a_finite_loss_changes_no_weight() -> None:
    made = recipe()
    model = new_model(made)
    batch = batch_of(six_clips(), model)
    batch.features[:, 0] = math.nan
    optimizer = torch.optim.AdamW(model.parameters())
    before = [weight.clone() for weight in model.parameters()]
    assert math.isnan(Stepper(model, optimizer, made.schedule.clip_norm).step([(1, 0, 0)], [batch], 0.1).loss)
    assert all(torch.equal(one, other) for one, other in zip(before, model.parameters(), strict=True))


def test_resuming_without_a_checkpoint_says_so(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="start the run without --resume"):
        run(recipe(), tmp_path, resume=True)


def test_another_models_checkpoint_is_refused(tmp_path: Path) -> None:
    run(recipe(schedule={"epochs": 1}), tmp_path)
    with pytest.raises(Conflict, match="holds a model of another width, kernel than the recipe's"):
        run(recipe(model={"width": 48, "kernel": 7}), tmp_path, resume=True)


def test_validation_measures_each_source_and_shows_what_was_heard(tmp_path: Path) -> None:
    shown: list[tuple[str, str, str]] = []

    class Reader(Listener):
        def validated(self, progress: Progress, wer: dict[str, float], pairs) -> None:
            super().validated(progress, wer, pairs)
            shown.extend(pairs)

    watcher = Reader()
    run(recipe(schedule={"epochs": 1}), tmp_path, dev=six_clips(), watcher=watcher)
    assert list(watcher.rates[-1]) == ["test"]
    assert [true for _, true, _ in shown[-6:]] == [said.text for said in six_clips().said]
    assert checkpoints.load(tmp_path / "last.pt").progress.history[-1]["wer"] == watcher.rates[-1]


def test_features_of_the_training_clips_come_out_normalised() -> None:
    model = new_model(recipe())
    set_normalisation(model, six_clips(), MEL)
    frames = np.concatenate([MEL.whole(six_clips()[clip]) for clip in range(6)])
    normal = (frames - model.mean.numpy()) * model.scale.numpy()
    assert normal.mean(0) == pytest.approx(0, abs=1e-3)
    assert normal.std(0).max() == pytest.approx(1, abs=1e-3)


def test_the_rate_rises_to_its_height_and_falls_to_a_hundredth() -> None:
    plan = recipe(schedule={"learning_rate": 1.0, "warmup_share": 0.1}).schedule
    rates = [learning_rate(plan, share / 100) for share in range(101)]
    assert max(rates) == rates[10] == pytest.approx(1.0)
    assert rates[0] == rates[100] == pytest.approx(0.01)
    assert rates[:11] == sorted(rates[:11])
    assert rates[10:] == sorted(rates[10:], reverse=True)


def test_a_run_is_as_far_as_its_epochs_or_its_minutes_whichever_are_nearer_their_end() -> None:
    plan = recipe(schedule={"epochs": 4, "minutes": 10}).schedule
    assert share_done(plan, Progress(epoch=1, batch=5), 10) == pytest.approx(1.5 / 4)
    assert share_done(plan, Progress(epoch=1, batch=5, seconds=300), 10) == pytest.approx(0.5)
