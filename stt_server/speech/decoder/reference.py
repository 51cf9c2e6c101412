"""pyctcdecode's beam search with a KenLM n-gram, run once when an utterance ends; partials are greedy.

Its released streaming calls cut words at chunk edges, so the final decodes the whole utterance. The cost grows with the
frames, the beam and the number of labels that stay possible in a frame. Where posteriors are flat the beam is narrowed
and the unlikelier labels are left out, so that an utterance of noise costs little more than one of speech. An utterance
without end is searched in parts, so that neither its memory nor its final grows without bound.
"""

from __future__ import annotations

import weakref
from dataclasses import replace
from functools import partial
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np

from stt_server.speech.decoder.greedy import GreedyDecoding
from stt_server.speech.decoder.interface import Hypothesis, TimedWord
from stt_server.speech.decoder.ngram import build_search, check_installed

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pyctcdecode.decoder import BeamSearchDecoderCTC

    from stt_server.speech.alphabet import Alphabet
    from stt_server.speech.decoder.interface import Asked, LogProbs

WORK = 30_000  # beams × frames × labels of one search: about 40 ms on one core
NARROWEST = 8
LEAST_LOGPS = (-5.0, -4.0, -3.0, -2.0)  # of a label that stays possible: the first that the work allows
LONGEST = 1000  # frames searched at once, 40 s: more than an utterance has unless a client forbids its end
HOTWORD_WEIGHT = 6.0


