"""Sentences drawn from a back-off model: text of the kind it was estimated from, where that text is not at hand."""

from __future__ import annotations

from bisect import bisect
from itertools import accumulate
from typing import TYPE_CHECKING

from training.lm.numbering import END, START, UNKNOWN

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator

    from training.lm.arpa import ArpaModel

Key = tuple[int, ...]
TRIES = 100  # for a sentence of the length that is wanted, and for a word that a context lacks


class Sampler:
    """Draws exactly by the model's probabilities: a word after its context, or one that a shorter context draws."""

    def __init__(self, model: ArpaModel) -> None:
        self._vocabulary, self._order = model.vocabulary, model.order
        after: dict[Key, list[tuple[int, float]]] = {}
        for ngrams in model.orders:
            for words, log10 in zip(ngrams.words.tolist(), ngrams.log10_probability.tolist(), strict=True):
                if words[-1] not in (START, UNKNOWN):
                    after.setdefault(tuple(words[:-1]), []).append((words[-1], 10.0**log10))
        self._words = {context: [word for word, _ in pairs] for context, pairs in after.items()}
        self._upto = {context: list(accumulate(p for _, p in pairs)) for context, pairs in after.items()}

    def sentences(self, dice: random.Random, shortest: int, longest: int) -> Iterator[str]:
        """Sentences of `shortest` to `longest` words, without end. Raises ValueError where the model hardly has any."""
        misses = 0
        while misses < TRIES:
            numbers = self._draw(dice, longest)
            if shortest <= len(numbers) <= longest:
                misses = 0
                yield " ".join(self._vocabulary[number] for number in numbers)
            else:
                misses += 1
        raise ValueError(f"the language model has hardly a sentence of {shortest} to {longest} words")

    def _draw(self, dice: random.Random, longest: int) -> list[int]:
        words = [START]
        while len(words) <= longest + 1:
            word = self._next(dice, tuple(words[-(self._order - 1) :]) if self._order > 1 else ())
            if word == END:
                break
            words.append(word)
        return words[1:]

    def _next(self, dice: random.Random, context: Key) -> int:
        """A word after the context: one of its own or, with what those leave over, another of the shorter context."""
        own, upto = self._words.get(context, []), self._upto.get(context, [0.0])
        drawn = dice.random() * (1.0 if context else upto[-1])  # nothing is shorter than no context
        if drawn < upto[-1]:
            return own[bisect(upto, drawn)]
        for _ in range(TRIES):
            word = self._next(dice, context[1:])
            if word not in own:
                return word
        # It has them all: what it leaves over is rounding.
        return own[min(bisect(upto, drawn * upto[-1]), len(own) - 1)]
