"""The best label of every frame, repeats and blanks taken out (Graves et al. 2006, best path decoding)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from stt_server.speech.alphabet import BLANK
from stt_server.speech.decoder.interface import Hypothesis, TimedWord

if TYPE_CHECKING:
    from collections.abc import Callable

    from stt_server.speech.alphabet import Alphabet
    from stt_server.speech.decoder.interface import Asked, LogProbs


class GreedyDecoder:
    """Needs numpy alone, so it is always there."""

    name = "greedy"
    takes = frozenset[str]()

    def __init__(self, alphabet: Alphabet) -> None:
        self.alphabet = alphabet

    def open(self) -> GreedyDecoding:
        return GreedyDecoding(self.alphabet)

    def prepare(self, asked: Asked) -> Callable[[], GreedyDecoding]:  # noqa: ARG002  the interface
        return self.open


class GreedyDecoding:
    """Grows only: a letter once written stays, so every word but the last is settled.

    A word lasts from its first letter's first frame to its last letter's last one; its confidence is the mean
    probability of the frames in which one of its letters was the best label.
    """

    def __init__(self, alphabet: Alphabet) -> None:
        self._alphabet = alphabet
        self._frames = 0
        self._previous = BLANK
        self._words: list[TimedWord] = []
        self._settled = 0  # characters of the closed words, each with the space behind it
        self._begun = _Begun()

    def step(self, logprobs_TV: LogProbs) -> None:
        labels = logprobs_TV.argmax(1)
        best = np.exp(logprobs_TV[np.arange(len(labels)), labels])
        for label, probability in zip(labels.tolist(), best.tolist(), strict=True):
            if label == self._alphabet.space:
                self._close_word()
            elif label != BLANK:
                self._begun.add(self._letter(label), self._frames, probability)
            self._previous = label
            self._frames += 1

    def hold(self, logprobs_TV: LogProbs) -> None:
        self.step(logprobs_TV)  # whatever a kind of it does in a step

    def partial(self) -> Hypothesis:
        last = self._begun.word()
        if last is None:
            return Hypothesis(tuple(self._words), max(0, self._settled - 1))
        return Hypothesis((*self._words, last), self._settled)

    def final(self) -> Hypothesis:
        self._close_word()
        return self.partial()

    def finals(self, count: int) -> tuple[Hypothesis, ...]:  # noqa: ARG002 - nothing is searched, so there is but one
        return (self.final(),)

    def spelled(self) -> str:
        return self.partial().text

    def _letter(self, label: int) -> str:
        """The letter a frame adds; none where it goes on with the letter of the frame before."""
        return "" if label == self._previous else self._alphabet.letters[label - 1]

    def _close_word(self) -> None:
        word = self._begun.word()
        if word:
            self._words.append(word)
            self._settled += len(word.text) + 1
        self._begun = _Begun()


class _Begun:
    """The word being written: its letters, first and last frame, and the probabilities of its frames."""

    def __init__(self) -> None:
        self.letters = ""
        self.start = self.end = 0
        self.total, self.frames = 0.0, 0

    def add(self, letter: str, frame: int, probability: float) -> None:
        if not self.letters:
            self.start = frame
        self.letters += letter
        self.end = frame + 1
        self.total, self.frames = self.total + probability, self.frames + 1

    def word(self) -> TimedWord | None:
        if not self.letters:
            return None
        return TimedWord(self.letters, self.start, self.end, round(self.total / self.frames, 4))
