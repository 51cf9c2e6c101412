"""ARPA files read back into arrays, plain or gzipped, with the line that is wrong where one is."""

from __future__ import annotations

import gzip
import io
import math
import re
import zlib
from array import array
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

import numpy as np

from stt_server.errors import BadInput, NotFound
from training.lm.arpa import LOG10_OF_ZERO, ArpaModel, Ngrams
from training.lm.numbering import SPECIAL, UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

COUNT = re.compile(r"ngram\s+(\d+)\s*=\s*(\d+)$")
BLANKS = re.compile("[ \t]+")
HIGHEST_LOG10 = 1e-3  # some writers round the probability of a certain word up
LOG10_OF_NO_UNKNOWN = -100.0  # as KenLM has it
LONGEST_LINE = 100_000  # letters; a file without line ends is no reason to take all memory


def read_arpa(path: Path) -> ArpaModel:
    """The model as `write_arpa` or another program wrote it; the vocabulary begins <unk> <s> </s>, then by the file.

    Raises NotFound, or BadInput naming the line for a file that is no ARPA.
    """
    lines = _Lines()
    try:
        with _open(path) as file:
            lines.file = file
            return _read(lines)
    except FileNotFoundError as error:
        raise NotFound(f"there is no language model {path}") from error
    except _Fault as fault:
        raise _refused(path, f"line {lines.number}: {fault}") from fault
    except UnicodeDecodeError as error:
        raise _refused(path, f"behind line {lines.number}: not UTF-8 text") from error
    except (OSError, EOFError, zlib.error) as error:
        raise _refused(path, f"behind line {lines.number}: {error}") from error


def _refused(path: Path, reason: str) -> BadInput:
    return BadInput(f"{path} is no ARPA language model, plain or gzipped: {reason}", field="lm")


class _Fault(ValueError):
    """What is wrong with the line just read."""


class _Lines:
    """The lines with something on them, counted."""

    def __init__(self) -> None:
        self.number = 0
        self.file: TextIO = io.StringIO()

    def next(self) -> str:
        """The next line; "" at the end of the file."""
        while line := self.file.readline(LONGEST_LINE):
            self.number += 1
            if len(line) == LONGEST_LINE:
                raise _Fault(f"longer than {LONGEST_LINE} letters")
            if text := line.strip(" \t\r\n"):
                return text
        return ""

    def must(self) -> str:
        """The next line. Raises _Fault where the file is over."""
        if not (text := self.next()):
            raise _Fault("the file ends here, before \\end\\")
        return text


@contextmanager
def _open(path: Path) -> Iterator[TextIO]:
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        plain = gzip.GzipFile(fileobj=file) if packed else file
        with io.TextIOWrapper(plain, encoding="utf-8", newline="\n") as lines:
            yield lines


def _read(lines: _Lines) -> ArpaModel:
    while (text := lines.must()) != "\\data\\":
        if lines.number > 100:
            raise _Fault("no \\data\\ so far")
    counts, text = _header(lines)
    numbers = {word: number for number, word in enumerate(SPECIAL)}
    orders: list[Ngrams] = []
    for order, count in enumerate(counts, 1):
        if text != f"\\{order}-grams:":
            raise _Fault(f"\\{order}-grams: should stand here, not {text[:40]!r}")
        section = _Section(order, count, numbers)
        while not (text := lines.must()).startswith("\\"):
            section.add(text)
        orders.append(section.ngrams())
    if text != "\\end\\":
        raise _Fault(f"\\end\\ should stand here, not {text[:40]!r}")
    return ArpaModel(tuple(numbers), _without_empty(orders))


def _header(lines: _Lines) -> tuple[list[int], str]:
    """How many n-grams of each order there are said to be, and the line behind."""
    counts: list[int] = []
    while found := COUNT.match(text := lines.must()):
        if int(found[1]) != len(counts) + 1:
            raise _Fault(f"the count of {len(counts) + 1}-grams should stand here, not that of {found[1]}-grams")
        counts.append(int(found[2]))
    if not counts:
        raise _Fault(f"ngram 1=… should stand here, not {text[:40]!r}")
    return counts, text


def _without_empty(orders: list[Ngrams]) -> tuple[Ngrams, ...]:
    while len(orders) > 1 and not len(orders[-1]):
        orders.pop()
    return tuple(orders)


class _Section:
    """The n-grams of one order as they come. Those of order 1 make the vocabulary."""

    def __init__(self, order: int, count: int, numbers: dict[str, int]) -> None:
        self.order, self.count, self.numbers = order, count, numbers
        self._words, self._probabilities, self._backoffs = array("i"), array("d"), array("d")
        self._named: set[str] = set()

    def add(self, text: str) -> None:
        probability, words, backoff = _fields(text, self.order)
        if self.order == 1:
            self._name(words[0])
        try:
            self._words.extend([self.numbers[word] for word in words])
        except KeyError as error:
            raise _Fault(f"the word {str(error.args[0])[:40]!r} is no 1-gram") from error
        self._probabilities.append(_number(probability, HIGHEST_LOG10))
        self._backoffs.append(_number(backoff, math.inf))
        if len(self._probabilities) > self.count:
            raise _Fault(f"more {self.order}-grams than the {self.count} of the header")

    def _name(self, word: str) -> None:
        if word in self._named:
            raise _Fault(f"the word {word[:40]!r} stands here a second time")
        self._named.add(word)
        self.numbers.setdefault(word, len(self.numbers))

    def ngrams(self) -> Ngrams:
        """All of them; of order 1 in the order of the vocabulary, with those marks that the file lacks."""
        if len(self._probabilities) < self.count:
            found = len(self._probabilities)
            raise _Fault(f"the {self.order}-grams end here: {found}, but the header says {self.count}")
        words = np.frombuffer(self._words, np.int32).reshape(-1, self.order)
        probabilities, backoffs = np.frombuffer(self._probabilities), np.frombuffer(self._backoffs)
        if self.order > 1:
            return Ngrams(words, probabilities, backoffs)
        size = len(self.numbers)
        placed, weights = np.full(size, LOG10_OF_ZERO), np.zeros(size)
        placed[UNKNOWN] = LOG10_OF_NO_UNKNOWN
        placed[words[:, 0]], weights[words[:, 0]] = probabilities, backoffs
        return Ngrams(np.arange(size, dtype=np.int32)[:, None], placed, weights)


def _fields(text: str, order: int) -> tuple[str, list[str], str]:
    """Probability, words and back-off, which is 0 where there is none; parted by tabs or, in some files, by blanks."""
    probability, *rest = text.split("\t")
    if len(rest) in (1, 2):
        words, backoff = rest[0].split(" "), rest[1] if len(rest) > 1 else "0"
    else:
        probability, *words = BLANKS.split(text)
        backoff = words.pop() if len(words) == order + 1 else "0"
    if len(words) != order or not all(words):
        raise _Fault(f"no {order}-gram: probability, {order} words and a back-off weight, parted by tabs")
    return probability, words, backoff


def _number(text: str, highest: float) -> float:
    """A log10; some programs write minus infinity for zero."""
    try:
        value = float(text)
    except ValueError as error:
        raise _Fault(f"{text[:40]!r} is no number") from error
    if math.isnan(value) or value > highest or value == math.inf:
        raise _Fault(f"{text[:40]} is no logarithm of a probability" if highest < 1 else f"{text[:40]} is no weight")
    return max(value, LOG10_OF_ZERO)
