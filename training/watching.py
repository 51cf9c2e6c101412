"""Several watchers of one run."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

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
