"""Our own prefix beam search, in C++ (`native.cpp`): partials and finals from one search, with a word n-gram.

It hears every frame once, so partials come from the same prefixes as the final, and what all prefixes share is settled:
no later word takes it back. Steps let go of Python's lock.
"""

from __future__ import annotations

import ctypes
import struct
import zlib
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from itertools import accumulate
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from stt_server.errors import BadInput
from stt_server.speech.decoder.confidence import UNCALIBRATED
from stt_server.speech.decoder.interface import Hypothesis, TimedWord
from stt_server.speech.decoder.library import Refused, Weights, at_end, load_library
from stt_server.speech.decoder.model import read_model

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from stt_server.speech.alphabet import Alphabet
    from stt_server.speech.decoder.confidence import Calibration
    from stt_server.speech.decoder.grammar import Grammar
    from stt_server.speech.decoder.interface import Asked, Decoding, LogProbs
    from stt_server.speech.decoder.library import Library

LN10 = 2.302585092994046
WORD_START = "▁"  # of pieces of words, as SentencePiece writes it


@dataclass(frozen=True, slots=True)
class Search:
    """How wide to search. Scores are natural logarithms; alpha and beta weigh as pyctcdecode's do.

    A word's score is alpha · ln 10 · (log10 probability, and `oov` for a word that the model lacks) + beta.
    """

    oov: float = -10.0  # log10, for every six letters of an unknown word, at least once
    margin: float = 14.0  # prefixes so much worse than the best are dropped; at 12 unknown words are hardly found
    least_logprob: float = -5.0  # of a label in a frame, unless it is the best
    labels: int = 40  # tried in a frame at most
    work: int = 2000  # extensions tried in a frame at most
    closed: bool = False  # no words but the language model's
    look_ahead: bool = True
    deep: int = 0  # where fewer labels than these are likely, the next likely ones are tried as well,
    deep_logprob: float = -10.0  # down to here: finds words of a closed vocabulary whose letters were all but missed


class NativeDecoder:
    """`labels` are what label 1 and later write, pieces of words beginning with `▁` where a word begins.

    `lm` is an ARPA file, plain or gzipped, or a `.lm` file; None for a search over labels alone. Raises NotFound and
    BadBundle for a file that is not there or cannot be read, Unsupported where the extension was not built.
    """

    name = "native"
    takes = frozenset({"hotwords", "boosts", "grammar", "beam"})

    def __init__(
        self,
        labels: Alphabet | Sequence[str],
        lm: Path | None,
        *,
        alpha: float,
        beta: float,
        beam: int,
        search: Search = Search(),
        confidence: Calibration = UNCALIBRATED,
    ) -> None:
        self.library, self.beam = load_library(), beam
        self.lm = None if lm is None else read_model(lm)
        spellings, boundaries = _spellings(labels)
        self.labels = len(spellings)
        weights = Weights(
            alpha, beta, alpha * LN10 * search.oov, search.margin, search.least_logprob,
            search.labels, search.work, search.closed, search.look_ahead, search.deep, search.deep_logprob,
            confidence.weights,
        )  # fmt: skip
        text, ends = _joined(spellings)
        model = self.lm.handle if self.lm else None
        self.handle: int = self.library.decoder_new(
            model, text, ends.ctypes.data, boundaries, self.labels, ctypes.byref(weights)
        )
        at_end(self, _free_decoder, self.library, self.handle, self.lm)

    def open(self) -> NativeDecoding:
        return self.begin()

    def prepare(self, asked: Asked) -> Callable[[], NativeDecoding]:
        hotwords = _hotwords(asked.boosts) if asked.boosts else None
        closed = _closed(asked.grammar) if asked.grammar else None
        return partial(self.begin, hotwords, closed, beam=asked.beam)

    def begin(
        self, hotwords: Hotwords | None = None, closed: Closed | None = None, *, beam: int | None = None
    ) -> NativeDecoding:
        """Start an utterance with hotwords, a grammar and a beam of its own."""
        return NativeDecoding(self, hotwords, closed, beam or self.beam)


