"""The clocks of a run: how much audio it learns in a second, and how much of the time it waits for data."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from training.batches import Batch

FRAMES_A_SECOND = 100


class Pace:
    """Learning alone is counted: `rest()` after a validation leaves the time it took out."""

    def __init__(self) -> None:
        self.rest()

    def rest(self) -> None:
        """Begin anew, as after a validation."""
        self.stepped = self.rested = time.monotonic()
        self.show()

    def show(self) -> None:
        """Begin anew with what is shown."""
        self.shown, self.heard_s, self.waited_s = time.monotonic(), 0.0, 0.0

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Within, the next batches are awaited, or made where no worker makes them."""
        begun = time.monotonic()
        yield
        self.waited_s += time.monotonic() - begun

    def step(self, batches: Sequence[Batch]) -> float:
        """Count a step; returns the seconds that it took."""
        self.heard_s += sum(batch.features.shape[0] * batch.features.shape[1] for batch in batches) / FRAMES_A_SECOND
        before, self.stepped = self.stepped, time.monotonic()
        return self.stepped - before

    @property
    def since_rest_s(self) -> float:
        return self.stepped - self.rested

    @property
    def speed(self) -> float:
        """Seconds of padded audio learned in a second."""
        return self.heard_s / max(1e-9, self.stepped - self.shown)

    @property
    def waiting_share(self) -> float:
        """Share of the time in which the model stood still for want of data, 0–1."""
        return min(1.0, self.waited_s / max(1e-9, self.stepped - self.shown))
