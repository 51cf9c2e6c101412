"""How much a judgement of a clip is worth: the queue asks for the clip of the highest value first. Pure rules.

| what | weighs | because |
| --- | --- | --- |
| each vote it has | 1000 | what is nearest to a decision goes first: half-judged clips teach nobody |
| training suspects its label | 1 | a wrong label is being learned from now |
| low confidence | 0.4 | what the model is sure of it mostly has right |
| novel words | 0.2 | words that no agreed text has yet |
| greedy search and language model disagree | 0.2 | where two readings differ, one is wrong |
| a day of age | 0.01 | nothing waits for ever |

All clips age at the same pace, so the order by age at any moment is the order by birth: a clip loses once, when its
value is computed, what it is younger than the epoch. So no row is written again only because time passes.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from stt_server.speech.wer import word_errors

if TYPE_CHECKING:
    from collections.abc import Container, Sequence

EPOCH: Final = datetime(2026, 1, 1, tzinfo=UTC)
PER_VOTE: Final = 1000.0
PER_SUSPICION: Final = 1.0
PER_DOUBT: Final = 0.4
PER_NOVELTY: Final = 0.2
PER_DISAGREEMENT: Final = 0.2
PER_DAY: Final = 0.01


@dataclass(frozen=True, slots=True)
class Heard:
    """What the value of a clip depends on. `greedy` is None where no other reading is known."""

    hypothesis: str
    greedy: str | None
    confidence: float  # 0 to 1
    suspect: float  # 0 to 1
    created: datetime


def worth(clip: Heard, *, votes: int = 0, known: Container[str] | None = None) -> float:
    """The value of a clip that has so many votes. `known` are the words of agreed texts; None makes no word novel."""
    words = clip.hypothesis.split()
    return (
        PER_VOTE * votes
        + PER_SUSPICION * _share(clip.suspect)
        + PER_DOUBT * (1 - _share(clip.confidence))
        + PER_NOVELTY * (0.0 if known is None else novelty(words, known))
        + PER_DISAGREEMENT * (0.0 if clip.greedy is None else disagreement(clip.greedy, clip.hypothesis))
        - PER_DAY * ((clip.created - EPOCH) / timedelta(days=1))
    )


def novelty(words: Sequence[str], known: Container[str]) -> float:
    """Share of the words that are not known; 0 to 1."""
    return sum(word not in known for word in words) / len(words) if words else 0.0


def disagreement(one: str, other: str) -> float:
    """Words that differ, by those of the longer text; 0 to 1."""
    longer = max(len(one.split()), len(other.split()))
    return word_errors(one, other).total / longer if longer else 0.0


def _share(number: float) -> float:
    return min(1.0, max(0.0, number))
