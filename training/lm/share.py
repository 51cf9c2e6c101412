"""How much of a mixture of two models a text asks for: the share under which it is least surprising."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from stt_server.errors import BadInput
from training.lm.mixing import Mixture
from training.lm.numbering import END, START, UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from training.lm.arpa import ArpaModel
    from training.lm.mixing import Key

    Place = tuple[int, int, bool]

LEAST, MOST = 0.0005, 0.9995
TRIED = 12  # shares, evenly spread in their odds, between which the best one lies
ROUNDS = 16  # of golden section: the share is then found within a thousandth of its odds
GOLDEN_SECTION = (5**0.5 - 1) / 2


def tune_share(base: ArpaModel, other: ArpaModel, sentences: Iterable[str]) -> float:
    """The share for `mix(base, other, share)` that fits a text which neither was estimated from.

    Which n-grams the text asks for does not depend on the share, so they are looked up once. Raises BadInput for a text
    without a word that either model knows.
    """
    mixture = Mixture(base, other)
    asked = list(_asked(mixture, sentences))
    if not asked:
        raise BadInput("no word of the text is known to either model; tune the share on other sentences")
    picked = [
        (order, is_backoff, np.array([row for n, row, kind in asked if (n, kind) == (order, is_backoff)], np.int64))
        for order in range(len(mixture.rows))
        for is_backoff in (False, True)
    ]

    def surprise(odds: float) -> float:
        model = mixture.at(1 / (1 + math.exp(-odds)))
        return -sum(
            float((ngrams.log10_backoff if is_backoff else ngrams.log10_probability)[rows].sum())
            for order, is_backoff, rows in picked
            for ngrams in (model.orders[order],)
        )

    return 1 / (1 + math.exp(-_least(surprise, math.log(LEAST / (1 - LEAST)), math.log(MOST / (1 - MOST)))))


def _asked(mixture: Mixture, sentences: Iterable[str]) -> Iterator[Place]:
    """Of every known word and end of a sentence: the n-gram that tells it, and the back-offs on the way there."""
    numbers = {word: number for number, word in enumerate(mixture.vocabulary)}
    for sentence in sentences:
        words = [numbers.get(word, UNKNOWN) for word in sentence.split()]
        if not set(words) - {UNKNOWN}:
            continue
        tokens = (START, *words, END)
        for place in range(1, len(tokens)):
            if tokens[place] != UNKNOWN:
                yield from _told_by(mixture, tokens[max(0, place - len(mixture.rows) + 1) : place + 1])


def _told_by(mixture: Mixture, key: Key) -> Iterator[Place]:
    """Order less one, row, and whether its back-off is asked for."""
    while (row := mixture.rows[len(key) - 1].get(key)) is None:
        context = mixture.rows[len(key) - 2].get(key[:-1])
        if context is not None:
            yield len(key) - 2, context, True
        key = key[1:]
    yield len(key) - 1, row, False


def _least(surprise: Callable[[float], float], low: float, high: float) -> float:
    """Where it is least: the best of a few, then golden section around it."""
    tried = np.linspace(low, high, TRIED).tolist()
    best = int(np.argmin([surprise(each) for each in tried]))
    low, high = tried[max(0, best - 1)], tried[min(TRIED - 1, best + 1)]
    for _ in range(ROUNDS):
        left, right = high - GOLDEN_SECTION * (high - low), low + GOLDEN_SECTION * (high - low)
        low, high = (low, right) if surprise(left) < surprise(right) else (left, high)
    return float(low + high) / 2
