"""What a key may do and how much of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from stt_server.errors import BadOption

if TYPE_CHECKING:
    from collections.abc import Iterable


class Scope(StrEnum):
    """A part of the server that a key opens."""

    STREAM = "stream"  # have speech recognised
    CONTRIBUTE = "contribute"  # give clips
    TAG = "tag"  # judge clips
    CURATE = "curate"  # settle what taggers disagree about, make datasets
    MONITOR = "monitor"  # read metrics
    ADMIN = "admin"  # all of these


ALL_SCOPES: Final = frozenset(Scope)


@dataclass(frozen=True, slots=True)
class KeyLimits:
    """How much one key may use; None is no limit."""

    max_streams: int | None = None  # live streams at once
    max_uploads: int | None = None  # uploads at once
    audio_s_per_day: float | None = None  # seconds of audio in a day of UTC
    requests_per_minute: int | None = None  # uploads in any 60 s


NO_LIMITS: Final = KeyLimits()


def allows(scopes: Iterable[Scope], needed: Scope | None) -> bool:
    """Whether somebody with these scopes may do what needs that one; None needs nothing."""
    return needed is None or bool({needed, Scope.ADMIN} & set(scopes))


def parse_scopes(names: Iterable[str]) -> frozenset[Scope]:
    """Raises BadOption for a name that is no scope."""
    try:
        return frozenset(Scope(name) for name in names)
    except ValueError as error:
        raise BadOption(f"{error}; the scopes are {', '.join(Scope)}.", field="scope") from None
