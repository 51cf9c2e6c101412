"""Is the difference between two models more than chance? The paired bootstrap, and how much data would tell.

Both heard the same utterances, so what is drawn is the utterance with both results: what is hard for both says nothing
about either (Bisani and Ney 2004, "Bootstrap estimates for confidence intervals in ASR performance evaluation"). Where
enough speakers are named, whole speakers are drawn: people differ more than sentences do.

A bootstrap can only draw what was seen: from utterances of which none became worse it would conclude that none can.
There, the rule of three (Hanley and Lippman-Hand 1983: nothing in n trials leaves up to 3 / n possible, at 95 %) keeps
three errors more possible, and three fewer where none became better.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Sequence

    from numpy.typing import ArrayLike, NDArray

    Numbers = NDArray[np.float64]

INTERVAL = (0.025, 0.975)
UNSEEN = 3.0  # errors that may have been missed by chance where none was seen
DRAWN_AT_ONCE = 2_000_000  # numbers; 16 MB


@dataclass(frozen=True, slots=True)
class Change:
    """Error rates of both models on one set, and `delta` = base - candidate, what the candidate gains.

    Its 95 % interval runs from `low` to `high`; `drawn` units were resampled.
    """

    base: float
    candidate: float
    delta: float
    low: float
    high: float
    drawn: int


def compare(
    base: ArrayLike,
    candidate: ArrayLike,
    words: ArrayLike,
    *,
    groups: Sequence[Hashable] | None = None,
    resamples: int = 2000,
    seed: int = 0,
) -> Change:
    """From errors of both models and words said, one of each an utterance; `groups` names what is drawn whole.

    Raises ValueError without utterances, or where nothing is said in any.
    """
    before, after, said = (np.asarray(each, float) for each in (base, candidate, words))
    if not said.sum() > 0:
        raise ValueError("there is nothing to compare: no utterance with a word")
    gains, total = before - after, float(said.sum())
    drawn_gains, drawn_words = _summed(groups, gains, said)
    drawn = np.concatenate(list(_resampled(drawn_gains, drawn_words, resamples, seed)))
    low, high = np.quantile(drawn, INTERVAL)
    delta = float(gains.sum()) / total
    if not (gains < 0).any():
        low = min(low, delta - UNSEEN / total)
    if not (gains > 0).any():
        high = max(high, delta + UNSEEN / total)
    if not before.any():
        high = min(high, 0.0)  # where the base makes no error there is nothing to gain
    rates = float(before.sum()) / total, float(after.sum()) / total
    return Change(*rates, delta, float(min(low, delta)), float(max(high, delta)), len(drawn_gains))


def clips_needed(change: Change, clips: int, distance: float) -> int:
    """About how many clips like these would narrow the interval's half to `distance`: it falls with their root."""
    half = (change.high - change.low) / 2
    return max(clips + 1, math.ceil(clips * (half / distance) ** 2))


def _summed(groups: Sequence[Hashable] | None, gains: Numbers, words: Numbers) -> tuple[Numbers, Numbers]:
    """Of each unit that is drawn, what was gained and what was said."""
    if groups is None:
        return gains, words
    _, group_of = np.unique(np.asarray(groups), return_inverse=True)
    drawn_gains: Numbers = np.bincount(group_of, weights=gains).astype(float)
    return drawn_gains, np.bincount(group_of, weights=words).astype(float)


def _resampled(gains: Numbers, words: Numbers, resamples: int, seed: int) -> Iterator[NDArray[Any]]:
    """The gain in the rate over as many units, drawn again and again; a draw without a word counts as no gain."""
    rng = np.random.default_rng(seed)
    at_once = max(1, DRAWN_AT_ONCE // len(gains))
    for begun in range(0, resamples, at_once):
        drawn = rng.integers(len(gains), size=(min(at_once, resamples - begun), len(gains)))
        yield gains[drawn].sum(1) / np.maximum(words[drawn].sum(1), 1.0)
