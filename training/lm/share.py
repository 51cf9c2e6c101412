"""How much of a mixture of two models a text asks for: the share under which it is least surprising."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from stt_server.errors import BadInput
from training.lm.mixing import Backoff, joined
from training.lm.numbering import END, START

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from numpy.typing import NDArray

    from training.lm.arpa import ArpaModel

    Floats = NDArray[np.float64]

LEAST, MOST = 0.0005, 0.9995
TRIED = 41  # shares, evenly spread in their odds, between which the best one lies
UNSEEN = -1  # the number of a word that neither model knows
ROUNDS = 40  # of golden section
GOLDEN_SECTION = (5**0.5 - 1) / 2


def tune_share(base: ArpaModel, other: ArpaModel, sentences: Iterable[str]) -> float:
    """The share for `mix(base, other, share)` that fits a text which neither was estimated from.

    Each word is weighed as `mix` does it, by what the words before it have left of the share. All is read off the two
    models once, so trying a share costs a millisecond. Raises BadInput for a text without a word that either knows.
    """
    table = np.array(list(_words(base, other, sentences))).reshape(-1, 4)
    if not len(table):
        raise BadInput("no word of the text is known to either model; tune the share on other sentences")

    def surprise(odds: float) -> float:
        share = 1 / (1 + np.exp(-odds))
        first, second = (1 - share) * table[:, 2], share * table[:, 3]
        mixed = (first * table[:, 0] + second * table[:, 1]) / (first + second)
        return float(-np.log(mixed).mean())

    best = _least(surprise, np.log(LEAST / (1 - LEAST)), np.log(MOST / (1 - MOST)))
    return float(1 / (1 + np.exp(-best)))


def _words(base: ArpaModel, other: ArpaModel, sentences: Iterable[str]) -> Iterator[tuple[float, float, float, float]]:
    """Of each word that one model knows: its probability in both, and how probable the words before it are in both."""
    numbers = joined(base, other)
    one, two = Backoff(base, numbers), Backoff(other, numbers)
    reach = max(base.order, other.order) - 1
    for sentence in sentences:
        tokens = [START, *(numbers.get(word, UNSEEN) for word in sentence.split()), END]
        if len(tokens) == 2:
            continue
        for place in range(1, len(tokens)):
            before = tuple(tokens[max(0, place - reach) : place])
            if tokens[place] != UNSEEN:
                yield _weighed(one, two, before, tokens[place])


def _weighed(one: Backoff, two: Backoff, before: tuple[int, ...], word: int) -> tuple[float, float, float, float]:
    """After as many of the words before it as one of the models can have said, with this one behind them."""
    while True:
        if UNSEEN not in before:
            key = (*before, word)
            found = one.probability(key), two.probability(key), one.occurrence(before), two.occurrence(before)
            if found[0] * found[2] or found[1] * found[3] or not before:
                return found
        before = before[1:]


def _least(surprise: Callable[[float], float], low: float, high: float) -> float:
    """Where it is least: the best of a few, then golden section around it."""
    tried = np.linspace(low, high, TRIED)
    best = int(np.argmin([surprise(each) for each in tried]))
    low, high = float(tried[max(0, best - 1)]), float(tried[min(TRIED - 1, best + 1)])
    for _ in range(ROUNDS):
        left, right = high - GOLDEN_SECTION * (high - low), low + GOLDEN_SECTION * (high - low)
        low, high = (low, right) if surprise(left) < surprise(right) else (left, high)
    return (low + high) / 2
