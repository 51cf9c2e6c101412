"""How well a recogniser hears the clips of a manifest, measured through the very code that serves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from stt_server.errors import BadInput, EarloopError
from stt_server.messages import Endpointing, Open
from stt_server.speech.offline import transcribe_files
from stt_server.speech.text import normalize
from stt_server.speech.wer import Estimate, score, word_errors

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from stt_server.corpus.clip import Clip
    from stt_server.messages import Transcript
    from stt_server.speech.recognizer import Recognizer
    from stt_server.speech.wer import Score

ALL = "all"


@dataclass(frozen=True, slots=True)
class Heard:
    """One clip: what was said and what was heard, both normalised.

    `confidence` is the mean of the heard words', 0 to 1, and 0 where none was heard; `audio_s` is how long it is.
    """

    clip: Clip
    said: str
    heard: str
    confidence: float = 0.0
    audio_s: float = 0.0

    @property
    def errors(self) -> int:
        return word_errors(self.said, self.heard).total


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What one decoder made of the clips. `scores` go by source; clips in which nothing is said count for none."""

    decoder: str
    heard: tuple[Heard, ...]
    scores: dict[str, Score]

    @property
    def false_words(self) -> tuple[int, int]:
        """Of the clips in which nothing is said: in how many a word was heard, and how many there are."""
        quiet = [each for each in self.heard if not each.said]
        return sum(bool(each.heard) for each in quiet), len(quiet)

    def worst(self, count: int) -> list[Heard]:
        """The clips with the most wrong words."""
        return sorted(self.heard, key=lambda each: -each.errors)[:count]


def evaluate(
    recognizer: Recognizer,
    clips: Sequence[Clip],
    decoder: str | None = None,
    heard: Callable[[int], None] = lambda done: None,
    *,
    endpointing: bool = True,
) -> Evaluation:
    """Transcribe and score every clip; `heard` is told how many are done. A clip that cannot be read is an error."""
    if not clips:
        raise BadInput("there are no clips to evaluate; the manifest is empty or has none of that split")
    options = Open("offline", decoder=decoder, endpointing=Endpointing(enabled=endpointing))
    results = []
    outcomes = transcribe_files(recognizer, [clip.path for clip in clips], options)
    for done, (clip, outcome) in enumerate(zip(clips, outcomes, strict=True), 1):
        if isinstance(outcome, EarloopError):
            raise outcome
        results.append(_heard(clip, outcome))
        heard(done)
    return Evaluation(decoder or recognizer.default_decoder, tuple(results), _scores(results))


def changes(before: Evaluation, after: Evaluation, resamples: int = 1000) -> dict[str, Estimate]:
    """By how much the word error rate of each source differs, `after` less `before`, with its 95 % interval.

    Both heard the same clips, and utterances are resampled in pairs: what is hard for both says nothing about either.
    """
    pairs = [pair for pair in zip(before.heard, after.heard, strict=True) if pair[0].said]
    return {
        source: _change([pair for pair in pairs if source in (ALL, pair[0].clip.source)], resamples)
        for source in before.scores
    }


def _change(pairs: Sequence[tuple[Heard, Heard]], resamples: int) -> Estimate:
    words = np.array([len(one.said.split()) for one, _ in pairs])
    errors = np.array([other.errors - one.errors for one, other in pairs])
    drawn = np.random.default_rng(0).integers(len(pairs), size=(resamples, len(pairs)))
    low, high = np.quantile(errors[drawn].sum(1) / words[drawn].sum(1), [0.025, 0.975])
    return Estimate(float(errors.sum() / words.sum()), float(low), float(high))


def _heard(clip: Clip, outcome: Transcript) -> Heard:
    trusts = [word.confidence for word in outcome.words]
    confidence = sum(trusts) / len(trusts) if trusts else 0.0
    said = normalize(clip.text, drop_unspellable=True)
    return Heard(clip, said, outcome.text, confidence, outcome.audio_s)


def _scores(results: Sequence[Heard]) -> dict[str, Score]:
    spoken = [each for each in results if each.said]
    sources = list(dict.fromkeys(each.clip.source for each in spoken))
    scores = {name: _score([each for each in spoken if each.clip.source == name]) for name in sources}
    return scores if len(sources) < 2 else {**scores, ALL: _score(spoken)}


def _score(results: Sequence[Heard]) -> Score:
    return score((each.said, each.heard) for each in results)
