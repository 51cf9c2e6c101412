"""pyctcdecode's beam search with a KenLM n-gram, run once when an utterance ends; partials are greedy.

Its released streaming calls cut words at chunk edges, so the final decodes the whole utterance. The cost grows with the
frames, the beam and the number of labels that stay possible in a frame; where posteriors are flat the beam is narrowed,
so that an utterance of noise costs about as much as one of speech.
"""

from __future__ import annotations

import gzip
import logging
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from stt_server.errors import BadBundle, Unsupported
from stt_server.speech.decoder.greedy import GreedyDecoding
from stt_server.speech.decoder.interface import Hypothesis, TimedWord

if TYPE_CHECKING:
    from stt_server.speech.alphabet import Alphabet
    from stt_server.speech.decoder.interface import LogProbs

TOKEN_MIN_LOGP = -5.0
WORK = 30_000  # beams × frames × labels of one utterance; about 50 ms on one core
NARROWEST = 8
HOTWORD_WEIGHT = 6.0


class ReferenceDecoder:
    """`lm` is an ARPA file, plain or gzipped, or None for a beam search over letters alone."""

    name = "reference"

    def __init__(self, alphabet: Alphabet, lm: Path | None, *, alpha: float, beta: float, beam: int) -> None:
        self.alphabet, self.beam = alphabet, beam
        self._search = _build(alphabet, lm, alpha, beta)

    def open(self, hotwords: tuple[str, ...] = ()) -> ReferenceDecoding:
        return ReferenceDecoding(self, hotwords)

    def decode(self, logprobs_TV: LogProbs, hotwords: tuple[str, ...]) -> Hypothesis:
        if not len(logprobs_TV):
            return Hypothesis(())
        beams = self._search.decode_beams(
            logprobs_TV,
            beam_width=self._width(logprobs_TV),
            token_min_logp=TOKEN_MIN_LOGP,
            hotwords=list(hotwords) or None,
            hotword_weight=HOTWORD_WEIGHT,
        )
        trust = _trust(logprobs_TV)
        words = tuple(
            TimedWord(text, start, max(end, start + 1), _confidence(trust, start, end))
            for text, (start, end) in beams[0].text_frames
        )
        return Hypothesis(words, max(0, sum(len(word.text) + 1 for word in words) - 1))

    def _width(self, logprobs_TV: LogProbs) -> int:
        possible = int((logprobs_TV > TOKEN_MIN_LOGP).sum())
        return int(np.clip(WORK // max(1, possible), NARROWEST, self.beam))


class ReferenceDecoding:
    """Greedy until `final`, which hears the whole utterance again with the language model."""

    def __init__(self, decoder: ReferenceDecoder, hotwords: tuple[str, ...]) -> None:
        self._decoder, self._hotwords = decoder, hotwords
        self._greedy = GreedyDecoding(decoder.alphabet)
        self._heard: list[LogProbs] = []

    def step(self, logprobs_TV: LogProbs) -> None:
        self._greedy.step(logprobs_TV)
        self._heard.append(logprobs_TV)

    def partial(self) -> Hypothesis:
        """Greedy words. None is settled: the language model may still hear each otherwise."""
        return Hypothesis(self._greedy.partial().words)

    def final(self) -> Hypothesis:
        if not self._greedy.partial().words:
            return Hypothesis(())
        return self._decoder.decode(np.concatenate(self._heard), self._hotwords)


def _trust(logprobs_TV: LogProbs) -> LogProbs:
    """Probability of the best label of each frame, NaN where that is the blank. Shape (T,)."""
    best = np.exp(logprobs_TV.max(1))
    best[logprobs_TV.argmax(1) == 0] = np.nan
    return best


def _confidence(trust: LogProbs, start: int, end: int) -> float:
    spoken = trust[start : max(end, start + 1)]
    spoken = spoken[~np.isnan(spoken)]
    return round(float(spoken.mean()), 4) if len(spoken) else 0.0


def _build(alphabet: Alphabet, lm: Path | None, alpha: float, beta: float) -> Any:
    try:
        import pyctcdecode  # type: ignore[import-untyped]  # noqa: PLC0415  (an extra: asked for only when used)
    except ImportError as error:
        raise Unsupported("the reference decoder needs pyctcdecode and kenlm: install the extras reference and kenlm") from error
    logging.getLogger("pyctcdecode").setLevel(logging.ERROR)
    labels = ["", *alphabet.letters]
    if lm is None:
        return pyctcdecode.build_ctcdecoder(labels)
    with tempfile.TemporaryDirectory() as folder:
        arpa = _plain(lm, Path(folder))
        return pyctcdecode.build_ctcdecoder(labels, str(arpa), read_unigrams(arpa), alpha=alpha, beta=beta)


def _plain(lm: Path, folder: Path) -> Path:
    """The ARPA file itself, unpacked where it is gzipped: kenlm reads gzip only where it was built with zlib."""
    if lm.suffix != ".gz":
        return lm
    try:
        plain = folder / "lm.arpa"
        plain.write_bytes(gzip.decompress(lm.read_bytes()))
    except (OSError, EOFError) as error:
        raise BadBundle(f"{lm.name} is not a gzip file: {error}", field="lm") from error
    return plain


def read_unigrams(arpa: Path) -> list[str]:
    """The words of an ARPA file's unigram section."""
    words: list[str] = []
    with arpa.open(encoding="utf-8") as lines:
        for line in lines:
            if line.startswith("\\2-grams:") or line.startswith("\\end\\"):
                break
            columns = line.split("\t")
            if len(columns) > 1 and columns[1].strip() not in ("<s>", "</s>", "<unk>"):
                words.append(columns[1].strip())
    return words
