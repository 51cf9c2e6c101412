"""Two language models as one: what a base model knows, and sentences it has not seen.

A mixture of sentences: with probability `share` a sentence is of the other model, else of the base. After some words h
of it the odds have moved, so the next word is interpolated with the weight of Bayes' rule (Bellegarda 2004,
"Statistical language model adaptation", calls it dynamic interpolation),

    weight(h) = share P_other(h) / ((1 - share) P_base(h) + share P_other(h))

and all is written down as one back-off model of the n-grams of both. So a new sentence costs `share` once, at its
start, and is likely from then on, while n-grams of words that it does not have keep their probability; with one weight
for all words every other sentence would pay for each of its words. A word that only one of the models knows has no
probability in the other, and <unk> keeps the base's: a few sentences know nothing of how many words there are.
Back-off weights are computed anew, so the words after every context sum to one.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from training.lm.arpa import LOG10_OF_ZERO, ArpaModel, Ngrams
from training.lm.numbering import START, UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Sequence

Key = tuple[int, ...]


def mix(base: ArpaModel, other: ArpaModel, share: float) -> ArpaModel:
    """A `share` of sentences of `other`, between 0 and 1; the order is that of the higher one."""
    if not 0 < share < 1:
        raise ValueError(f"a share of {share} leaves nothing to mix; it lies between 0 and 1")
    numbers = joined(base, other)
    one, two = Backoff(base, numbers), Backoff(other, numbers)
    mixed: dict[Key, float] = {}
    orders: list[list[Key]] = []
    for length in range(1, max(base.order, other.order) + 1):
        keys = sorted({*one.keys(length), *two.keys(length)})
        for key in keys:
            seen, unseen = (1 - share) * one.occurrence(key[:-1]), share * two.occurrence(key[:-1])
            weight = unseen / (seen + unseen) if unseen else 0.0
            mixed[key] = (1 - weight) * one.probability(key) + weight * two.probability(key)
        orders.append(keys)
        if length == 1:
            _keep_unknown(mixed, one.probability((UNKNOWN,)))
    weights = _backoffs(orders, mixed)
    return ArpaModel(tuple(numbers), tuple(_ngrams(keys, mixed, weights) for keys in orders))


def joined(base: ArpaModel, other: ArpaModel) -> dict[str, int]:
    """The words of both by their number in a mixture."""
    return {word: number for number, word in enumerate(dict.fromkeys([*base.vocabulary, *other.vocabulary]))}


def _keep_unknown(unigrams: dict[Key, float], probability: float) -> None:
    """Give <unk> this probability, and the other words the rest of one."""
    unigrams[(UNKNOWN,)] = 0.0
    scale = (1 - probability) / sum(unigrams.values())
    for key in unigrams:
        unigrams[key] *= scale
    unigrams[(UNKNOWN,)] = probability


class Backoff:
    """A model's probabilities, none of them logarithms, for words by the numbers of another vocabulary."""

    def __init__(self, model: ArpaModel, numbers: dict[str, int]) -> None:
        renumbered = np.array([numbers[word] for word in model.vocabulary], np.int32)
        self._probability: dict[Key, float] = {}
        self._backoff: dict[Key, float] = {}
        self._by_length: list[list[Key]] = []
        self._occurrence: dict[Key, float] = {(): 1.0, (START,): 1.0}
        for ngrams in model.orders:
            keys = list(map(tuple, renumbered[ngrams.words].tolist()))
            self._probability.update(zip(keys, _plain(ngrams.log10_probability), strict=True))
            self._backoff.update(zip(keys, _plain(ngrams.log10_backoff), strict=True))
            self._by_length.append(keys)

    def keys(self, length: int) -> Sequence[Key]:
        return self._by_length[length - 1] if length <= len(self._by_length) else ()

    def probability(self, key: Key) -> float:
        """p(last word | the words before it), 0 for a word the model does not know."""
        weight = 1.0
        while key not in self._probability:
            if len(key) == 1:
                return 0.0
            weight *= self._backoff.get(key[:-1], 1.0)
            key = key[1:]
        return weight * self._probability[key]

    def occurrence(self, words: Key) -> float:
        """The probability that these words follow one another: from the start of a sentence, or from anywhere."""
        known = self._occurrence.get(words)
        if known is None:
            before = self.occurrence(words[:-1])
            known = self._occurrence[words] = before * self.probability(words) if before else 0.0
        return known


def _plain(log10: np.ndarray[tuple[int], np.dtype[np.float64]]) -> list[float]:
    values: list[float] = np.where(log10 <= LOG10_OF_ZERO, 0.0, 10.0**log10).tolist()
    return values


def _backoffs(orders: Sequence[Sequence[Key]], mixed: dict[Key, float]) -> dict[Key, float]:
    """What each context leaves to the shorter one, shortest contexts first, since the longer ones lean on them."""
    weights: dict[Key, float] = {}
    for keys in orders[1:]:
        seen: dict[Key, float] = {}
        below: dict[Key, float] = {}
        for key in keys:
            context = key[:-1]
            seen[context] = seen.get(context, 0.0) + mixed[key]
            below[context] = below.get(context, 0.0) + _lower(key[1:], mixed, weights)
        for context, total in seen.items():
            left, free = 1.0 - total, 1.0 - below[context]
            weights[context] = left / free if left > 0 and free > 1e-9 else 0.0
    return weights


def _lower(key: Key, mixed: dict[Key, float], weights: dict[Key, float]) -> float:
    weight = 1.0
    while key not in mixed:
        weight *= weights.get(key[:-1], 1.0)
        key = key[1:]
    return weight * mixed[key]


def _ngrams(keys: Sequence[Key], mixed: dict[Key, float], weights: dict[Key, float]) -> Ngrams:
    length = len(keys[0])
    words = np.array(keys, np.int32).reshape(-1, length)
    return Ngrams(words, _log10([mixed[key] for key in keys]), _log10([weights.get(key, 1.0) for key in keys]))


def _log10(values: Sequence[float]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.array([math.log10(value) if value > 0 else LOG10_OF_ZERO for value in values])
