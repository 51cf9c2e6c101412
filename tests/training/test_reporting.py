"""What a run knows beside its bundle goes into its report: wrong labels among its clips, and how it ended."""

from pathlib import Path

import pytest

from stt_server.corpus.clip import Clip
from stt_server.errors import BadInput
from tests.training.material import ALPHABET, MEL, SENTENCES, UNCHANGED, Listener, clip_array, recipe
from tests.voices import say
from training.architectures import new_model
from training.batches import Surroundings
from training.checkpoints import Patience, Progress
from training.fit import fit
from training.recipe import EarlyStop, Schedule
from training.report.suspects import from_losses
from training.report.weighing import weigh
from training.reporting import read_points, state_of

VOICES = ("en-us", "en-us+f3")


@pytest.mark.slow
def test_a_wrong_label_among_right_ones_is_found(tmp_path: Path) -> None:
    """A model that learned six words by two voices doubts the one clip whose label is another's."""
    spoken = [(say(text, voice), text) for voice in VOICES for text in SENTENCES]
    made = recipe(
        augmentation=UNCHANGED.model_dump(),
        model={"width": 64, "depth": 2, "channels": 8, "dropout": 0},
        schedule={"epochs": 80, "batch_s": 20, "learning_rate": 4e-3, "average_decay": 0.9},
    )
    none, around = clip_array(spoken[:1]), Surroundings()
    model = fit(made, new_model(made), clip_array(spoken), none, ALPHABET, MEL, around, tmp_path, Listener())
    wrong = [(samples, "play" if text == "seven nine" else text) for samples, text in spoken]
    clips = [Clip(tmp_path / f"{number}.wav", text, split="train") for number, (_, text) in enumerate(wrong)]
    found = from_losses(weigh(model, clips, clip_array(wrong), ALPHABET, MEL, 100))
    doubted = {str(tmp_path / f"{number}.wav") for number, (_, text) in enumerate(spoken) if text == "seven nine"}
    assert {each.path for each in found} == doubted
    assert {each.text for each in found} == {"play"}
    assert all(each.heard.startswith("seven") for each in found)
    assert all(each.loss is None or each.loss > 1 for each in found)
    assert weigh(model, clips, clip_array(wrong), ALPHABET, MEL, 0) == []


def test_a_learning_curve_that_lies_in_the_runs_folder_is_read_or_refused_by_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "learning.json"
    path.write_text('[{"share": 0.5, "clips": 25, "wer": {"value": 0.4, "low": 0.3, "high": 0.5}}]', encoding="utf-8")
    assert [(point.share, point.wer.low) for point in read_points(path)] == [(0.5, 0.3)]
    path.write_text('[{"share": 0.5}]', encoding="utf-8")
    with pytest.raises(BadInput, match=r"learning\.json holds no learning curve \(Field required\)"):
        read_points(path)


@pytest.mark.parametrize(
    ("plan", "progress", "state"),
    [
        (Schedule(epochs=3), Progress(epoch=3), "finished"),
        (Schedule(epochs=3), Progress(epoch=2), "interrupted"),
        (Schedule(epochs=99, minutes=2), Progress(epoch=2, seconds=121), "finished"),
        (Schedule(epochs=9, early_stop=EarlyStop(patience=2)), Progress(patience=Patience(stale=2)), "stopped early"),
        (Schedule(epochs=9, early_stop=EarlyStop(patience=2)), Progress(patience=Patience(stale=1)), "interrupted"),
    ],
)
def test_how_a_run_ended_is_known_from_its_checkpoint(plan: Schedule, progress: Progress, state: str) -> None:
    assert state_of(plan, progress) == state