class Hotwords:
    """Phrases with boosts, made once and usable by any number of streams."""

    def __init__(self, boosts: Mapping[str, float]) -> None:
        """`boosts` of normalised phrases: what each word of the phrase adds to the score of a prefix."""
        library = load_library()
        ordered = sorted((" ".join(phrase.split()), boost) for phrase, boost in boosts.items())
        whole = {phrase: boost * (1 + phrase.count(" ")) for phrase, boost in ordered if phrase}
        phrases = sorted(whole, key=str.encode)
        text, ends = _joined(phrases)
        amounts = np.array([whole[phrase] for phrase in phrases], np.float32)
        self.handle: int = library.hotwords_new(text, ends.ctypes.data, amounts.ctypes.data, len(phrases))
        at_end(self, library.hotwords_free, self.handle)

    @classmethod
    def of(cls, boosts: Mapping[str, float]) -> Hotwords | None:
        """None for none."""
        return cls(boosts) if any(phrase.strip() for phrase in boosts) else None


class Closed:
    """A grammar as the search walks it. With one, an utterance is its sentences, and no language model is asked."""

    def __init__(self, grammar: Grammar) -> None:
        library, letters = load_library(), grammar.letters
        self.label, self.judge, self.nothing = grammar.label, grammar.judge, grammar.nothing
        columns = (
            np.ascontiguousarray(letters.first, np.int32),
            np.ascontiguousarray(letters.letter, np.uint8),
            np.ascontiguousarray(letters.target, np.int32),
            np.ascontiguousarray(letters.other, np.int32),
            np.ascontiguousarray(letters.cost, np.float32),
            np.ascontiguousarray(letters.ending, np.float32),
        )
        places = (column.ctypes.data for column in columns)
        self.handle: int = library.grammar_new(*places, len(letters), len(letters.letter))
        at_end(self, library.grammar_free, self.handle)


@lru_cache(maxsize=8)  # a client's every connection asks for the same
def _hotwords(boosts: tuple[tuple[str, float], ...]) -> Hotwords | None:
    return Hotwords.of(dict(boosts))


@lru_cache(maxsize=32)  # as many as `compile_grammar` keeps
def _closed(grammar: Grammar) -> Closed:
    return Closed(grammar)


class NativeDecoding:
    """One utterance; one thread at a time."""

    def __init__(self, decoder: NativeDecoder, hotwords: Hotwords | None, closed: Closed | None, beam: int) -> None:
        self._decoder, self._library, self._closed = decoder, decoder.library, closed
        self._settled: tuple[TimedWord, ...] = ()
        self._settled_letters = 0  # of the settled words, each with the space behind it
        self._said, self._partial = b"", Hypothesis(())  # what the library said last, and what that means
        self._known: dict[bytes, TimedWord] = {}  # words as it said them then: most come again
        self._held: LogProbs | None = None
        with_these = (hotwords.handle if hotwords else None, closed.handle if closed else None)
        self.handle: int = self._library.stream_new(decoder.handle, beam, *with_these)
        at_end(self, _free_stream, self._library, self.handle, decoder, hotwords, closed)

    def step(self, logprobs_TV: LogProbs) -> None:
        self._step_held()
        rows = _rows(self, logprobs_TV)
        self._library.step_one(self.handle, rows.ctypes.data, len(rows))

    def hold(self, logprobs_TV: LogProbs) -> None:
        self._step_held()
        self._held = _rows(self, logprobs_TV)

    def _step_held(self) -> None:
        if self._held is not None:
            rows = self._take_held()
            self._library.step_one(self.handle, rows.ctypes.data, len(rows))

    def _take_held(self) -> LogProbs:
        rows, self._held = self._held, None
        assert rows is not None
        return rows

    def partial(self) -> Hypothesis:
        """The best prefix; `stable` is what all that are left share, so no later answer takes it back."""
        said = self._answer(final=False)
        if said != self._said:  # in most steps nothing new is heard
            self._said = said
            heard = self._understood(said).hypothesis(self._settled, self._settled_letters)
            self._partial = self._closed.label(heard, ended=False) if self._closed else heard
        return self._partial

    def final(self) -> Hypothesis:
        return self.finals(1)[0]

    def finals(self, count: int) -> tuple[Hypothesis, ...]:
        """The likeliest utterances, at most `count` of them, the best first."""
        answer = self._read(final=True, count=count)
        if not answer.has_letters:  # whatever the language model says
            return (Hypothesis(()),)
        heard = [Hypothesis(self._settled + each.words, score=each.score) for each in answer.hypotheses]
        if self._closed:
            doubts = map(answer.doubt, answer.hypotheses)
            heard = [self._closed.judge(each, doubt) for each, doubt in zip(heard, doubts, strict=True)]
            heard = heard or [self._closed.nothing(answer.frames)]
        if not heard:
            return (Hypothesis(()),)
        return tuple(replace(each, stable=len(each.text)) for each in heard)

    def scores(self, count: int) -> tuple[tuple[str, float], ...]:
        """The texts of the likeliest utterances with their scores, natural logarithms."""
        answer = self._read(final=True, count=count)
        return tuple((Hypothesis(self._settled + each.words).text, each.score) for each in answer.hypotheses)

    def spelled(self) -> str:
        """What the best label of each frame spells, without search and language model."""
        return self._read(final=True, count=0).spelled

    def save(self) -> bytes:
        """All that a later `restore` needs, in a decoding opened by the same decoder for the same wishes."""
        self._step_held()
        size = self._library.save(self.handle)
        state = ctypes.string_at(self._library.answer(self.handle), size)
        saved = _packed_words(self._settled) + state
        return _ONE.pack(zlib.crc32(saved)) + saved

    def restore(self, saved: bytes) -> None:
        """Go on where `saved` was. Raises BadInput for what another decoder or version saved, and for damaged bytes;
        then the decoding is of no use any more. Bytes that somebody made up are not defended against.
        """
        try:
            cursor = _Cursor(saved)
            if cursor.take(_ONE) != (zlib.crc32(saved[_ONE.size :]),):
                raise Refused("its checksum is wrong")
            self._settled, self._said, self._held = cursor.words(), b"", None
            self._settled_letters = _letters(self._settled)
            self._library.load(self.handle, saved[cursor.at :], len(saved) - cursor.at)
        except (Refused, struct.error, UnicodeDecodeError) as error:
            raise BadInput(f"this decoding was not saved by this decoder: {error}") from error

    def _read(self, *, final: bool, count: int = 1) -> _Answer:
        return self._understood(self._answer(final=final, count=count))

    def _answer(self, *, final: bool, count: int = 1) -> bytes:
        self._step_held()
        size = self._library.read(self.handle, final, count)
        return ctypes.string_at(self._library.answer(self.handle), size)

    def _understood(self, said: bytes) -> _Answer:
        """Settled words are told but once: what was said is read but once."""
        answer = _Answer(said, self._known)
        self._known = answer.known
        if answer.settled:
            self._said = b""
            self._settled += answer.settled
            self._settled_letters += _letters(answer.settled)
        return answer


