"""A text as one row of word numbers, on disk, so that memory goes by its different words and not by its length."""

from __future__ import annotations

import tempfile
from array import array
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from stt_server.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import BinaryIO

    from numpy.typing import NDArray

SPECIAL = ("<unk>", "<s>", "</s>")
UNKNOWN, START, END = range(3)
PIECE = 1 << 20  # tokens in memory at once


@dataclass(frozen=True, slots=True)
class Text:
    """`tokens[i]` numbers a word of `vocabulary`; each sentence stands between START and END. Shape (tokens,)."""

    tokens: NDArray[np.int32]
    vocabulary: tuple[str, ...]

    def pieces(self) -> Iterator[NDArray[np.int32]]:
        """The tokens, so many at once as memory should hold."""
        for start in range(0, len(self.tokens), PIECE):
            yield self.tokens[start : start + PIECE]


def number_words(sentences: Iterable[str]) -> Text:
    """Sentences of words parted by spaces; empty ones are passed over.

    Raises BadInput when nothing is left, or when a sentence holds <s>, </s> or <unk>.
    """
    numbers = {word: number for number, word in enumerate(SPECIAL)}
    tokens = array("i")
    with tempfile.TemporaryFile(prefix="earloop-lm-") as file:
        for sentence in sentences:
            words = sentence.split()
            if not words:
                continue
            if not numbers.keys().isdisjoint(words) and (reserved := set(SPECIAL).intersection(words)):
                raise BadInput(
                    f"{sentence!r} holds {min(reserved)}, which marks sentences in an ARPA file; take it out"
                )
            tokens.append(START)
            tokens.extend([numbers.setdefault(word, len(numbers)) for word in words])
            tokens.append(END)
            if len(tokens) >= PIECE:
                file.write(tokens)
                tokens = array("i")
        file.write(tokens)
        if not file.tell():
            raise BadInput("there is no sentence to learn from; give a text with one sentence a line")
        return Text(_mapped(file, file.tell() // tokens.itemsize), tuple(numbers))


def _mapped(file: BinaryIO, length: int) -> NDArray[np.int32]:
    """A file without a name as an array; the disk has it back when nothing points at the array any more."""
    file.truncate(length * np.dtype(np.int32).itemsize)
    return np.memmap(file, np.int32, "r+", shape=(length,))


def row_on_disk(length: int) -> NDArray[np.int32]:
    """Room for a number for each token."""
    with tempfile.TemporaryFile(prefix="earloop-lm-") as file:
        return _mapped(file, length)


def limit_vocabulary(text: Text, most: int | None, seen_more_than: int = 0) -> Text:
    """Keep the `most` frequent words, and those seen more than so often; the others become UNKNOWN."""
    counts = occurrences_of(text)[len(SPECIAL) :]
    ranked = np.argsort(-counts, kind="stable")
    kept = np.sort(ranked[:most][counts[ranked[:most]] > seen_more_than]) + len(SPECIAL)
    if not len(kept):
        raise BadInput(f"no word is seen more than {seen_more_than} times; lower the cut-off of single words")
    if len(kept) == len(counts):
        return text
    renumbered = np.full(len(text.vocabulary), UNKNOWN, np.int32)
    renumbered[[START, END]] = START, END
    renumbered[kept] = len(SPECIAL) + np.arange(len(kept))
    tokens = row_on_disk(len(text.tokens))
    for start in range(0, len(tokens), PIECE):
        tokens[start : start + PIECE] = renumbered[text.tokens[start : start + PIECE]]
    return Text(tokens, (*SPECIAL, *(text.vocabulary[number] for number in kept)))


def occurrences_of(text: Text) -> NDArray[np.int64]:
    """How often each word of the vocabulary is there."""
    counts = np.zeros(len(text.vocabulary), np.int64)
    for piece in text.pieces():
        counts += np.bincount(piece, minlength=len(counts))
    return counts
