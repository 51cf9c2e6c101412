"""A canary's trial: is it worse than the live model for those who are heard by it?

Both are counted from the same moment on, over all servers: each adds what it has counted to rows that all of them share
(`store/trials.py`), and judges by the sums. The rule, looked at every few seconds in which something was heard:

| judged | counts | when both have |
| --- | --- | --- |
| streams that failed by the server's own fault | share of streams | `LEAST_STREAMS` streams that ended |
| finals without a word | share of finals | `LEAST_UTTERANCES` finals |
| mean confidence of the words of a final | mean over finals with words | `LEAST_UTTERANCES` finals with words |

The canary loses where it is worse by `BOUND` standard errors (two proportions with pooled variance; two means with
their own variances, as Welch). Chance deals the sessions out, so that silence and noise come to both alike. The bound
is far out, 3 in 100,000 for a single look, because the rule is looked at again and again. Worse words said with
confidence are not seen here: that is the gate's task, and the shadow's.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Final

from stt_server.errors import Internal
from stt_server.messages import Failed, Finished
from stt_server.messages import Final as Utterance

if TYPE_CHECKING:
    from stt_server.messages import Event

LEAST_STREAMS: Final = 20
LEAST_UTTERANCES: Final = 50
BOUND: Final = 4.0  # standard errors


@dataclass(slots=True)
class Tally:
    """What came of the streams of one model. Counted on the event loop, an addition or two for each final; the counts
    are those of `store/trials.py`.
    """

    streams: int = 0  # that ended
    failed: int = 0  # of those, by `internal`: a client's own faults say nothing of a model
    utterances: int = 0
    empty: int = 0
    worded: int = 0
    confidence: float = 0.0  # summed over utterances with words, of the mean of each
    confidence_squared: float = 0.0

    def said(self, event: Event) -> None:
        if isinstance(event, Utterance):
            self._heard(event)
        elif isinstance(event, Finished | Failed):
            self.streams += 1
            self.failed += isinstance(event, Failed) and isinstance(event.error, Internal)

    def _heard(self, final: Utterance) -> None:
        self.utterances += 1
        self.empty += not final.text
        if final.words:
            mean = sum(word.confidence for word in final.words) / len(final.words)
            self.worded += 1
            self.confidence += mean
            self.confidence_squared += mean * mean

    def less(self, taken: Tally) -> None:
        """What was taken is counted elsewhere."""
        for field in fields(self):
            setattr(self, field.name, getattr(self, field.name) - getattr(taken, field.name))


@dataclass(frozen=True, slots=True)
class Trial:
    """A canary and the live model that it is held against, by id, each with its tally of what the rows do not have yet.

    `number` is that of the change which began it.
    """

    canary_id: str
    live_id: str
    canary: Tally
    live: Tally
    number: int = 0

    def tally_of(self, model_id: str) -> Tally | None:
        return self._tallies.get(model_id)

    def pending(self) -> dict[str, Tally]:
        """What is to be added to the rows, by model; to be `settled` when it was."""
        return {ident: replace(tally) for ident, tally in self._tallies.items() if tally != Tally()}

    def settled(self, added: dict[str, Tally]) -> None:
        for ident, tally in added.items():
            self._tallies[ident].less(tally)

    @property
    def _tallies(self) -> dict[str, Tally]:
        return {self.canary_id: self.canary, self.live_id: self.live}


def judge(canary: Tally, live: Tally) -> str | None:
    """Why the canary is worse than the live model by this module's rule; None where it is not, or not yet known."""
    if min(canary.streams, live.streams) >= LEAST_STREAMS:
        far = _proportions(canary.failed, canary.streams, live.failed, live.streams)
        if far >= BOUND:
            return f"{_of(canary.failed, canary.streams)} streams failed, live {_of(live.failed, live.streams)}"
    if min(canary.utterances, live.utterances) >= LEAST_UTTERANCES:
        far = _proportions(canary.empty, canary.utterances, live.empty, live.utterances)
        if far >= BOUND:
            return f"{_of(canary.empty, canary.utterances)} finals were empty, live {_of(live.empty, live.utterances)}"
    if min(canary.worded, live.worded) >= LEAST_UTTERANCES and _means(canary, live) >= BOUND:
        ours, theirs = canary.confidence / canary.worded, live.confidence / live.worded
        return f"its mean confidence over {canary.worded} finals is {ours:.2f}, live {theirs:.2f} over {live.worded}"
    return None


def _proportions(hits: int, of: int, other_hits: int, other_of: int) -> float:
    """By how many standard errors the first share is above the other."""
    pooled = (hits + other_hits) / (of + other_of)
    error = math.sqrt(pooled * (1 - pooled) * (1 / of + 1 / other_of))
    return (hits / of - other_hits / other_of) / error if error else 0.0


def _means(canary: Tally, live: Tally) -> float:
    """By how many standard errors the canary's mean confidence is below the live model's."""
    below = live.confidence / live.worded - canary.confidence / canary.worded
    error = math.sqrt(_variance(canary) / canary.worded + _variance(live) / live.worded)
    return below / error if error else math.copysign(math.inf, below) if below else 0.0


def _variance(tally: Tally) -> float:
    mean = tally.confidence / tally.worded
    return max(0.0, tally.confidence_squared / tally.worded - mean * mean)


def _of(hits: int, of: int) -> str:
    return f"{hits} of {of}"