def step_together(decodings: Sequence[NativeDecoding], rows: Sequence[LogProbs]) -> None:
    """Step several decodings in one call; each its own rows (T, labels). Raises BadInput for rows of another width."""
    if not decodings:
        return
    library = decodings[0]._library
    arrays = [_rows(decoding, each) for decoding, each in zip(decodings, rows, strict=True)]
    handles = np.array([decoding.handle for decoding in decodings], np.uint64)
    places = np.array([array.ctypes.data for array in arrays], np.uint64)
    frames = np.array([len(array) for array in arrays], np.int64)
    library.step(handles.ctypes.data, places.ctypes.data, frames.ctypes.data, len(arrays))


def step_held(decodings: Sequence[Decoding]) -> None:
    """Step with what each of them holds, those of this decoder in one call; the others have done so already."""
    holding = [each for each in decodings if isinstance(each, NativeDecoding) and each._held is not None]
    step_together(holding, [each._take_held() for each in holding])


def _rows(decoding: NativeDecoding, logprobs_TV: LogProbs) -> LogProbs:
    array = np.ascontiguousarray(logprobs_TV, np.float32)
    if array.ndim != 2 or array.shape[1] != decoding._decoder.labels:
        raise BadInput(f"rows of {decoding._decoder.labels} labels were expected, not an array {array.shape}")
    return array


