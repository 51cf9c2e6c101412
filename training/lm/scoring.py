"""Scoring sentences with a model in memory, and its perplexity on text it has not seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from training.lm.numbering import END, START, UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from training.lm.arpa import ArpaModel


@dataclass(frozen=True, slots=True)
class Perplexity:
    """`value` over `words` predictions: the known words and the end of each sentence. `unknown` words are left out."""

    value: float
    words: int
    unknown: int


class Scorer:
    """Looks probabilities up by backing off, as a decoder does."""

    def __init__(self, model: ArpaModel) -> None:
        self._number = {word: number for number, word in enumerate(model.vocabulary)}
        self._order = model.order
        self._found: dict[tuple[int, ...], tuple[float, float]] = {}
        for ngrams in model.orders:
            values = zip(ngrams.log10_probability.tolist(), ngrams.log10_backoff.tolist(), strict=True)
            self._found.update(zip(map(tuple, ngrams.words.tolist()), values, strict=True))

    def score(self, sentence: str) -> list[tuple[float, bool]]:
        """log10 p of every word and of the sentence's end, given what stands before it, and whether it is known."""
        numbers = [START, *(self._number.get(word, UNKNOWN) for word in sentence.split()), END]
        return [
            (self.log10_probability(numbers[place], numbers[:place]), numbers[place] != UNKNOWN)
            for place in range(1, len(numbers))
        ]

    def log10_probability(self, word: int, before: list[int]) -> float:
        """log10 p(word | before), both as places in the vocabulary."""
        penalty = 0.0
        for start in range(max(0, len(before) - self._order + 1), len(before) + 1):
            context = tuple(before[start:])
            found = self._found.get((*context, word))
            if found is not None:
                return penalty + found[0]
            penalty += self._found.get(context, (0.0, 0.0))[1]
        raise AssertionError("every word of the vocabulary is a 1-gram")


def perplexity(model: ArpaModel, sentences: Iterable[str]) -> Perplexity:
    """Raises ValueError when there is no sentence."""
    scores = list(_scores(Scorer(model), sentences))
    known = [log10_probability for log10_probability, is_known in scores if is_known]
    if not known:
        raise ValueError("no sentence to measure the perplexity on")
    return Perplexity(10 ** (-sum(known) / len(known)), len(known), len(scores) - len(known))


def _scores(scorer: Scorer, sentences: Iterable[str]) -> Iterator[tuple[float, bool]]:
    for sentence in sentences:
        if sentence.split():
            yield from scorer.score(sentence)
