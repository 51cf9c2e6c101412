"""Scoring sentences with a model in memory or a mapped one, and its perplexity on text it has not seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from training.lm.mapped import BinaryModel
from training.lm.numbering import END, START, UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from training.lm.arpa import ArpaModel

Found = tuple[float, float]  # log10 probability and back-off
NOTHING = (0.0, 0.0)
MOST_UNKNOWN = 1000  # different unknown words that are counted one by one


@dataclass(frozen=True, slots=True)
class Perplexity:
    """`value` over `words` predictions: the known words and the end of each sentence. `unknown` words are left out of
    it and are in `with_unknown`, each at the probability of <unk>. `missing` are the unknown ones, most frequent first.
    """

    value: float
    words: int
    unknown: int
    with_unknown: float
    sentences: int
    missing: tuple[tuple[str, int], ...]

    @property
    def unknown_share(self) -> float:
        """Of the words, ends of sentences not counted."""
        return self.unknown / max(1, self.words + self.unknown - self.sentences)


class Scorer:
    """Looks probabilities up by backing off, as a decoder does."""

    def __init__(self, model: ArpaModel | BinaryModel) -> None:
        self._number = {word: number for number, word in enumerate(model.vocabulary)}
        self._order = model.order
        self._ngrams = _Mapped(model) if isinstance(model, BinaryModel) else _InMemory(model)

    def score(self, sentence: str) -> list[tuple[float, bool]]:
        """log10 p of every word and of the sentence's end, given what stands before it, and whether it is known."""
        numbers = [START, *(self._number.get(word, UNKNOWN) for word in sentence.split()), END]
        return [
            (self.log10_probability(numbers[place], numbers[:place]), numbers[place] != UNKNOWN)
            for place in range(1, len(numbers))
        ]

    def log10_probability(self, word: int, before: Sequence[int]) -> float:
        """log10 p(word | before), both as places in the vocabulary."""
        penalty = 0.0
        for start in range(max(0, len(before) - self._order + 1), len(before) + 1):
            context = tuple(before[start:])
            found = self._ngrams.find((*context, word))
            if found is not None:
                return penalty + found[0]
            penalty += (self._ngrams.find(context) or NOTHING)[1]
        raise AssertionError("every word of the vocabulary is a 1-gram")


class _InMemory:
    def __init__(self, model: ArpaModel) -> None:
        self._found: dict[tuple[int, ...], Found] = {}
        for ngrams in model.orders:
            self._found.update((tuple(words), (log10, backoff)) for words, log10, backoff in ngrams.rows())

    def find(self, words: tuple[int, ...]) -> Found | None:
        return self._found.get(words)


class _Mapped:
    """Remembers what it was asked: the same few words stand before most others."""

    def __init__(self, model: BinaryModel) -> None:
        self._model = model
        self._asked: dict[tuple[int, ...], Found | None] = {}

    def find(self, words: tuple[int, ...]) -> Found | None:
        if words not in self._asked:
            there, log10, backoff = self._model.find(np.array([words], np.int64))
            self._asked[words] = (float(log10[0]), float(backoff[0])) if there[0] else None
        return self._asked[words]


def perplexity(model: ArpaModel | BinaryModel, sentences: Iterable[str]) -> Perplexity:
    """Raises ValueError when there is no sentence."""
    scorer = Scorer(model)
    known: list[float] = []
    unknown: list[float] = []
    lines = 0
    missing: dict[str, int] = {}
    for sentence in sentences:
        if not (words := sentence.split()):
            continue
        lines += 1
        for word, (log10, is_known) in zip([*words, ""], scorer.score(sentence), strict=True):
            (known if is_known else unknown).append(log10)
            if not is_known and (word in missing or len(missing) < MOST_UNKNOWN):
                missing[word] = missing.get(word, 0) + 1
    if not known:
        raise ValueError("no sentence to measure the perplexity on")
    ranked = sorted(missing.items(), key=lambda each: (-each[1], each[0]))
    return Perplexity(_per_word(known), len(known), len(unknown), _per_word([*known, *unknown]), lines, tuple(ranked))


def _per_word(log10: Sequence[float]) -> float:
    value: float = 10 ** (-sum(log10) / len(log10))
    return value
