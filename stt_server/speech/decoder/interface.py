"""What a decoder is: `Decoder.open()` gives the decoding of one utterance."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from stt_server.speech.decoder.grammar import Grammar

    LogProbs = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class TimedWord:
    """A word from frame `start` up to, not including, frame `end` of its utterance; confidence 0–1."""

    text: str
    start: int
    end: int
    confidence: float


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """What an utterance says as far as is known; its first `stable` characters are settled. `score` ranks hypotheses of
    one search: a natural logarithm, 0 where nothing was searched.
    """

    words: tuple[TimedWord, ...]
    stable: int = 0
    score: float = field(default=0.0, compare=False)

    @property
    def text(self) -> str:
        return " ".join([word.text for word in self.words])


class Decoding(Protocol):
    """The decoding of one utterance. `step` takes log-probabilities (T, labels) of any number of frames."""

    def step(self, logprobs_TV: LogProbs) -> None: ...

    def hold(self, logprobs_TV: LogProbs) -> None:
        """Step with these now, or when anything else is asked, or when `native.step_held` steps many at once."""
        ...

    def partial(self) -> Hypothesis: ...
    def final(self) -> Hypothesis: ...

    def finals(self, count: int) -> tuple[Hypothesis, ...]:
        """The likeliest utterances, at least one and at most `count`, the best first, which is `final()`."""
        ...

    def spelled(self) -> str:
        """What the best label of each frame spells, without search and language model."""
        ...


@dataclass(frozen=True, slots=True)
class Asked:
    """What a stream asks of its decoder, spelled in the model's letters. `beam` None is the decoder's own."""

    boosts: tuple[tuple[str, float], ...] = ()
    grammar: Grammar | None = None
    beam: int | None = None


class Decoder(Protocol):
    """Shared by all streams; holds no utterance."""

    name: str
    takes: frozenset[str]  # what a stream may ask for: of "hotwords", "boosts", "grammar", "beam"

    def open(self) -> Decoding: ...

    def prepare(self, asked: Asked) -> Callable[[], Decoding]:
        """What opens the decodings of a stream that asks for this, made ready once for all its utterances."""
        ...
