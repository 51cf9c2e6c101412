"""The native protocol's messages as this client writes and reads them, and the errors it is told."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from stt_server import messages
from stt_server.errors import (
    BadInput,
    Busy,
    EarloopError,
    Forbidden,
    Internal,
    LimitReached,
    NotFound,
    Unauthorized,
)
from stt_server.messages import Event, Final, Finished, Open, Ready, Resumed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


@dataclass(frozen=True, slots=True)
class Pong:
    """The answer to `ping`, with the id that was sent."""

    id: object


@dataclass(frozen=True, slots=True)
class Reconnected:
    """The connection broke and the stream goes on on another one; `away_s` is for how long there was none."""

    away_s: float


Told = Event | Pong | Reconnected


def encode(kind: str, **fields: object) -> str:
    """A text message."""
    return json.dumps({"type": kind, **fields}, separators=(",", ":"))


def open_message(options: Open) -> str:
    """The text message that opens a stream. What is None is left out: there the server's own setting holds."""
    return encode(
        "open",
        **asdict(options.audio),
        **_given(model=options.model, language=options.language, decoder=options.decoder),
        hotwords=_hotwords(options),
        **_given(grammar=_grammar(options), lm=options.lm, beam=options.beam),
        partials=options.partials,
        endpointing=_given(**asdict(options.endpointing)),
        **_given(resumable=options.resumable or None),
    )


def _hotwords(options: Open) -> list[str | dict[str, str | float]]:
    boosts = dict(options.boosts)
    return [{"phrase": each, "boost": boosts[each]} if each in boosts else each for each in options.hotwords]


def _grammar(options: Open) -> dict[str, object] | None:
    return asdict(options.grammar) if options.grammar else None


def parse(message: str | bytes) -> Event | Pong | None:
    """A server's message as an event; None for a type this client does not know, since a newer server may say more.

    Raises the error that an `error` message stands for, Internal for a message that is not of the protocol.
    """
    return read(message)[0]


def read(message: str | bytes) -> tuple[Event | Pong | None, int | None]:
    """The same, and the message's number where it has one."""
    try:
        said = json.loads(message)
        if said["type"] == "error":
            raise _named_error(said)
        event = _EVENTS.get(said["type"])
        return (event(said) if event else None), said.get("seq")
    except (ValueError, KeyError, TypeError) as error:
        raise Internal(f"The server sent {message[:80]!r}, which is not of Earloop's stream protocol.") from error


def refusal(status: int, retry_after: str | None, body: bytes, address: str) -> EarloopError:
    """The error behind an HTTP status that stood where the upgrade was due."""
    kinds: dict[int, type[EarloopError]] = {
        401: Unauthorized,
        403: Forbidden,
        404: NotFound,
        429: LimitReached,
        503: Busy,
    }
    said: dict[str, Any] = {
        "code": kinds.get(status, BadInput).code,
        "message": f"{address} answered HTTP {status}.",
        **_given(retry_after_s=_seconds(retry_after)),
        **_error_in(body),
    }
    return _named_error(said)


def _ready(said: Mapping[str, Any]) -> Ready:
    audio = messages.AudioSpec(said["encoding"], said["sample_rate"], said["channels"])
    token, resume_s = said.get("resume"), said.get("resume_s", 0.0)
    return Ready(said["session"], said["model"], said["language"], audio, token, resume_s, said.get("version", ""))


def _resumed(said: Mapping[str, Any]) -> Resumed:
    taken = said["received_bytes"], said["received_commands"]
    return Resumed(said["session"], *taken, said["resume"], said["resume_s"])


def _final(said: Mapping[str, Any]) -> Final:
    words = tuple(messages.Word(word["word"], word["start"], word["end"], word["confidence"]) for word in said["words"])
    return Final(said["utterance"], said["text"], words, said["start"], said["end"], said["reason"])


_EVENTS: dict[str, Any] = {
    "ready": _ready,
    "resumed": _resumed,
    "speech_started": lambda said: messages.SpeechStarted(said["at"]),
    "speech_stopped": lambda said: messages.SpeechStopped(said["at"]),
    "partial": lambda said: messages.Partial(said["utterance"], said["text"], said["stable"]),
    "final": _final,
    "pong": lambda said: Pong(said["id"]),
    "behind": lambda said: messages.Behind(said["lag_ms"]),
    "finished": lambda said: Finished(said["audio_s"], said["model"]),
}


def _given(**fields: object) -> dict[str, object]:
    return {name: value for name, value in fields.items() if value is not None}


def _seconds(retry_after: str | None) -> float | None:
    """What the header says; None for a date, which HTTP allows as well and some proxies send."""
    try:
        return float(retry_after) if retry_after else None
    except ValueError:
        return None


def _error_in(body: bytes) -> dict[str, Any]:
    """The error of a JSON body, bare or under the key `error`; empty for any other body."""
    try:
        said = json.loads(body)
        inner = said.get("error", said)
        return {key: inner[key] for key in ("code", "message", "field") if inner.get(key)}
    except (ValueError, AttributeError):
        return {}


def _named_error(said: Mapping[str, Any]) -> EarloopError:
    """The kind of error that has the code the server gave; the base kind for a code this client does not know."""
    message, kind = str(said["message"]), _KINDS.get(said["code"], EarloopError)
    if kind in (Busy, LimitReached):
        return kind(message, retry_after_s=float(said.get("retry_after_s", 1.0)))
    return kind(message, field=said.get("field"))


def _kinds(kind: type[EarloopError]) -> Iterator[type[EarloopError]]:
    yield kind
    for child in kind.__subclasses__():
        yield from _kinds(child)


# Of kinds with one code the topmost: a protocol of the server may have one of its own under it.
_KINDS = {kind.code: kind for kind in reversed([*_kinds(EarloopError)])}
