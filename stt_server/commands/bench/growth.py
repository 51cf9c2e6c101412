"""Does a server grow? From samples of what its process holds.

Memory moves with what the streams of the moment say, so it is judged by two windows of the same load: the median of the
first one after the warm-up, and that of the last. Threads, descriptors and tasks are judged at rest, with no stream
open, where every one that is left over can be told.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stt_server.commands.bench.server import Usage

WINDOW: Final = 0.15  # of the samples


@dataclass(frozen=True, slots=True)
class Sample:
    at_s: float  # since the warm-up's end
    usage: Usage


@dataclass(frozen=True, slots=True)
class Growth:
    """Megabytes are 10⁶ bytes; pairs are before and after."""

    first_mb: float
    last_mb: float
    peak_mb: float
    percent: float
    rest_mb: tuple[float, float]
    threads: tuple[int, int]
    descriptors: tuple[int, int]
    tasks: tuple[int, int]

    @classmethod
    def of(cls, samples: Sequence[Sample], rest: tuple[Usage, Usage]) -> Growth:
        """`samples` are of the time under load, `rest` from just before and just behind it."""
        memory = [sample.usage.memory / 1e6 for sample in samples]
        size = max(1, round(WINDOW * len(memory)))
        first, last = median(memory[:size]), median(memory[-size:])
        before, after = rest
        return cls(
            first_mb=round(first, 1),
            last_mb=round(last, 1),
            peak_mb=round(max(memory), 1),
            percent=round(100 * (last / first - 1), 2),
            rest_mb=(round(before.memory / 1e6, 1), round(after.memory / 1e6, 1)),
            threads=(before.threads, after.threads),
            descriptors=(before.descriptors, after.descriptors),
            tasks=(before.tasks, after.tasks),
        )

    def excess(self, most_percent: float) -> list[str]:
        """What grew that must not; empty for a sound server."""
        said = []
        if self.percent >= most_percent:
            said.append(f"memory grew by {self.percent:g} %, {self.first_mb:g} to {self.last_mb:g} MB")
        for name in ("threads", "descriptors", "tasks"):
            before, after = getattr(self, name)
            if after > before:
                said.append(f"{name} grew from {before} to {after}")
        return said