class _Answer:
    """What `Stream::read` of native.cpp writes."""

    def __init__(self, data: bytes, known: dict[bytes, TimedWord]) -> None:
        """`known` words need not be read again; `self.known` are all that this answer has."""
        cursor = _Cursor(data, known)
        has_letters, self.shared, self._clearest, self.frames = cursor.take(_HEARD)
        self.has_letters = bool(has_letters)
        self.settled = cursor.words()
        (letters,) = cursor.take(_ONE)
        self.spelled = cursor.text(letters).rstrip() if letters else ""
        (count,) = cursor.take(_ONE)
        self.hypotheses = [cursor.hypothesis() for _ in range(count)]
        self.known = cursor.known

    def hypothesis(self, settled: tuple[TimedWord, ...], letters: int) -> Hypothesis:
        if not self.has_letters:
            return Hypothesis(())
        later = self.hypotheses[0].words
        stable = letters + self.shared if self.shared else max(0, letters - 1)  # no space behind the last word
        return Hypothesis(settled + later, min(stable, max(0, letters + _letters(later) - 1)))

    def doubt(self, said: _Said) -> float:
        """By how much the utterance sounds less like this than like the best labels of its frames, a natural logarithm
        for each letter that those spell.
        """
        return float(self._clearest - said.sound) / max(1, len(self.spelled.replace(" ", "")))


class _Said(NamedTuple):
    """A hypothesis: its score, the log-probability of its sound alone, its words behind the settled ones."""

    score: float
    sound: float
    words: tuple[TimedWord, ...]


_ONE, _HEARD = struct.Struct("=I"), struct.Struct("=IIdI")
_SCORES, _WORD = struct.Struct("=dd"), struct.Struct("=Iiif")


class _Cursor:
    """Reads what native.cpp packs. Raises struct.error behind the end.

    Words it knows by their bytes: between two partials hardly one changes, and making them anew was most of their cost.
    """

    def __init__(self, data: bytes, known: Mapping[bytes, TimedWord] = MappingProxyType({})) -> None:
        self._data, self.at = data, 0
        self._before, self.known = known, dict[bytes, TimedWord]()

    def take(self, form: struct.Struct) -> tuple[Any, ...]:
        values: tuple[Any, ...] = form.unpack_from(self._data, self.at)
        self.at += form.size
        return values

    def text(self, size: int) -> str:
        self.at += size
        return self._data[self.at - size : self.at].decode()

    def hypothesis(self) -> _Said:
        score, sound = self.take(_SCORES)
        return _Said(score, sound, self.words())

    def words(self) -> tuple[TimedWord, ...]:
        data, before, known, unpack = self._data, self._before, self.known, _ONE.unpack_from
        words = []
        (count,) = unpack(data, self.at)
        at = self.at + _ONE.size
        for _ in range(count):
            end = at + _WORD.size + unpack(data, at)[0]
            packed = data[at:end]
            word = before.get(packed) or _read_word(packed)
            known[packed] = word
            words.append(word)
            at = end
        self.at = at
        return tuple(words)


def _read_word(packed: bytes) -> TimedWord:
    size, begin, end, confidence = _WORD.unpack_from(packed)
    text = packed[_WORD.size :].decode()
    if len(packed) != _WORD.size + size:
        raise struct.error("a word is cut off")
    return TimedWord(text, begin, max(end, begin + 1), int(confidence * 1e4 + 0.5) / 1e4)  # `round` is slow


def _packed_words(words: tuple[TimedWord, ...]) -> bytes:
    packed = [_ONE.pack(len(words))]
    for word in words:
        text = word.text.encode()
        packed += [_WORD.pack(len(text), word.start, word.end, word.confidence), text]
    return b"".join(packed)


def _letters(words: tuple[TimedWord, ...]) -> int:
    return sum([len(word.text) for word in words]) + len(words)


def _spellings(labels: Alphabet | Sequence[str]) -> tuple[list[str], bytes]:
    """What each label writes, the blank nothing, and for each whether it begins a word."""
    names: list[str] = list(getattr(labels, "letters", labels))  # type: ignore[arg-type]  # an alphabet has letters
    starts = [name == " " or name.startswith(WORD_START) for name in names]
    spellings = ["" if name == " " else name.removeprefix(WORD_START) for name in names]
    return ["", *spellings], bytes([False, *starts])


def _joined(texts: Sequence[str]) -> tuple[bytes, np.ndarray[tuple[int], np.dtype[np.uint32]]]:
    """Texts one behind the other in UTF-8, and where each ends."""
    parts = [text.encode() for text in texts]
    return b"".join(parts), np.array(list(accumulate(map(len, parts))), np.uint32)


def _free_decoder(library: Library, handle: int, lm: object) -> None:  # noqa: ARG001  the model goes after it
    library.decoder_free(handle)


def _free_stream(library: Library, handle: int, *_: object) -> None:
    """Decoder, hotwords and grammar go after it, for they are arguments."""
    library.stream_free(handle)
