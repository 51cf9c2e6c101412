"""Several watchers of one run."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from training.scalars import TensorBoard

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from training.checkpoints import Progress
    from training.fit import Watcher


class Watchers:
    """Tells each of them what it is told, in their order. One that fails ends the run, as it would alone."""

    def __init__(self, *watchers: Watcher) -> None:
        self.watchers = watchers

    def step(self, progress: Progress, loss: float, rate: float, share: float, speed: float, waiting: float) -> None:
        for each in self.watchers:
            each.step(progress, loss, rate, share, speed, waiting)

    def validated(self, progress: Progress, wer: dict[str, float], pairs: Sequence[tuple[str, str, str]]) -> None:
        for each in self.watchers:
            each.validated(progress, wer, pairs)

    def say(self, sentence: str) -> None:
        for each in self.watchers:
            each.say(sentence)


@contextmanager
def watched(terminal: Watcher, folder: Path | None) -> Iterator[Watcher]:
    """The terminal and, where `folder` is given, TensorBoard, which writes into it until the run is over."""
    if folder is None:
        yield terminal
        return
    with TensorBoard(folder) as board:
        yield Watchers(terminal, board)
