"""The engines of `bench decoder`, each as its maker means it to be used; the others only where they are installed.

`greedy`, `native`, `native closed` (no words but the language model's) and `native whole` are ours. `pyctcdecode` is
asked for a whole utterance, which is all that its released version can do, and `native whole` is, too; for partials, as
a server wants them, it must hear with each step all over again what came before (`InSteps`). `flashlight` is
flashlight-text's lexicon decoder: it knows no words but the language model's either.

All search with the same beam. Labels are tried in a frame above a log-probability of -5, pyctcdecode's own bound. Not
so flashlight: it tries the best eight however unlikely. So does `native closed`, its rival, down to -10: where a letter
was all but missed, that decides which words are found at all.
"""

from __future__ import annotations

import gzip
import time
from dataclasses import dataclass
from importlib import metadata
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from stt_server.errors import Unsupported
from stt_server.speech.decoder.greedy import GreedyDecoder
from stt_server.speech.decoder.native import Hotwords, NativeDecoder, Search
from stt_server.speech.decoder.ngram import build_search, read_unigrams

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from stt_server.speech.alphabet import Alphabet
    from stt_server.speech.decoder.interface import Decoding, LogProbs

LN10 = 2.302585092994046
STEP_S = 0.1
CLOSED = Search(closed=True, deep=8)


@dataclass(frozen=True, slots=True)
class Tuning:
    alpha: float
    beta: float


@dataclass(frozen=True, slots=True)
class Heard:
    """A text, the CPU seconds it took, and those of each step of 100 ms where they were timed."""

    text: str
    cpu_s: float
    steps_s: tuple[float, ...] = ()


class Engine(Protocol):
    name: str
    tunable: bool

    def tune(self, tuning: Tuning) -> None: ...

    def hear(self, logprobs_TV: LogProbs, step: int, *, timed: bool = False) -> Heard:
        """`timed`: each step's time, too, of an engine that works in steps."""
        ...


@dataclass(frozen=True, slots=True)
class Ground:
    """What all engines are built on. `arpa` is the language model as plain text."""

    alphabet: Alphabet
    arpa: Path
    beam: int


class Stepwise:
    """An engine of ours: fed in steps, asked for a partial behind each, as a server does; or `whole` utterances."""

    def __init__(
        self, name: str, make: Callable[[Tuning], Callable[[], Decoding]], *, tunable: bool, whole: bool = False
    ) -> None:
        self.name, self._make, self.tunable, self._whole = name, make, tunable, whole
        self.tune(Tuning(0.6, 1.5))

    def tune(self, tuning: Tuning) -> None:
        self._open = self._make(tuning)

    def hear(self, logprobs_TV: LogProbs, step: int, *, timed: bool = False) -> Heard:
        began, steps = time.thread_time(), tuple[float, ...]()
        decoding = self._open()

        def take(rows: LogProbs) -> None:
            decoding.step(rows)
            decoding.partial()

        if self._whole:
            decoding.step(logprobs_TV)
        else:
            steps = _each(_steps(logprobs_TV, step), take, timed=timed)
        text = decoding.final().text
        return Heard(text, time.thread_time() - began, steps)


def _each(steps: Iterable[LogProbs], take: Callable[[LogProbs], None], *, timed: bool) -> tuple[float, ...]:
    """Take every step; how long each took, where that is to be known."""
    times = list[float]()
    for rows in steps:
        before = time.thread_time() if timed else 0.0
        take(rows)
        if timed:
            times.append(time.thread_time() - before)
    return tuple(times)


def _steps(logprobs_TV: LogProbs, step: int) -> Iterator[LogProbs]:
    return (logprobs_TV[start : start + step] for start in range(0, len(logprobs_TV), step))


def greedy(ground: Ground) -> Stepwise:
    """The best label of each frame."""
    return Stepwise("greedy", lambda _: GreedyDecoder(ground.alphabet).open, tunable=False)


def native(ground: Ground, *, closed: bool = False, hotwords: Hotwords | None = None, whole: bool = False) -> Stepwise:
    """Our beam search, in steps or asked as pyctcdecode is. Raises Unsupported where it was not built."""

    def make(tuning: Tuning) -> Callable[[], Decoding]:
        alpha, beta, search = tuning.alpha, tuning.beta, CLOSED if closed else Search()
        decoder = NativeDecoder(ground.alphabet, ground.arpa, alpha=alpha, beta=beta, beam=ground.beam, search=search)
        return lambda: decoder.begin(hotwords)

    name = "native closed" if closed else "native whole" if whole else "native"
    return Stepwise(name, make, tunable=True, whole=whole)


