"""ARPA files read back into arrays, plain or gzipped."""

from __future__ import annotations

import gzip
import io
import zlib
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

import numpy as np

from stt_server.errors import BadInput, NotFound
from training.lm.arpa import ArpaModel, Ngrams
from training.lm.counts import SPECIAL

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def read_arpa(path: Path) -> ArpaModel:
    """The model as `write_arpa` wrote it; the vocabulary begins <unk> <s> </s> whatever the file's order.

    Raises NotFound, or BadInput for a file that is no ARPA.
    """
    try:
        with _open(path) as lines:
            sections = [rows for rows in _sections(lines) if rows]
        words = [row[1] for row in sections[0] if row[1] not in SPECIAL]
        vocabulary = (*SPECIAL, *words)
        numbers = {word: number for number, word in enumerate(vocabulary)}
        return ArpaModel(vocabulary, tuple(_ngrams(rows, order, numbers) for order, rows in enumerate(sections, 1)))
    except FileNotFoundError as error:
        raise NotFound(f"there is no language model {path}") from error
    except (OSError, EOFError, zlib.error, UnicodeDecodeError, ValueError, IndexError, KeyError) as error:
        raise BadInput(f"{path} is no ARPA language model, plain or gzipped: {error}", field="lm") from error


@contextmanager
def _open(path: Path) -> Iterator[TextIO]:
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        plain = gzip.GzipFile(fileobj=file) if packed else file
        with io.TextIOWrapper(plain, encoding="utf-8") as lines:
            yield lines


def _sections(lines: TextIO) -> Iterator[list[list[str]]]:
    """The rows of every order, each as its fields."""
    rows: list[list[str]] = []
    inside = False
    for line in lines:
        text = line.rstrip("\r\n")
        if text.startswith("\\"):
            if inside:
                yield rows
            rows, inside = [], text.endswith("-grams:")
        elif inside and text:
            rows.append(text.split("\t"))


def _ngrams(rows: list[list[str]], order: int, numbers: dict[str, int]) -> Ngrams:
    words = np.array([[numbers[word] for word in row[1].split(" ")] for row in rows], np.int32).reshape(-1, order)
    probability = np.array([float(row[0]) for row in rows])
    return Ngrams(words, probability, np.array([float(row[2]) if len(row) > 2 else 0.0 for row in rows]))
