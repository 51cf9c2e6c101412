"""Counting n-grams with numpy: a table for each order.

An n-gram is a row of the table of its order; it points at the rows of its first n - 1 and of its last n - 1 words in
the table below. That is all that smoothing asks for, and no n-gram is ever hashed or compared as words. The text is
gone through in pieces, so memory goes by the n-grams that differ.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from training.lm.numbering import PIECE, START, UNKNOWN, occurrences_of, row_on_disk

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from training.lm.numbering import Text

    Integers = NDArray[np.int64]

ABSENT = -1  # the row of an n-gram that would reach over the beginning of its sentence


@dataclass(frozen=True, slots=True)
class Table:
    """The distinct n-grams of one order, in n-grams (n,) or, for `words`, (n, order)."""

    words: NDArray[np.int32]
    context: Integers  # row of the first order - 1 words in the table below
    suffix: Integers  # row of the last order - 1 words in the table below
    occurrences: Integers

    def __len__(self) -> int:
        return len(self.occurrences)


def count_ngrams(text: Text, order: int) -> list[Table]:
    """Tables of order 1 to `order`, fewer when no sentence is that long. Rows of order 1 are the word numbers."""
    size = len(text.vocabulary)
    nothing = np.zeros(size, np.int64)
    tables = [Table(np.arange(size, dtype=np.int32)[:, None], nothing, nothing, occurrences_of(text))]
    row_at = text.tokens  # of the n-gram that ends at each token, in the table of the order reached
    while len(tables) < order:
        keys, occurrences = _distinct(keys for _, keys in _longer(text, row_at))
        if not len(keys):
            break
        context, last = np.divmod(keys, size)
        words = np.column_stack([tables[-1].words[context], last.astype(np.int32)])
        row_at, suffix = _placed(text, row_at, keys)
        tables.append(Table(words, context, suffix, occurrences))
    return tables


def _longer(text: Text, row_at: NDArray[np.int32]) -> Iterator[tuple[Integers, Integers]]:
    """Piece by piece: at which tokens an n-gram ends, and its key: row of all but its last word, then that word."""
    for start in range(1, len(text.tokens), PIECE):
        tokens = text.tokens[start : start + PIECE]
        before = row_at[start - 1 : start - 1 + len(tokens)]
        ends = np.flatnonzero((before != ABSENT) & (tokens != START))
        yield start + ends, before[ends].astype(np.int64) * len(text.vocabulary) + tokens[ends]


def _placed(text: Text, row_at: NDArray[np.int32], keys: Integers) -> tuple[NDArray[np.int32], Integers]:
    """The row of the n-gram that ends at each token, and for each n-gram the row of its last n - 1 words."""
    longer_at = row_on_disk(len(text.tokens))
    longer_at[:] = ABSENT
    suffix = np.zeros(len(keys), np.int64)
    for ends, keys_here in _longer(text, row_at):
        # Sorted look-ups walk through `keys` instead of jumping about in it.
        distinct, which = np.unique(keys_here, return_inverse=True)
        rows = np.searchsorted(keys, distinct)[which]
        longer_at[ends] = rows
        suffix[rows] = row_at[ends]
    return longer_at, suffix


def _distinct(pieces: Iterable[Integers]) -> tuple[Integers, Integers]:
    """The distinct keys of all pieces, sorted, and how often each is there.

    Pieces wait until they are as many as what is merged already, so each key is moved only some log2(pieces) times.
    """
    merged = np.zeros(0, np.int64), np.zeros(0, np.int64)
    waiting: list[tuple[Integers, Integers]] = []
    for keys in pieces:
        waiting.append(np.unique(keys, return_counts=True))
        if sum(len(each) for each, _ in waiting) >= len(merged[0]):
            merged, waiting = _merge([merged, *waiting]), []
    return _merge([merged, *waiting])


def _merge(parts: Sequence[tuple[Integers, Integers]]) -> tuple[Integers, Integers]:
    """Tables of keys and counts as one, sorted."""
    keys = np.concatenate([keys for keys, _ in parts])
    counts = np.concatenate([counts for _, counts in parts])
    order = np.argsort(keys, kind="stable")
    keys, counts = keys[order], counts[order]
    first = np.flatnonzero(np.diff(keys, prepend=-1))
    return keys[first], np.add.reduceat(counts, first) if len(first) else counts


def adjusted_counts(tables: Sequence[Table], index: int) -> NDArray[np.int64]:
    """What Kneser-Ney counts in `tables[index]`: occurrences in the highest order; below it, different words before it.

    Nothing stands before a sentence, so what begins with START keeps its occurrences. START itself is never predicted
    and counts nothing; neither does an n-gram with a word outside the vocabulary, though that word counts as one before
    others.
    """
    table = tables[index]
    counts = table.occurrences
    if index + 1 < len(tables):
        preceding = np.bincount(tables[index + 1].suffix, minlength=len(table))
        counts = np.where(table.words[:, 0] == START, counts, preceding)
    predicted = (table.words[:, -1] != START) & (table.words != UNKNOWN).all(axis=1)
    return np.where(predicted, counts, 0)
