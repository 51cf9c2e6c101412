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

from typing import TYPE_CHECKING

import numpy as np

from training.lm.arpa import LOG10_OF_ZERO, ArpaModel, Ngrams
from training.lm.numbering import START, UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

Key = tuple[int, ...]
NOWHERE = -1  # the row of an n-gram that is not there
LEAST_FREE = 1e-9  # of a shorter context; below it nothing is left that could be handed on


def mix(base: ArpaModel, other: ArpaModel, share: float) -> ArpaModel:
    """A `share` of sentences of `other`, between 0 and 1; the order is that of the higher one."""
    return Mixture(base, other).at(share)


class Mixture:
    """The n-grams of two models with all that does not depend on the share, so that several shares can be tried."""

    def __init__(self, base: ArpaModel, other: ArpaModel) -> None:
        self.vocabulary = tuple(dict.fromkeys([*base.vocabulary, *other.vocabulary]))
        numbers = {word: number for number, word in enumerate(self.vocabulary)}
        one, two = _Backoff(base, numbers), _Backoff(other, numbers)
        self.rows: list[dict[Key, int]] = []  # of every n-gram, by order
        self._tables: list[_Table] = []
        for length in range(1, max(base.order, other.order) + 1):
            keys = sorted({*one.keys(length), *two.keys(length)})
            self.rows.append({key: row for row, key in enumerate(keys)})
            below = self.rows[-2] if length > 1 else {}
            self._tables.append(_Table(keys, below, one, two))

    def at(self, share: float) -> ArpaModel:
        """The mixture. Raises ValueError for a share that leaves nothing to mix."""
        if not 0 < share < 1:
            raise ValueError(f"a share of {share} leaves nothing to mix; it lies between 0 and 1")
        mixed = [table.mixed(share) for table in self._tables]
        _keep_unknown(mixed[0], self._tables[0].base[UNKNOWN])
        weights: list[Floats] = []
        for table, values, below in zip(self._tables[1:], mixed[1:], mixed, strict=False):
            weights.append(self._backoffs(table, values, below, mixed, weights))
        weights.append(np.ones(len(mixed[-1])))
        return ArpaModel(self.vocabulary, tuple(map(_ngrams, self._tables, mixed, weights)))

    def _backoffs(
        self, table: _Table, mixed: Floats, below: Floats, all_mixed: list[Floats], weights: list[Floats]
    ) -> Floats:
        """What each context of the table leaves to the shorter one. Those below are there already: it leans on them."""
        lower = np.where(table.suffix == NOWHERE, 0.0, below[table.suffix])
        for row in np.flatnonzero(table.suffix == NOWHERE):
            lower[row] = self._lower(tuple(table.words[row, 1:].tolist()), all_mixed, weights)
        inside = table.context != NOWHERE
        seen = np.bincount(table.context[inside], mixed[inside], minlength=len(below))
        known = np.bincount(table.context[inside], lower[inside], minlength=len(below))
        left, free = 1.0 - seen, 1.0 - known
        handed = np.divide(left, free, out=np.zeros(len(below)), where=(left > 0) & (free > LEAST_FREE))
        handed[np.bincount(table.context[inside], minlength=len(below)) == 0] = 1.0
        return handed

    def _lower(self, key: Key, mixed: list[Floats], weights: list[Floats]) -> float:
        """The probability of an n-gram that is not there: some models list "a b c" without "b c"."""
        weight = 1.0
        while (row := self.rows[len(key) - 1].get(key)) is None:
            context = self.rows[len(key) - 2].get(key[:-1])
            weight *= 1.0 if context is None else float(weights[len(key) - 2][context])
            key = key[1:]
        return weight * float(mixed[len(key) - 1][row])


class _Table:
    """The n-grams of one order: words, rows of context and suffix in the order below, and what both models say."""

    def __init__(self, keys: Sequence[Key], below: dict[Key, int], one: _Backoff, two: _Backoff) -> None:
        self.words = np.array(keys, np.int32).reshape(len(keys), -1)
        self.context = np.array([below.get(key[:-1], NOWHERE) for key in keys], np.int64)
        self.suffix = np.array([below.get(key[1:], NOWHERE) for key in keys], np.int64)
        self.base, self._other = (np.array([model.probability(key) for key in keys]) for model in (one, two))
        self._seen, self._unseen = (np.array([model.occurrence(key[:-1]) for key in keys]) for model in (one, two))

    def mixed(self, share: float) -> Floats:
        """The probability of the last word after the others, in a mixture of sentences."""
        seen, unseen = (1 - share) * self._seen, share * self._unseen
        weight: Floats = np.divide(unseen, seen + unseen, out=np.zeros(len(seen)), where=unseen > 0)
        both: Floats = (1 - weight) * self.base + weight * self._other
        return both


def _keep_unknown(unigrams: Floats, probability: float) -> None:
    """Give <unk> this probability, and the other words the rest of one."""
    unigrams[UNKNOWN] = 0.0
    unigrams *= (1 - probability) / unigrams.sum()
    unigrams[UNKNOWN] = probability


class _Backoff:
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


def _ngrams(table: _Table, mixed: Floats, weights: Floats) -> Ngrams:
    return Ngrams(table.words, _log10(mixed), _log10(weights))


def _log10(values: Floats) -> Floats:
    return np.log10(values, out=np.full(len(values), LOG10_OF_ZERO), where=values > 0)