class ReferenceDecoder:
    """`lm` is an ARPA file, plain or gzipped, KenLM's binary form, or None for a beam search over letters alone.

    That is loaded by `load`, or for the first stream that asks for this decoder: kenlm holds Python's lock while it
    reads, and where our own search serves nobody may ever ask. Raises Unsupported where the packages are missing.
    """

    name = "reference"
    takes = frozenset({"hotwords"})

    def __init__(self, alphabet: Alphabet, lm: Path | None, *, alpha: float, beta: float, beam: int) -> None:
        check_installed()
        self.alphabet, self.beam = alphabet, beam
        self._build = partial(build_search, alphabet, lm, alpha, beta)
        self._built: BeamSearchDecoderCTC | None = None
        self._loading = Lock()

    def load(self) -> BeamSearchDecoderCTC:
        """The search with its language model. Raises NotFound and BadBundle for a file that cannot be read."""
        with self._loading:
            if self._built is None:
                self._built = self._build()
                # pyctcdecode keeps every language model in a table of its class until told otherwise.
                weakref.finalize(self, self._built.cleanup)
            return self._built

    def open(self, hotwords: tuple[str, ...] = ()) -> ReferenceDecoding:
        return ReferenceDecoding(self, hotwords)

    def prepare(self, asked: Asked) -> Callable[[], ReferenceDecoding]:
        """Its hotwords have one boost for all. Loads the language model; raises as `load`."""
        self.load()
        return partial(self.open, tuple(phrase for phrase, _ in asked.boosts))

    def decode(self, logprobs_TV: LogProbs, hotwords: tuple[str, ...] = ()) -> tuple[TimedWord, ...]:
        """The likeliest words of (T, labels)."""
        if not len(logprobs_TV):
            return ()
        beam_width, least_logp = self.bounds(logprobs_TV)
        beams = self.load().decode_beams(
            logprobs_TV,  # type: ignore[arg-type]  # its own type for float arrays excludes every float array
            beam_width=beam_width,
            token_min_logp=least_logp,
            prune_history=True,  # beams that only their far past sets apart: of no use when the best one is taken
            hotwords=list(hotwords) or None,
            hotword_weight=HOTWORD_WEIGHT,
        )
        _, _, timed_words, *_ = beams[0]
        trust = _trust(logprobs_TV)
        return tuple(
            TimedWord(text, start, max(end, start + 1), _confidence(trust, start, end))
            for text, (start, end) in timed_words
        )

    def bounds(self, logprobs_TV: LogProbs) -> tuple[int, float]:
        """Beam and least log-probability of a label for (T, labels): the widest that `WORK` allows."""
        possible = {least: max(1, int((logprobs_TV > least).sum())) for least in LEAST_LOGPS}
        least = next((least for least in LEAST_LOGPS if possible[least] * NARROWEST <= WORK), LEAST_LOGPS[-1])
        return min(self.beam, max(NARROWEST, WORK // possible[least])), least


class ReferenceDecoding:
    """Greedy until `final`, which hears the whole utterance again with the language model."""

    def __init__(self, decoder: ReferenceDecoder, hotwords: tuple[str, ...]) -> None:
        self._decoder, self._hotwords = decoder, hotwords
        self._settled: tuple[TimedWord, ...] = ()
        self._start(0, np.zeros((0, len(decoder.alphabet)), np.float32))

    def step(self, logprobs_TV: LogProbs) -> None:
        self._greedy.step(logprobs_TV)
        self._kept.append(logprobs_TV.copy())  # a view would keep the rows of the whole batch alive
        self._frames += len(logprobs_TV)
        if self._frames > LONGEST:
            self._settle()

    def hold(self, logprobs_TV: LogProbs) -> None:
        self.step(logprobs_TV)

    def partial(self) -> Hypothesis:
        """Greedy words behind the settled ones. Settled are those that no later partial takes back: all but the word
        being written. The final, heard again with the language model, may still correct them.
        """
        greedy = self._greedy.partial()
        searched = sum(len(word.text) + 1 for word in self._settled)
        words = self._settled + self._later(greedy.words)
        return Hypothesis(words, searched + greedy.stable if greedy.words else max(0, searched - 1))

    def final(self) -> Hypothesis:
        heard = Hypothesis(self._settled + self._search(np.concatenate(self._kept)))
        return replace(heard, stable=len(heard.text))

    def finals(self, count: int) -> tuple[Hypothesis, ...]:  # noqa: ARG002 - its search keeps one text for each piece
        return (self.final(),)

    def spelled(self) -> str:
        return self.partial().text

    def _settle(self) -> None:
        """Search what is kept up to its last space, all of it where it has none, and go on with the rest."""
        rows = np.concatenate(self._kept)
        spaces = np.flatnonzero(rows.argmax(1) == self._decoder.alphabet.space)
        end = int(spaces[-1]) + 1 if len(spaces) else len(rows)
        self._settled += self._search(rows[:end])
        self._start(self._first + end, rows[end:].copy())

    def _start(self, first: int, rows: LogProbs) -> None:
        """Begin a part at frame `first` of the utterance with the rows already heard of it."""
        self._first, self._frames = first, len(rows)
        self._kept = [rows]
        self._greedy = GreedyDecoding(self._decoder.alphabet)
        self._greedy.step(rows)

    def _search(self, rows: LogProbs) -> tuple[TimedWord, ...]:
        """Words of the part so far; none where the best path has no letter, whatever the language model says."""
        return self._later(self._decoder.decode(rows, self._hotwords)) if self._greedy.partial().words else ()

    def _later(self, words: tuple[TimedWord, ...]) -> tuple[TimedWord, ...]:
        if not self._first:
            return words
        return tuple(replace(word, start=word.start + self._first, end=word.end + self._first) for word in words)


def _trust(logprobs_TV: LogProbs) -> LogProbs:
    """Probability of the best label of each frame, NaN where that is the blank. Shape (T,)."""
    best: LogProbs = np.exp(logprobs_TV.max(1))
    best[logprobs_TV.argmax(1) == 0] = np.nan
    return best


def _confidence(trust: LogProbs, start: int, end: int) -> float:
    spoken = trust[start : max(end, start + 1)]
    spoken = spoken[~np.isnan(spoken)]
    return round(float(spoken.mean()), 4) if len(spoken) else 0.0
