"""The loop learns, stops, goes on exactly, and survives what teaches nothing."""

import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from stt_server.errors import BadInput, Conflict, NotFound
from tests.training.material import ALPHABET, MEL, SENTENCES, UNCHANGED, Listener, clip_array, recipe, six_clips
from tests.voices import say, white_noise
from training import checkpoints
from training.architectures import new_model
from training.batches import Surroundings
from training.checkpoints import Progress
from training.clips import ClipArray
from training.fit import fit, set_normalisation
from training.listening import listen
from training.recipe import Recipe
from training.schedule import is_over
from training.streaming import StreamingModel

ROOT = Path(__file__).parents[2]
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


DEV = {"dev": [{"synthetic": {"by_rule": 1.0, "seed": 2}}], "train": [{"synthetic": {"by_rule": 1.0}}]}
STOPPABLE: dict[str, Any] = {
    "schedule": {"epochs": 3, "batch_s": 2.5, "calm_share": 0.4, "average_decay": 0.9},
    "calm": UNCHANGED.model_dump(),
}
# Validations decide the rate, and two batches make a step.
PLATEAU: dict[str, Any] = STOPPABLE | {
    "data": DEV,
    "schedule": STOPPABLE["schedule"]
    | {"epochs": 9, "decay": "plateau", "validate_epochs": 1, "accumulate": 2, "early_stop": {"patience": 30}},
}


def cut_in(made: Recipe, folder: Path, steps: list[int], **options: Any) -> StreamingModel:
    """Stopped behind so many steps, resumed, stopped and so on."""
    folder.mkdir()
    for number, count in enumerate(steps):
        run(made, folder, resume=number > 0, stop=after(count), **options)
    return run(made, folder, resume=True, **options)


def assert_same_end(whole: Path, cut: Path) -> None:
    one, other = checkpoints.load(whole / "last.pt"), checkpoints.load(cut / "last.pt")
    for part in ("model", "averaged"):
        for name, weight in getattr(one, part).items():
            assert torch.equal(weight, getattr(other, part)[name]), name
    for name in ("step", "epoch", "batch", "drops", "patience", "plateau", "strikes", "left_out"):
        assert getattr(one.progress, name) == getattr(other.progress, name), name


@pytest.mark.parametrize("steps", [[1], [4], [2, 3], [5, 4]])
def test_a_run_that_was_stopped_and_resumed_learns_what_it_would_have_in_one_go(
    steps: list[int], tmp_path: Path
) -> None:
    made = recipe(**STOPPABLE)
    run(made, tmp_path)
    assert checkpoints.load(tmp_path / "last.pt").progress.step > sum(steps) + 2
    cut_in(made, tmp_path / "cut", steps)
    assert_same_end(tmp_path, tmp_path / "cut")


@pytest.mark.parametrize("steps", [[1], [2], [3, 2, 4], [8, 3]])
def test_where_validations_decide_too(steps: list[int], tmp_path: Path) -> None:
    """The validation with which a stopped run ends must not count: uninterrupted, there is none."""
    made = recipe(**PLATEAU)
    run(made, tmp_path, dev=six_clips())
    progress = checkpoints.load(tmp_path / "last.pt").progress
    assert progress.step > sum(steps) + 2
    cut_in(made, tmp_path / "cut", steps, dev=six_clips())
    assert_same_end(tmp_path, tmp_path / "cut")


def test_where_faulty_clips_are_left_out_too(tmp_path: Path) -> None:
    made = recipe(schedule={"epochs": 6, "batch_s": 2.5}, augmentation={"join": 0.9, "empty": 0})
    run(made, tmp_path, train=with_an_impossible_one())
    assert checkpoints.load(tmp_path / "last.pt").progress.left_out
    cut_in(made, tmp_path / "cut", [3, 9], train=with_an_impossible_one())
    assert_same_end(tmp_path, tmp_path / "cut")


def with_an_impossible_one() -> ClipArray:
    spoken = [(say(text), text) for text in SENTENCES]
    return clip_array([*spoken, (white_noise(0.3, -30), "much too long for the third of a second")])


def test_a_clip_that_fails_thrice_is_named_and_left_out_and_the_run_goes_on(tmp_path: Path) -> None:
    watcher = Listener()
    made = recipe(schedule={"epochs": 5}, augmentation=UNCHANGED.model_dump())
    run(made, tmp_path, train=with_an_impossible_one(), watcher=watcher)
    progress = checkpoints.load(tmp_path / "last.pt").progress
    assert (progress.epoch, progress.strikes, progress.left_out) == (5, {6: 3}, [6])
    named = "clip 6 ('much too long for the third of a second')"
    told = [sentence for sentence in watcher.said if "clip 6" in sentence]
    assert told == [
        f"nothing is learned from {named}: the text is longer than the audio can hold",
        f"{named} is left out from the next epoch on: 3 times, the text is longer than the audio can hold",
    ]


