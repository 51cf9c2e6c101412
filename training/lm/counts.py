"""Counting n-grams with numpy: the text as one row of word numbers, and a table for each order.

An n-gram is a row of the table of its order; it points at the rows of its first n - 1 and of its last n - 1 words in
the table below. That is all that smoothing asks for, and no n-gram is ever hashed or compared as words.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from stt_server.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

SPECIAL = ("<unk>", "<s>", "</s>")
UNKNOWN, START, END = range(3)


@dataclass(frozen=True, slots=True)
class Text:
    """`tokens[i]` numbers a word of `vocabulary`; each sentence stands between START and END. Shape (tokens,)."""

    tokens: NDArray[np.int64]
    vocabulary: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """The distinct n-grams of one order, in n-grams (n,) or, for `words`, (n, order)."""

    words: NDArray[np.int32]
    context: NDArray[np.int64]  # row of the first order - 1 words in the table below
    suffix: NDArray[np.int64]  # row of the last order - 1 words in the table below
    occurrences: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.occurrences)


def number_words(sentences: Iterable[str]) -> Text:
    """Sentences of words parted by spaces; empty ones are passed over.

    Raises BadInput when nothing is left, or when a sentence holds <s>, </s> or <unk>.
    """
    numbers = {word: number for number, word in enumerate(SPECIAL)}
    tokens = array("q")
    for sentence in sentences:
        words = sentence.split()
        if not words:
            continue
        if not numbers.keys().isdisjoint(words) and (reserved := set(SPECIAL).intersection(words)):
            raise BadInput(f"{sentence!r} holds {min(reserved)}, which marks sentences in an ARPA file; take it out")
        tokens.append(START)
        tokens.extend([numbers.setdefault(word, len(numbers)) for word in words])
        tokens.append(END)
    if not tokens:
        raise BadInput("there is no sentence to learn from; give a text with one sentence a line")
    return Text(np.frombuffer(tokens, np.int64), tuple(numbers))


def limit_vocabulary(text: Text, most: int | None, seen_more_than: int = 0) -> Text:
    """Keep the `most` frequent words, and those seen more than so often; the others become UNKNOWN."""
    counts = np.bincount(text.tokens, minlength=len(text.vocabulary))[len(SPECIAL) :]
    ranked = np.argsort(-counts, kind="stable")
    kept = np.sort(ranked[:most][counts[ranked[:most]] > seen_more_than]) + len(SPECIAL)
    if not len(kept):
        raise BadInput(f"no word is seen more than {seen_more_than} times; lower the cut-off of single words")
    if len(kept) == len(counts):
        return text
    renumbered = np.full(len(text.vocabulary), UNKNOWN)
    renumbered[[START, END]] = START, END
    renumbered[kept] = len(SPECIAL) + np.arange(len(kept))
    return Text(renumbered[text.tokens], (*SPECIAL, *(text.vocabulary[number] for number in kept)))


def count_ngrams(text: Text, order: int) -> list[Table]:
    """Tables of order 1 to `order`, fewer when no sentence is that long. Rows of order 1 are the word numbers."""
    tokens, size = text.tokens, len(text.vocabulary)
    words = np.arange(size, dtype=np.int32)[:, None]
    nothing = np.zeros(size, np.int64)
    tables = [Table(words, nothing, nothing, np.bincount(tokens, minlength=size))]
    place = _place_in_sentence(tokens)
    row_at = tokens  # of the n-gram that ends at each token, in the table of the order reached
    while len(tables) < order:
        ends = np.flatnonzero(place >= len(tables))
        if not len(ends):
            break
        keys = row_at[ends - 1] * size + tokens[ends]
        _, first, rows, occurrences = np.unique(keys, return_index=True, return_inverse=True, return_counts=True)
        example = ends[first]
        context, suffix = row_at[example - 1], row_at[example]
        words = np.column_stack([tables[-1].words[context], tokens[example].astype(np.int32)])
        tables.append(Table(words, context, suffix, occurrences))
        row_at = np.zeros_like(tokens)
        row_at[ends] = rows
    return tables


def _place_in_sentence(tokens: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many tokens of its sentence stand before each token."""
    places = np.arange(len(tokens))
    starts: NDArray[np.int64] = np.maximum.accumulate(np.where(tokens == START, places, 0))
    return places - starts


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
