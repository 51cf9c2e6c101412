"""Our binary language model, `.lm`, as stt_server/speech/decoder/LM_FORMAT.md fixes it. `mapped` reads it."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import numpy as np

from stt_server.errors import BadOption
from training.lm.appearing import appearing
from training.lm.numbering import SPECIAL

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from training.lm.arpa import ArpaModel, Ngrams

    Keys = NDArray[np.uint64]

MAGIC = b"EARLOOPL"
VERSION = 1
MOST_ORDERS = 6
START_OF_HEADER = struct.Struct("<8sIIQQ")
SIZES = struct.Struct("<QQQ")  # n-grams, buckets, slots; for every order
HEADER_BYTES = START_OF_HEADER.size + MOST_ORDERS * SIZES.size
ALIGNED = 8
UNIGRAM = np.dtype([("logprob", "<f4"), ("backoff", "<f4")])
SLOT = np.dtype([("key", "<u8"), ("logprob", "<f4"), ("backoff", "<f4")])
GOLDEN, FIRST, SECOND = (np.uint64(each) for each in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))
BUCKETS_PER_NGRAM = 4 / 3


def write_binary(model: ArpaModel, path: Path) -> None:
    """Write `model`; the file appears complete or not at all. The same model gives the same bytes.

    Raises BadOption for an order above 6 and where two n-grams of one order have the same hash.
    """
    if model.order > MOST_ORDERS:
        raise BadOption(f"the model has order {model.order}; a .lm file holds up to {MOST_ORDERS}", field="order")
    words, ids = _sorted_vocabulary(model.vocabulary)
    texts = [word.encode() for word in words]
    unigrams = np.zeros(len(words), UNIGRAM)
    unigrams["logprob"][ids] = model.orders[0].log10_probability
    unigrams["backoff"][ids] = model.orders[0].log10_backoff
    tables = [_table(ngrams, ids, order == model.order) for order, ngrams in enumerate(model.orders[1:], 2)]
    ends = np.cumsum([len(text) for text in texts], dtype="<u4")
    sizes = [(len(words), 0, 0), *((len(ngrams), buckets, len(slots)) for ngrams, buckets, slots in tables)]
    with appearing(path) as partial, partial.open("wb") as file:
        file.write(bytes(HEADER_BYTES))
        for block in (unigrams, ends, np.frombuffer(b"".join(texts), np.uint8), *(slots for _, _, slots in tables)):
            file.write(bytes(-file.tell() % ALIGNED))
            block.tofile(file)
        length = file.tell()
        file.seek(0)
        file.write(START_OF_HEADER.pack(MAGIC, VERSION, model.order, length, sum(map(len, texts))))
        for size in sizes:
            file.write(SIZES.pack(*size))


def _sorted_vocabulary(vocabulary: Sequence[str]) -> tuple[list[str], NDArray[np.int64]]:
    """The words by their id in the file, and the id of each word of `vocabulary`, which begins with the marks."""
    rest = sorted(range(len(SPECIAL), len(vocabulary)), key=lambda number: vocabulary[number].encode())
    order = np.array([*range(len(SPECIAL)), *rest])
    ids = np.empty(len(order), np.int64)
    ids[order] = np.arange(len(order))
    return [vocabulary[number] for number in order], ids


def _table(ngrams: Ngrams, ids: NDArray[np.int64], is_highest: bool) -> tuple[Ngrams, int, NDArray[np.void]]:
    """The n-grams, how many buckets there are for them, and the slots in which they lie."""
    keys = keys_of(ids[ngrams.words])
    order = np.argsort(keys)
    keys = keys[order]
    if len(keys) > 1 and (keys[1:] == keys[:-1]).any():
        raise BadOption("two n-grams have the same hash; leave the rarer ones out with a cut-off", field="cutoff")
    buckets = max(1, int(len(keys) * BUCKETS_PER_NGRAM))
    numbers = np.arange(len(keys))
    place = np.maximum.accumulate(home(keys, buckets) - numbers) + numbers
    slots = np.zeros(max(buckets, (int(place[-1]) if len(place) else 0) + 1) + 1, SLOT)
    slots["key"][place] = keys
    slots["logprob"][place] = ngrams.log10_probability[order]
    slots["backoff"][place] = 0 if is_highest else ngrams.log10_backoff[order]
    return ngrams, buckets, slots


def keys_of(ids: NDArray[np.int64]) -> Keys:
    """The hash of each n-gram, word ids (n, order), never 0. Shape (n,)."""
    keys = np.zeros(len(ids), np.uint64)
    for column in ids.T[::-1].astype(np.uint64):
        keys = _mix(keys + (column + np.uint64(1)) * GOLDEN)
    keys[keys == 0] = 1
    return keys


def _mix(keys: Keys) -> Keys:
    keys = (keys ^ (keys >> np.uint64(30))) * FIRST
    keys = (keys ^ (keys >> np.uint64(27))) * SECOND
    return keys ^ (keys >> np.uint64(31))


def home(keys: Keys, buckets: int) -> NDArray[np.int64]:
    """Where the search for each key begins."""
    return (((keys >> np.uint64(32)) * np.uint64(buckets)) >> np.uint64(32)).astype(np.int64)
