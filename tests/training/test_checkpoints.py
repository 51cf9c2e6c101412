"""A checkpoint is written whole or not at all, and comes back as it was."""

from dataclasses import asdict
from pathlib import Path

import pytest
import torch

from stt_server.errors import BadInput, NotFound
from tests.training.material import ALPHABET, LETTERS, MEL, Listener, recipe, six_clips, toy_model
from training import checkpoints
from training.batches import Surroundings
from training.bundling import load_model
from training.checkpoints import Checkpoint, Patience, Progress
from training.fit import fit
from training.streaming import StreamingModel


def checkpoint(model: StreamingModel, step: int = 5) -> Checkpoint:
    optimizer = torch.optim.AdamW(model.parameters())
    progress = Progress(step=step, epoch=1, batch=2, seconds=3.5, history=[{"step": 4, "wer": {"dev": 0.5}}])
    return Checkpoint(
        model.state_dict(), model.state_dict(), optimizer.state_dict(), progress, asdict(model.shape), LETTERS
    )


def test_what_is_saved_comes_back(tmp_path: Path) -> None:
    saved = checkpoint(toy_model())
    checkpoints.save(saved, tmp_path / "last.pt")
    loaded = checkpoints.load(tmp_path / "last.pt")
    assert (loaded.progress, loaded.shape, loaded.letters) == (saved.progress, saved.shape, saved.letters)
    assert loaded.optimizer == saved.optimizer
    assert loaded.model.keys() == saved.model.keys()
    assert all(torch.equal(loaded.averaged[name], saved.averaged[name]) for name in saved.averaged)


def test_the_model_of_a_checkpoint_can_be_built_from_it_alone(tmp_path: Path) -> None:
    model = toy_model()
    checkpoints.save(checkpoint(model), tmp_path / "last.pt")
    again = load_model(tmp_path / "last.pt")
    assert again.shape == model.shape
    assert all(torch.equal(one, other) for one, other in zip(again.parameters(), model.parameters(), strict=True))


def test_a_save_that_dies_leaves_the_checkpoint_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "last.pt"
    checkpoints.save(checkpoint(toy_model(), step=5), path)

    def full_disk(content: object, part: Path) -> None:
        part.write_bytes(b"half of it")
        raise OSError(28, "No space left on device")

    later = checkpoint(toy_model(), step=6)
    monkeypatch.setattr(torch, "save", full_disk)
    with pytest.raises(OSError, match="No space left"):
        checkpoints.save(later, path)
    monkeypatch.undo()
    assert checkpoints.load(path).progress.step == 5


def test_no_checkpoint_is_an_error_with_a_remedy(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="start the run without --resume"):
        checkpoints.load(tmp_path / "last.pt")


@pytest.mark.parametrize("content", [b"", b"garbage" * 100, "a bundle"])
def test_another_file_is_not_taken_for_a_checkpoint(content: bytes | str, tmp_path: Path) -> None:
    path = tmp_path / "last.pt"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        torch.save({"model": {}}, path)
    with pytest.raises(BadInput, match="damaged or not a checkpoint of this version"):
        checkpoints.load(path)


def test_a_checkpoint_cut_short_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "last.pt"
    checkpoints.save(checkpoint(toy_model()), path)
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(BadInput, match="damaged"):
        checkpoints.load(path)


def test_a_checkpoint_of_the_first_shipped_model_is_still_read(tmp_path: Path) -> None:
    """Its keys as they were then; a run that goes on from it, or a bundle, needs no more."""
    model = toy_model()
    optimizer = torch.optim.AdamW(model.parameters())
    then = {
        "model": model.state_dict(),
        "averaged": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "shape": asdict(model.shape),
        "letters": LETTERS,
        "progress": {
            "step": 5,
            "epoch": 1,
            "batch": 2,
            "seconds": 3.5,
            "history": [{"step": 4, "seconds": 3.0, "wer": {"dev": 0.5}}],
        },
    }
    torch.save(then, tmp_path / "last.pt")
    progress = checkpoints.load(tmp_path / "last.pt").progress
    assert (progress.step, progress.epoch, progress.batch, progress.seconds) == (5, 1, 2, 3.5)
    assert (progress.best, progress.patience, progress.strikes, progress.halvings) == ({}, Patience(), {}, 0)
    again = load_model(tmp_path / "last.pt")
    assert all(torch.equal(one, other) for one, other in zip(again.parameters(), model.parameters(), strict=True))
    resumed = fit(
        recipe(schedule={"epochs": 3, "validate_epochs": 1}),
        toy_model(),
        six_clips(),
        six_clips(),
        ALPHABET,
        MEL,
        Surroundings(),
        tmp_path,
        Listener(),
        resume=True,
    )
    assert all(weight.isfinite().all() for weight in resumed.parameters())
    ended = checkpoints.load(tmp_path / "last.pt").progress
    assert (ended.epoch, ended.history[0]["wer"]) == (3, {"dev": 0.5})
    assert ended.best["step"] > 5
