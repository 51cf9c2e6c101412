"""Whose vocabularies a stream may use: noted where a request comes in, asked for where its stream opens.

Streams open deep in handlers and in tasks of theirs, in many protocols. The context follows them there, so that a
protocol needs no line of its own for its key's default.
"""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final

from stt_server.store.vocabularies import SHARED, check_name


@dataclass(frozen=True, slots=True)
class Caller:
    """Who opens streams: the key's id, the vocabulary that is its default, and the one that the request names, if any.

    A caller without a key has the shared vocabularies alone.
    """

    owner: str = SHARED
    default: str | None = None
    asked: str | None = None


CALLER: Final[ContextVar[Caller]] = ContextVar("caller", default=Caller())  # noqa: B039 - frozen


def of_port(setting: str) -> Caller:
    """The caller for a port without keys, whose setting names a shared vocabulary, or a key's own as `KEY_ID/NAME`.

    To be set in the task of every connection. Raises BadOption.
    """
    owner, _, name = setting.rpartition("/")
    return Caller(owner, check_name(name)) if setting else Caller()