def test_a_run_that_gets_no_better_stops_early_and_stays_so(tmp_path: Path) -> None:
    watcher = Listener()
    schedule = {"epochs": 50, "validate_epochs": 1, "learning_rate": 1e-9, "average_decay": 0.0}
    made = recipe(data=DEV, schedule=schedule | {"early_stop": {"patience": 3, "min_delta": 0.1}})
    run(made, tmp_path, dev=six_clips(), watcher=watcher)
    progress = checkpoints.load(tmp_path / "last.pt").progress
    assert (progress.epoch, progress.patience.stale, len(progress.history)) == (4, 3, 4)
    assert watcher.said[-1].startswith("stopped early: 3 validations in a row were no better")
    assert is_over(made.schedule, progress)
    run(made, tmp_path, dev=six_clips(), resume=True)
    assert checkpoints.load(tmp_path / "last.pt").progress.step == progress.step


def test_patience_is_not_begun_anew_by_resuming(tmp_path: Path) -> None:
    schedule = {"epochs": 50, "validate_epochs": 1, "learning_rate": 1e-9, "average_decay": 0.0}
    made = recipe(data=DEV, schedule=schedule | {"early_stop": {"patience": 3, "min_delta": 0.1}})
    cut_in(made, tmp_path / "cut", [7, 3], dev=six_clips())
    assert checkpoints.load(tmp_path / "cut" / "last.pt").progress.epoch == 4


def test_the_best_weights_are_kept_beside_the_last(tmp_path: Path) -> None:
    """At a rate that rises to a thousand times what it should be, the model gets worse with every validation."""
    rising = {"learning_rate": 1.0, "decay": "constant", "warmup_share": 0.9, "average_decay": 0.0}
    made = recipe(schedule={"epochs": 8, "validate_epochs": 2} | rising)
    run(made, tmp_path, dev=six_clips())
    best, last = (checkpoints.load(tmp_path / f"{name}.pt") for name in ("best", "last"))
    chosen = [(entry["chosen_wer"], entry["chosen_loss"], entry["step"]) for entry in last.progress.history]
    assert len(chosen) == 4
    assert best.progress.step == min(chosen)[2] == last.progress.best["step"] < last.progress.step
    model = new_model(made)
    model.load_state_dict(best.averaged)
    assert listen(model, six_clips(), ALPHABET, MEL).losses.mean() == pytest.approx(min(chosen)[1], rel=1e-4)


def test_without_a_validation_set_there_is_no_best(tmp_path: Path) -> None:
    run(recipe(schedule={"epochs": 1}), tmp_path)
    assert not (tmp_path / "best.pt").exists()


def test_a_model_that_learns_nothing_ends_with_what_to_try(tmp_path: Path) -> None:
    """All blank, and nothing that could change it."""
    made = recipe(schedule={"epochs": 20, "validate_epochs": 1, "learning_rate": 1e-9, "average_decay": 0.0})
    model = new_model(made)
    with torch.no_grad():
        model.out.bias[0] = 20.0
    around, watcher = Surroundings(), Listener()
    with pytest.raises(BadInput, match="the model does not learn: .* set schedule.learning_rate to a third"):
        fit(made, model, six_clips(), six_clips(), ALPHABET, MEL, around, tmp_path, watcher)
    assert checkpoints.load(tmp_path / "last.pt").progress.epoch == 10


def test_weights_that_are_no_numbers_end_the_run_soon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.fit.LOST_STEPS", 4)
    made = recipe(schedule={"epochs": 20})
    model = new_model(made)
    with torch.no_grad():
        model.out.bias[0] = math.nan
    with pytest.raises(BadInput, match="4 steps in a row had no finite loss or gradient; set schedule.learning_rate"):
        fit(made, model, six_clips(), NO_CLIPS, ALPHABET, MEL, Surroundings(), tmp_path, Listener())


def test_short_runs_are_validated_too(tmp_path: Path) -> None:
    watcher = Listener()
    run(recipe(schedule={"epochs": 5}), tmp_path, dev=six_clips(), watcher=watcher)
    assert len(watcher.rates) == 5


def test_the_share_of_time_spent_on_waiting_for_data_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.fit.SHOWN_EVERY", 1)
    watcher = Listener()
    run(recipe(schedule={"epochs": 3}), tmp_path, watcher=watcher)
    assert all(0 < share < 1 for share in watcher.waits), watcher.waits


NO_MORE = "jinja2 matplotlib onnx onnxruntime onnxscript rich soundfile sqlalchemy typer aiohttp".split()


def test_fit_needs_no_more_than_torch_numpy_yaml_and_pydantic() -> None:
    """It runs on bare machines with a GPU."""
    without = f"import sys; sys.modules.update(dict.fromkeys({NO_MORE}))"
    code = f"{without}; import training.fit, training.recipe, training.clips"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=120)


def test_a_run_that_is_stopped_behind_its_last_batch_is_over(tmp_path: Path) -> None:
    made = recipe(schedule={"epochs": 1, "batch_s": 100})
    run(made, tmp_path, stop=after(1))
    progress = checkpoints.load(tmp_path / "last.pt").progress
    assert (progress.step, progress.batch) == (1, 0)
    assert is_over(made.schedule, progress)


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
