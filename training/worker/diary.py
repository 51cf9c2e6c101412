"""How a job goes, as its row tells it: stage, progress, the last lines. Written by the job, read by its heartbeat."""

from __future__ import annotations

import re
import threading
from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

LINES: Final = 200
LONGEST: Final = 400  # letters of a line
# From where to where the progress of a job goes in each stage.
STAGES: Final[dict[str, tuple[float, float]]] = {
    "snapshot": (0.0, 0.03),
    "fit": (0.03, 0.75),
    "export": (0.75, 0.78),
    "evaluate": (0.78, 0.85),
    "gate": (0.85, 0.97),
    "publish": (0.97, 1.0),
}
_QUOTED: Final = re.compile(r"""'[^']*'|"[^"]*\"""")


@dataclass(frozen=True, slots=True)
class Page:
    """What is told at one moment."""

    stage: str
    progress: float  # 0 to 1, of the whole job
    log: str


class Diary:
    """Safe to use from two threads. Keeps no words that somebody said: quoted texts of clips are left out of lines."""

    def __init__(self, log: str = "") -> None:
        self._lock = threading.Lock()
        self._lines = deque(log.splitlines(), LINES)
        self._stage, self._share = "", 0.0
        self._texts: frozenset[str] = frozenset()

    def withhold(self, texts: Iterable[str]) -> None:
        """Leave these out of every line from now on."""
        self._texts = frozenset(texts)

    def begin(self, stage: str) -> None:
        with self._lock:
            self._stage, self._share = stage, 0.0
        self.say(stage)

    def go(self, share: float) -> None:
        """How much of the stage is done, 0 to 1."""
        with self._lock:
            self._share = min(1.0, max(0.0, share))

    def say(self, line: str) -> None:
        told = f"{datetime.now(UTC):%H:%M:%S} {self.clean(line)}"[:LONGEST]
        with self._lock:
            self._lines.append(told)

    def page(self) -> Page:
        with self._lock:
            low, high = STAGES.get(self._stage, (0.0, 0.0))
            return Page(self._stage, low + self._share * (high - low), "\n".join(self._lines))

    def clean(self, line: str) -> str:
        """A line as it may be kept."""
        return _QUOTED.sub(lambda found: "'…'" if found[0][1:-1] in self._texts else found[0], " ".join(line.split()))