class Pyctcdecode:
    """pyctcdecode as released: a whole utterance at once."""

    tunable = True

    def __init__(self, ground: Ground) -> None:
        """Raises Unsupported where it or kenlm is not installed."""
        self.name = _named("pyctcdecode")
        self._search, self._beam = build_search(ground.alphabet, ground.arpa, 0.6, 1.5), ground.beam

    def tune(self, tuning: Tuning) -> None:
        self._search.reset_params(alpha=tuning.alpha, beta=tuning.beta)

    def hear(self, logprobs_TV: LogProbs, step: int, *, timed: bool = False) -> Heard:  # noqa: ARG002  it knows no steps
        began = time.thread_time()
        text = self._search.decode(logprobs_TV, beam_width=self._beam)  # type: ignore[arg-type]
        return Heard(text, time.thread_time() - began)


class InSteps:
    """pyctcdecode asked for a partial behind each step: it decodes all that it has heard until then."""

    tunable = True

    def __init__(self, whole: Pyctcdecode) -> None:
        self.whole, self.name = whole, f"{whole.name} in steps"

    def tune(self, tuning: Tuning) -> None:
        self.whole.tune(tuning)

    def hear(self, logprobs_TV: LogProbs, step: int, *, timed: bool = False) -> Heard:  # noqa: ARG002  it always is
        ends = range(step, len(logprobs_TV) + step, step)
        heard = [self.whole.hear(logprobs_TV[:end], step) for end in ends]
        steps = tuple(each.cpu_s for each in heard)
        return Heard(heard[-1].text, sum(steps), steps)


class Flashlight:
    """flashlight-text's lexicon decoder with its own KenLM, in steps."""

    tunable = True

    def __init__(self, ground: Ground) -> None:
        """Raises Unsupported where it is not installed."""
        try:
            from flashlight.lib.text import decoder, dictionary
            from flashlight.lib.text.decoder import kenlm
        except ImportError as error:
            raise Unsupported("flashlight is not here: install the extra bench") from error
        self.name = _named("flashlight-text")
        self._module: Any = decoder
        self._ground = ground
        words = [word for word in read_unigrams(ground.arpa) if {*word} <= {*ground.alphabet.letters}]
        self._words = dictionary.Dictionary([*words, "<unk>"])
        self._lm = kenlm.KenLM(str(ground.arpa), self._words)
        self._trie = decoder.Trie(len(ground.alphabet), ground.alphabet.space)
        start = self._lm.start(False)
        for word in words:
            index = self._words.get_index(word)
            _, score = self._lm.score(start, index)
            self._trie.insert([*ground.alphabet.encode(word), ground.alphabet.space], index, score)
        self._trie.smear(decoder.SmearingMode.MAX)
        self.tune(Tuning(0.6, 1.5))

    def tune(self, tuning: Tuning) -> None:
        # Its language model speaks in base 10, as ours do: weighed alike, alpha and beta mean the same.
        self._options = self._module.LexiconDecoderOptions(
            beam_size=self._ground.beam,
            beam_size_token=8,
            beam_threshold=12,
            lm_weight=tuning.alpha * LN10,
            word_score=tuning.beta,
            unk_score=-float("inf"),
            sil_score=0,
            log_add=False,
            criterion_type=self._module.CriterionType.CTC,
        )

    def hear(self, logprobs_TV: LogProbs, step: int, *, timed: bool = False) -> Heard:
        space, unknown = self._ground.alphabet.space, self._words.get_index("<unk>")
        last = np.full((1, logprobs_TV.shape[1]), -20, np.float32)  # its words end with a space, the last one, too
        last[0, space] = 0
        rows = np.ascontiguousarray(np.concatenate([logprobs_TV, last]))
        began = time.thread_time()
        search = self._module.LexiconDecoder(self._options, self._trie, self._lm, space, 0, unknown, [], False)

        def take(each: LogProbs) -> None:
            search.decode_step(each.ctypes.data, *each.shape)
            search.get_best_hypothesis()

        search.decode_begin()
        steps = _each(_steps(rows, step), take, timed=timed)
        search.decode_end()
        best = search.get_all_final_hypothesis()[0]
        text = " ".join(self._words.get_entry(word) for word in best.words if word >= 0)
        return Heard(text, time.thread_time() - began, steps)


def _named(package: str) -> str:
    return f"{package} {metadata.version(package)}"


def plain_arpa(lm: Path, folder: Path) -> Path:
    """The ARPA file as plain text, unpacked into `folder` where it is gzipped."""
    if lm.suffix != ".gz":
        return lm
    plain = folder / "lm.arpa"
    plain.write_bytes(gzip.decompress(lm.read_bytes()))
    return plain


def engines(ground: Ground) -> tuple[list[Engine], list[str]]:
    """All that can run here, and why the others cannot."""
    makers: list[Callable[[Ground], Engine]] = [
        greedy,
        native,
        lambda ground: native(ground, whole=True),
        lambda ground: native(ground, closed=True),
        Pyctcdecode,
        Flashlight,
    ]
    found, missing = list[Engine](), list[str]()
    for make in makers:
        try:
            found.append(make(ground))
        except Unsupported as error:
            missing.append(error.message)
    return found, list(dict.fromkeys(missing))
