"""The compiled half of the native decoder: found, loaded, its calls typed. The only module that knows ctypes.

The extension that the package's build makes of `native.cpp` is a plain C library, not a Python module: it depends on no
Python version, and ctypes lets go of Python's lock while a call runs, unless it is a short one.
"""

from __future__ import annotations

import ctypes
import importlib.machinery
import weakref
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stt_server.errors import Unsupported

if TYPE_CHECKING:
    from collections.abc import Callable

ABI = 4  # of native.cpp
ERROR_BYTES = 256

_P, _I32, _I64, _BYTES, _F64 = ctypes.c_void_p, ctypes.c_int32, ctypes.c_int64, ctypes.c_char_p, ctypes.c_double

# What tells the log10 probability of a word behind others: their numbers, how many, and its own.
ASK = ctypes.CFUNCTYPE(_F64, ctypes.POINTER(ctypes.c_uint32), _I32, ctypes.c_uint32)


class Weights(ctypes.Structure):
    """`EarloopWeights` of native.cpp, where each field is explained."""

    _fields_ = (
        ("alpha", ctypes.c_float),
        ("beta", ctypes.c_float),
        ("oov", ctypes.c_float),
        ("margin", ctypes.c_float),
        ("least_logprob", ctypes.c_float),
        ("labels", _I32),
        ("work", _I32),
        ("closed", _I32),
        ("look_ahead", _I32),
        ("deep", _I32),
        ("deep_logprob", ctypes.c_float),
        ("trust", ctypes.c_float * 4),
    )


# The answer and the arguments of each call, without the `error` that ends most of them.
_PLAIN: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "abi": (ctypes.c_int, ()),
    "arpa_free": (None, (_P,)),
    "decoder_free": (None, (_P,)),
    "hotwords_free": (None, (_P,)),
    "grammar_free": (None, (_P,)),
    "stream_free": (None, (_P,)),
    "answer": (_P, (_P,)),
    "lm_score": (_F64, (_P, _P, _I32, ctypes.c_uint32)),
    "lm_find": (ctypes.c_uint32, (_P, _BYTES)),
    "lm_order": (ctypes.c_int, (_P,)),
}
_FALLIBLE: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "arpa_new": (_P, ()),
    "arpa_feed": (ctypes.c_int, (_P, _BYTES, _I64)),
    "arpa_close": (ctypes.c_int, (_P,)),
    "map_new": (_P, (_P, _I64)),
    "asked_new": (_P, (_BYTES, _P, _P, _I32, _I32, ASK)),
    "decoder_new": (_P, (_P, _BYTES, _P, _BYTES, _I32, ctypes.POINTER(Weights))),
    "hotwords_new": (_P, (_BYTES, _P, _P, _I32)),
    "grammar_new": (_P, (_P, _P, _P, _P, _P, _P, _I32, _I32)),
    "stream_new": (_P, (_P, _I32, _P, _P)),
    "step": (ctypes.c_int, (_P, _P, _P, _I32)),
    "step_one": (ctypes.c_int, (_P, _P, _I64)),
    "read": (_I64, (_P, _I32, _I32)),
    "save": (_I64, (_P,)),
    "load": (ctypes.c_int, (_P, _BYTES, _I64)),
}
# Short calls keep Python's lock: who lets go of it may wait milliseconds to get it back, once for each stream.
SHORT = frozenset({"read", "answer", "stream_new", "stream_free"})


class Refused(Exception):
    """A call failed; the sentence says why, without a name for what was given."""


class Library:
    """The calls by their names without `earloop_`, as attributes. Those that can fail raise Refused."""

    def __init__(self, path: Path) -> None:
        """Raises Unsupported for a library that does not load, or was built from other sources."""
        try:
            handle, short = ctypes.CDLL(str(path)), ctypes.PyDLL(str(path))
        except OSError as error:
            raise Unsupported(f"the native decoder does not load: {error}") from error
        for name, (answer, arguments) in _PLAIN.items():
            setattr(self, name, _typed(short if name in SHORT else handle, name, answer, arguments))
        if self.abi() != ABI:
            raise Unsupported("the native decoder was built from other sources; install earloop again")
        for name, (answer, arguments) in _FALLIBLE.items():
            call = _typed(short if name in SHORT else handle, name, answer, (*arguments, _BYTES))
            setattr(self, name, _checked(call))

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Callable[..., Any]: ...


def _typed(handle: ctypes.CDLL, name: str, answer: Any, arguments: tuple[Any, ...]) -> Any:
    try:
        call = getattr(handle, f"earloop_{name}")
    except AttributeError as error:
        raise Unsupported("the native decoder was built from other sources; install earloop again") from error
    call.restype, call.argtypes = answer, arguments
    return call


def _checked(call: Any) -> Callable[..., Any]:
    kind = ctypes.c_char * ERROR_BYTES

    def checked(*arguments: Any) -> Any:
        error = kind()
        answer = call(*arguments, error)
        if answer is None or answer == -1:
            raise Refused(error.value.decode("utf-8", "replace"))
        return answer

    return checked


def at_end(owner: object, free: Callable[..., None], *arguments: object) -> None:
    """Free what `owner` has of the library when nobody uses it any more, but not at exit: threads may still run."""
    weakref.finalize(owner, free, *arguments).atexit = False


def library_path() -> Path | None:
    """Where the build put the library, beside this module; None where it made none."""
    for suffix in importlib.machinery.EXTENSION_SUFFIXES:
        path = Path(__file__).with_name(f"_native{suffix}")
        if path.is_file():
            return path
    return None


@cache
def load_library() -> Library:
    """The library, loaded once. Raises Unsupported where there is none that can be used."""
    path = library_path()
    if path is None:
        raise Unsupported("the native decoder was not built: install a C++ compiler, then earloop again")
    return Library(path)
