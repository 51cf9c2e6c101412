"""Our binary language model read: a mapped file that is searched, never parsed.

The n-grams lie there by a hash of their words, so what can be asked is what an n-gram has and not which n-grams there
are: such a file can be scored with and shown, but neither mixed nor changed nor turned back into ARPA.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from stt_server.errors import BadInput, NotFound
from training.lm.binary import (
    ALIGNED,
    HEADER_BYTES,
    MAGIC,
    MOST_ORDERS,
    SIZES,
    SLOT,
    START_OF_HEADER,
    UNIGRAM,
    VERSION,
    home,
    keys_of,
)
from training.lm.numbering import SPECIAL

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class BinaryModel:
    """A mapped file. `vocabulary` by word id; `tables[n - 2]` are the slots of order n and their number of buckets."""

    vocabulary: tuple[str, ...]
    counts: tuple[int, ...]
    unigrams: NDArray[np.void]
    tables: tuple[tuple[NDArray[np.void], int], ...]

    @property
    def order(self) -> int:
        return len(self.counts)

    def find(self, ids: NDArray[np.int64]) -> tuple[NDArray[np.bool_], NDArray[np.float32], NDArray[np.float32]]:
        """Of n-grams (n, order) whether they are there, log10 probability and back-off; 0 for those that are not."""
        if ids.shape[1] == 1:
            found = self.unigrams[ids[:, 0]]
            return np.ones(len(ids), bool), found["logprob"], found["backoff"]
        slots, buckets = self.tables[ids.shape[1] - 2]
        keys = keys_of(ids)
        place = home(keys, buckets)
        searched = np.arange(len(keys))
        while len(searched):
            there = slots["key"][place[searched]]
            searched = searched[(there != 0) & (there < keys[searched])]
            place[searched] += 1
        is_there = slots["key"][place] == keys
        return is_there, np.where(is_there, slots["logprob"][place], 0), np.where(is_there, slots["backoff"][place], 0)


def read_binary(path: Path) -> BinaryModel:
    """Map a file. Raises NotFound, or BadInput naming the field that does not fit."""
    try:
        with path.open("rb") as file:
            header = file.read(HEADER_BYTES)
            length = file.seek(0, 2)
    except FileNotFoundError as error:
        raise NotFound(f"there is no language model {path}") from error
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}", field="lm") from error
    try:
        text_bytes, sizes = _header(header, length)
        return _mapped(np.memmap(path, np.uint8, "r"), text_bytes, sizes)
    except _Fault as fault:
        raise BadInput(f"{path} is no binary language model of ours: {fault}", field="lm") from fault


class _Fault(ValueError):
    """Which field does not fit."""


def _header(header: bytes, length: int) -> tuple[int, list[tuple[int, int, int]]]:
    """Length of the text, and n-grams, buckets and slots of each order."""
    if len(header) < HEADER_BYTES:
        raise _Fault(f"the header has {HEADER_BYTES} bytes, the file {length}")
    magic, version, order, file_bytes, text_bytes = START_OF_HEADER.unpack_from(header)
    sizes = list(SIZES.iter_unpack(header[START_OF_HEADER.size :]))
    facts = [
        ("magic", magic == MAGIC),
        ("version", version == VERSION),
        ("order", 1 <= order <= MOST_ORDERS),
        ("file_bytes", file_bytes == length),
        ("text_bytes", text_bytes <= length),
        ("n-grams of order 1", len(SPECIAL) <= sizes[0][0] <= length and sizes[0][1:] == (0, 0)),
        ("sizes above the order", not any(map(any, sizes[order:]))),
    ]
    facts += [
        (f"sizes of order {n}", 1 <= buckets < slots <= length and count < slots and buckets < 1 << 32)
        for n, (count, buckets, slots) in enumerate(sizes[1:order], 2)
    ]
    for name, holds in facts:
        if not holds:
            raise _Fault(f"its {name} cannot be")
    return text_bytes, sizes[:order]


def _mapped(data: NDArray[np.uint8], text_bytes: int, sizes: list[tuple[int, int, int]]) -> BinaryModel:
    words = sizes[0][0]
    lengths = [words * UNIGRAM.itemsize, words * 4, text_bytes, *(slots * SLOT.itemsize for _, _, slots in sizes[1:])]
    starts, place = [], HEADER_BYTES
    for size in lengths:
        starts.append(place + -place % ALIGNED)
        place = starts[-1] + size
    if place != len(data):
        raise _Fault(f"its file_bytes cannot be: the blocks end at {place}")
    unigrams, ends, text, *tables = (data[start : start + size] for start, size in zip(starts, lengths, strict=True))
    slots = [table.view(SLOT) for table in tables]
    for n, table in enumerate(slots, 2):
        if table["key"][-1]:
            raise _Fault(f"its table of order {n} has no empty slot at its end")
    vocabulary = _words(ends.view("<u4").astype(np.int64), text.tobytes())
    return BinaryModel(
        vocabulary,
        tuple(count for count, _, _ in sizes),
        unigrams.view(UNIGRAM),
        tuple((table, buckets) for table, (_, buckets, _) in zip(slots, sizes[1:], strict=True)),
    )


def _words(ends: NDArray[np.int64], text: bytes) -> tuple[str, ...]:
    if (np.diff(ends, prepend=0) < 0).any() or ends[-1] != len(text):
        raise _Fault("its word ends fall or leave the text")
    bounds = [0, *ends.tolist()]
    try:
        return tuple(text[start:end].decode() for start, end in pairwise(bounds))
    except UnicodeDecodeError as error:
        raise _Fault("its text is not UTF-8") from error
