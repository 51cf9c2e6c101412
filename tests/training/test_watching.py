"""Several watchers hear the same, and TensorBoard's files hold what it heard."""

import importlib.util
from collections.abc import Sequence
from pathlib import Path

import pytest

from stt_server.errors import Unsupported
from training.checkpoints import Progress
from training.scalars import TensorBoard
from training.watching import Watchers, watched

needs_tensorboard = pytest.mark.skipif(
    importlib.util.find_spec("tensorboard") is None, reason="needs tensorboard (pip install 'earloop[tensorboard]')"
)


class Notebook:
    def __init__(self) -> None:
        self.told: list[object] = []

    def step(self, progress: Progress, loss: float, rate: float, share: float, speed: float, waiting: float) -> None:
        self.told.append((progress.step, loss, rate, share, speed, waiting))

    def validated(self, progress: Progress, wer: dict[str, float], pairs: Sequence[tuple[str, str, str]]) -> None:
        self.told.append((progress.step, wer, list(pairs)))

    def say(self, sentence: str) -> None:
        self.told.append(sentence)


def tell(watcher: Watchers | TensorBoard | Notebook) -> None:
    watcher.step(Progress(step=50), 1.5, 1e-3, 0.25, 200.0, 0.1)
    watcher.validated(Progress(step=60), {"clean": 0.5}, [("clean", "lights on", "light on")])
    watcher.say("halfway")


def test_every_watcher_is_told_everything_in_order() -> None:
    one, other, alone = Notebook(), Notebook(), Notebook()
    tell(Watchers(one, other))
    tell(alone)
    assert one.told == other.told == alone.told
    assert len(alone.told) == 3


def test_without_tensorboard_the_terminal_watches_alone() -> None:
    terminal = Notebook()
    with watched(terminal, None) as watcher:
        assert watcher is terminal


@needs_tensorboard
@pytest.mark.filterwarnings("ignore")  # of tensorboard's own reader
def test_tensorboard_has_the_curves_and_what_was_heard(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    terminal = Notebook()
    with watched(terminal, tmp_path / "tensorboard") as watcher:
        watcher.step(Progress(step=50), 1.5, 1e-3, 0.25, 200.0, 0.1)
        watcher.validated(Progress(step=60), {"clean": 0.5}, [("clean", "lights on", "light on")])
        watcher.say("halfway")
    assert len(terminal.told) == 3
    kept = EventAccumulator(str(tmp_path / "tensorboard"))
    kept.Reload()
    assert {"train/loss", "train/rate", "train/speed", "wer/clean"} <= set(kept.Tags()["scalars"])
    (loss,), (wer,) = kept.Scalars("train/loss"), kept.Scalars("wer/clean")
    assert (loss.step, loss.value, wer.step, wer.value) == (50, 1.5, 60, 0.5)
    (tag,) = kept.Tags()["tensors"]
    assert b"light on" in kept.Tensors(tag)[0].tensor_proto.string_val[0]


def test_where_tensorboard_is_not_installed_its_extra_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("training.scalars.find_spec", lambda name: None)
    with pytest.raises(Unsupported, match=r"pip install 'earloop\[tensorboard\]'"):
        TensorBoard(tmp_path)
