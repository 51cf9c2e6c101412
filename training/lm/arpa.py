"""A back-off model as arrays, and the ARPA text format (Paul & Baker 1992; read by KenLM, SRILM and most decoders)."""

from __future__ import annotations

import gzip
import io
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TextIO

from training.lm.appearing import appearing

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

LOG10_OF_ZERO = -99.0  # by the format's custom; only <s> has it, which is never predicted
PIECE = 1 << 16  # n-grams written at once


@dataclass(frozen=True, slots=True)
class Ngrams:
    """The n-grams of one order: word numbers (n, order), log10 probability and back-off weight (n,) each."""

    words: NDArray[np.int32]
    log10_probability: NDArray[np.float64]
    log10_backoff: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.words)

    def rows(self) -> Iterator[tuple[list[int], float, float]]:
        """Words, log10 probability and back-off of each, never more than a piece of them as Python's own numbers."""
        for start in range(0, len(self), PIECE):
            piece = slice(start, start + PIECE)
            yield from zip(
                self.words[piece].tolist(),
                self.log10_probability[piece].tolist(),
                self.log10_backoff[piece].tolist(),
                strict=True,
            )


@dataclass(frozen=True, slots=True)
class ArpaModel:
    """`orders[n - 1]` holds the n-grams; word numbers are places in `vocabulary`, which begins <unk> <s> </s>."""

    vocabulary: tuple[str, ...]
    orders: tuple[Ngrams, ...]

    @property
    def order(self) -> int:
        return len(self.orders)

    @property
    def counts(self) -> tuple[int, ...]:
        """How many n-grams of each order."""
        return tuple(len(ngrams) for ngrams in self.orders)


def write_arpa(model: ArpaModel, path: Path) -> None:
    """Write `model`, compressed when the name ends in .gz. The file appears complete or not at all.

    The same model gives the same bytes.
    """
    with appearing(path) as partial, _open(partial, compressed=path.suffix == ".gz") as lines:
        lines.writelines(_lines(model))


@contextmanager
def _open(path: Path, *, compressed: bool) -> Iterator[TextIO]:
    with path.open("wb") as file:
        if not compressed:
            with io.TextIOWrapper(file, encoding="utf-8", newline="\n") as lines:
                yield lines
            return
        with (
            gzip.GzipFile("", "wb", fileobj=file, mtime=0) as packed,
            io.TextIOWrapper(packed, encoding="utf-8", newline="\n") as lines,
        ):
            yield lines


def _lines(model: ArpaModel) -> Iterator[str]:
    yield "\\data\\\n"
    for order, count in enumerate(model.counts, 1):
        yield f"ngram {order}={count}\n"
    for order, ngrams in enumerate(model.orders, 1):
        yield f"\n\\{order}-grams:\n"
        yield from _section(ngrams, model.vocabulary, with_backoff=order < model.order)
    yield "\n\\end\\\n"


def _section(ngrams: Ngrams, vocabulary: tuple[str, ...], *, with_backoff: bool) -> Iterator[str]:
    for numbers, probability, backoff in ngrams.rows():
        words = " ".join([vocabulary[number] for number in numbers])
        yield f"{probability:.7g}\t{words}\t{backoff:.7g}\n" if with_backoff else f"{probability:.7g}\t{words}\n"
