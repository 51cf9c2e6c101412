"""Gold clips: their words are known, so they measure who judges them. Pure rules.

About one clip in `EVERY` that somebody gets is gold; nobody is told which. Of a person's last `LAST` answers to gold
clips the share that is right is that person's accuracy. With `FEWEST` answers or more and less than `FLOOR` of them
right a person is distrusted: their votes do not count, and they get gold clips only, until their accuracy is better.
Nobody is more than one vote: a weight above that would let one person decide.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

EVERY: Final = 10
LAST: Final = 20
FEWEST: Final = 5
FLOOR: Final = 0.6


@dataclass(frozen=True, slots=True)
class Standing:
    """How somebody does at gold clips."""

    answers: int
    right: int

    @property
    def accuracy(self) -> float | None:
        """None before the first answer."""
        return self.right / self.answers if self.answers else None

    @property
    def trusted(self) -> bool:
        return self.answers < FEWEST or self.right >= FLOOR * self.answers


def standing(answers: Sequence[bool]) -> Standing:
    """From all answers to gold clips, the newest first; those before the last `LAST` are forgiven."""
    counted = answers[:LAST]
    return Standing(len(counted), sum(counted))


def gold_is_due(judged: int, gold: int) -> bool:
    """Whether somebody who judged so many clips, so many of them gold, gets a gold one next."""
    return gold * EVERY <= judged
