"""A language model for the native decoder: ARPA, plain or gzipped, the binary form of LM_FORMAT.md, or KenLM's."""

from __future__ import annotations

import ctypes
import gzip
import mmap
import zlib
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import numpy as np

from stt_server.errors import BadBundle, NotFound
from stt_server.speech.decoder.kenlm_binary import is_kenlm, read_kenlm
from stt_server.speech.decoder.library import ASK, Refused, at_end, load_library

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from stt_server.speech.decoder.library import Library

PIECE = 1 << 20
MAGIC = b"EARLOOPL"


class NgramModel:
    """Words and n-grams, shared by decoders and threads. `handle` is for the library; `source` keeps mapped bytes."""

    def __init__(self, library: Library, handle: int, source: object = None) -> None:
        self.library, self.handle, self._source = library, handle, source
        self.order: int = library.lm_order(handle)
        at_end(self, library.arpa_free, handle)

    def knows(self, word: str) -> bool:
        """Whether the model has a word, `<s>`, `</s>` and `<unk>` among them."""
        return word == "<unk>" or bool(self._id(word))

    def score(self, words: Sequence[str], word: str) -> float:
        """The logarithm to base 10 of a word's probability behind others, `<s>` first where they begin a sentence."""
        history = np.array([self._id(each) for each in words], np.uint32)
        logprob: float = self.library.lm_score(self.handle, history.ctypes.data, len(history), self._id(word))
        return logprob

    def _id(self, word: str) -> int:
        number: int = self.library.lm_find(self.handle, word.encode())
        return number


def read_model(path: Path) -> NgramModel:
    """A language model by its first bytes, whatever its name.

    Raises NotFound, BadBundle with the line or the field that is wrong, and Unsupported without a library, or without
    the package that reads KenLM's binary form.
    """
    library = load_library()
    try:
        if is_kenlm(path):
            return _ask(library, path)
        with path.open("rb") as file:
            head = file.read(len(MAGIC))
        return _map(library, path) if head.startswith(MAGIC) else _parse(library, path, head.startswith(b"\x1f\x8b"))
    except FileNotFoundError as error:
        raise NotFound(f"there is no language model {path}") from error
    except (Refused, OSError, EOFError, RuntimeError, ValueError, zlib.error) as error:
        raise BadBundle(f"{path.name} is not a language model that can be read: {error}", field="lm") from error


def _parse(library: Library, path: Path, is_packed: bool) -> NgramModel:
    arpa = library.arpa_new()
    try:
        with gzip.open(path) if is_packed else path.open("rb") as file:
            while piece := file.read(PIECE):
                library.arpa_feed(arpa, piece, len(piece))
        library.arpa_close(arpa)
    except BaseException:
        library.arpa_free(arpa)
        raise
    return NgramModel(library, arpa)


def _ask(library: Library, path: Path) -> NgramModel:
    model = read_kenlm(path)

    def score(history: Any, size: int, word: int) -> float:
        return model.score(history[:size], word)

    ask, texts = ASK(score), [word.encode() for word in model.words]
    ends, unigrams = np.array(list(accumulate(map(len, texts))), np.uint32), np.array(model.unigrams, np.float32)
    places = ends.ctypes.data, unigrams.ctypes.data
    return NgramModel(library, library.asked_new(b"".join(texts), *places, len(texts), model.order, ask), ask)


def _map(library: Library, path: Path) -> NgramModel:
    with path.open("rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    data = np.frombuffer(mapped, np.uint8)  # keeps the mapping open
    return NgramModel(library, library.map_new(ctypes.c_void_p(data.ctypes.data), len(data)), data)
