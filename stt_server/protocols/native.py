"""Our own stream protocol, JSON over a WebSocket at `/v1/stream`; README.md has its messages and its state diagram.

Unlike the protocols we adopt from others, nothing is guessed here: an option, type or order we do not know is an error.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from stt_server.errors import BadInput, Busy, Conflict, EarloopError, LimitReached
from stt_server.messages import (
    Audio,
    Behind,
    Command,
    Event,
    Failed,
    Finish,
    Finished,
    Flush,
    Heard,
    Open,
    Partial,
    Ready,
    Resume,
    Resumed,
    SpeechStarted,
    SpeechStopped,
    Word,
)
from stt_server.messages import Final as Utterance
from stt_server.protocols import options
from stt_server.protocols.codec import Message, Reply, Terms, close_code, close_reason, parse_object
from stt_server.protocols.kept import Kept

if TYPE_CHECKING:
    from collections.abc import Iterable

_TYPES: Final = ("open", "resume", "flush", "finish", "ping")


class NativeCodec:
    """One stream. `query` is the pairs of the URL's query; when there are any they open the stream at once.

    A stream whose `Ready` has a token numbers what it says and keeps it for a connection that resumes it: the codec of
    the new connection yields `Resume`, and the stream's own one is told `Resumed` and speaks on.
    """

    name = options.PROTOCOL
    terms = Terms(subprotocols=("token", "bearer"))
    close_code = staticmethod(close_code)
    close_reason = staticmethod(close_reason)

    def __init__(self, query: Iterable[tuple[str, str]] = ()) -> None:
        self._query = tuple(query)
        self._opened = False
        self._finished = False
        self._kept: Kept | None = None

    def connected(self) -> list[Command | Reply]:
        return [self._open(options.from_query(self._query))] if self._query else []

    def receive(self, message: Message) -> list[Command | Reply]:
        if isinstance(message, bytes):
            return self._when_open(Audio(message))
        said = parse_object(message)
        kind = said.pop("type", None)
        if kind == "ping":
            return [_pong(_only(said, "id").get("id"))]
        if kind == "open":
            return [self._open(options.from_message(said))]
        if kind == "resume":
            return [self._resume(_only(said, "token", "seq"))]
        if kind not in _TYPES:
            shown = "has no type" if kind is None else f"is of type {ascii(kind)[:40]}, which there is not"
            raise BadInput(f"The message {shown}; the types are {', '.join(_TYPES)}.", field="type")
        _only(said)
        return self._when_open(Flush() if kind == "flush" else Finish())

    def send(self, event: Event) -> list[Message]:
        if isinstance(event, Failed):
            return self.render_error(event.error)
        if isinstance(event, Heard):
            return []
        if isinstance(event, Resumed):
            return self._resumed(event)
        if isinstance(event, Ready) and event.resume:
            self._kept = Kept()
        kind, said = _event_message(event)
        if self._kept is None or isinstance(event, Partial | Behind):
            return [_encode(kind, said)]
        return [self._kept.keep(_encode(kind, {**said, "seq": self._kept.seq + 1}))]

    def render_error(self, error: EarloopError) -> list[Message]:
        said: dict[str, Any] = {"code": error.code, "message": error.message}
        if error.field:
            said["field"] = error.field
        if isinstance(error, Busy | LimitReached):
            said["retry_after_s"] = error.retry_after_s
        return [_encode("error", said)]

    def _open(self, command: Open) -> Open:
        if self._opened:
            why = "options come once: in the query, or in one `open` message before any audio"
            raise Conflict(f"The stream is open already; {why}.", field="type")
        self._opened = True
        return command

    def _resume(self, said: dict[str, Any]) -> Resume:
        token, seq = said.get("token"), said.get("seq", 0)
        if self._opened:
            raise Conflict("The stream is open already; resume another one on a connection of its own.", field="type")
        if not isinstance(token, str):
            raise BadInput("token must be the text that `ready` or `resumed` gave as `resume`.", field="token")
        if type(seq) is not int or seq < 0:
            raise BadInput("seq must be the number of the last message that arrived, 0 for none.", field="seq")
        self._opened = True
        return Resume(token, seq)

    def _resumed(self, event: Resumed) -> list[Message]:
        """Raises NotFound where something that did not arrive is not kept any more."""
        missed = self._kept.after(event.seq) if self._kept else []
        said = {"session": event.session, "received_bytes": event.received_bytes}
        said |= {"received_commands": event.received_commands, "resume": event.resume, "resume_s": event.resume_s}
        return [_encode("resumed", said), *missed]

    def _when_open(self, command: Audio | Flush | Finish) -> list[Command | Reply]:
        """The command, after the opening with defaults that a client without options leaves to us."""
        if self._finished:
            raise Conflict("Nothing may follow `finish`; open another connection for another stream.")
        self._finished = isinstance(command, Finish)
        return [command] if self._opened else [self._open(Open(self.name)), command]


def _pong(ident: object) -> Reply:
    try:
        return Reply(_encode("pong", {"id": ident}))
    except RecursionError as error:  # one level more than was just read
        raise BadInput("The id of the ping is nested too deeply; send a number or a string.", field="id") from error


def _event_message(event: Event) -> tuple[str, dict[str, Any]]:
    """The type of its message and the fields."""
    said: dict[str, Any]
    match event:
        case Ready():
            kind, said = "ready", _ready(event)
        case SpeechStarted(at_s):
            kind, said = "speech_started", {"at": _seconds(at_s)}
        case SpeechStopped(at_s):
            kind, said = "speech_stopped", {"at": _seconds(at_s)}
        case Partial(utterance, text, stable):
            kind, said = "partial", {"utterance": utterance, "text": text, "stable": stable}
        case Utterance():
            kind, said = "final", _final(event)
        case Behind(lag_ms):
            kind, said = "behind", {"lag_ms": lag_ms}
        case Finished(audio_s, model):
            kind, said = "finished", {"audio_s": _seconds(audio_s), "model": model}
        case _:
            raise TypeError(f"no message for {event!r}")
    return kind, said


def _ready(event: Ready) -> dict[str, Any]:
    audio = event.audio
    spec = {"encoding": audio.encoding, "sample_rate": audio.sample_rate, "channels": audio.channels}
    said = {"session": event.session, "model": event.model, "language": event.language, **spec}
    if event.version:
        said["version"] = event.version
    return {**said, "resume": event.resume, "resume_s": event.resume_s} if event.resume else said


def _final(event: Utterance) -> dict[str, Any]:
    words = [_word(word) for word in event.words]
    times = {"start": _seconds(event.start_s), "end": _seconds(event.end_s)}
    return {"utterance": event.utterance, "text": event.text, "words": words, **times, "reason": event.reason}


def _word(word: Word) -> dict[str, str | float]:
    times = {"start": _seconds(word.start_s), "end": _seconds(word.end_s)}
    return {"word": word.text, **times, "confidence": round(word.confidence, 4)}


def _seconds(value: float) -> float:
    return round(value, 3)


def _only(said: dict[str, Any], *known: str) -> dict[str, Any]:
    """The rest of a message, when it has no field but the known."""
    for name in said:
        if name not in known:
            raise BadInput(f"The message has a field {ascii(name)[:60]} that its type does not have.", field=name[:60])
    return said


def _encode(kind: str, fields: dict[str, Any]) -> str:
    # Escaped to ASCII: an error or a pong may repeat a lone surrogate, which no UTF-8 frame can carry as it is.
    return json.dumps({"type": kind, **fields}, separators=(",", ":"))
