"""What a key may do and how much of it, what clips may be used for, and what may be said of one."""

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
    TRAIN = "train"  # make datasets and models of one's own; brings contribute with it
    CURATE = "curate"  # settle what taggers disagree about, all datasets; brings contribute, tag and train with it
    MONITOR = "monitor"  # read metrics
    ADMIN = "admin"  # all of these


ALL_SCOPES: Final = frozenset(Scope)
_WITH: Final = {  # what a scope brings with it
    Scope.TRAIN: {Scope.CONTRIBUTE},
    Scope.CURATE: {Scope.CONTRIBUTE, Scope.TAG, Scope.TRAIN},
    Scope.ADMIN: ALL_SCOPES,
}


class Purpose(StrEnum):
    """What somebody agrees to have their speech used for. Whoever agrees to a release agrees to training, too."""

    RECOGNITION = "recognition"  # be heard and forgotten; nothing is kept for it
    TRAINING = "training"  # clips are kept, judged by people, and learned from
    RELEASE = "release"  # clips are given to the public, without a word of whose they are


class Verdict(StrEnum):
    """What somebody who listened says of a clip."""

    RIGHT = "right"  # as heard
    CORRECTED = "corrected"  # the text that comes with it is what was said
    UNCLEAR = "unclear"
    NOISE = "noise"  # or no speech
    PRIVATE = "private"  # nobody else should hear it; quarantined at once
    OTHER_LANGUAGE = "other_language"


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
    return needed is None or needed in held(scopes)


def held(scopes: Iterable[Scope]) -> frozenset[Scope]:
    """These scopes and what they bring with them."""
    return frozenset(scopes).union(*(_WITH.get(scope, ()) for scope in scopes))


def parse_scopes(names: Iterable[str]) -> frozenset[Scope]:
    """Raises BadOption for a name that is no scope."""
    try:
        return frozenset(Scope(name) for name in names)
    except ValueError as error:
        raise BadOption(f"{error}; the scopes are {', '.join(Scope)}.", field="scope") from None


def parse_purposes(names: Iterable[str]) -> frozenset[Purpose]:
    """With training where there is release. Raises BadOption for a name that is no purpose, and for none at all."""
    try:
        named = frozenset(Purpose(name) for name in names)
    except ValueError as error:
        raise BadOption(f"{error}; the purposes are {', '.join(Purpose)}.", field="purposes") from None
    if not named:
        raise BadOption(f"Consent is to something: one or more of {', '.join(Purpose)}.", field="purposes")
    return named | {Purpose.TRAINING} if Purpose.RELEASE in named else named
