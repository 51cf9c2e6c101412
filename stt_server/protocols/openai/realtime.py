"""OpenAI's Realtime interface, its transcription sessions: `WS /v1/realtime?intent=transcription`.

    ► session.update, transcription_session.update     settings, until the first audio
    ► input_audio_buffer.append                        audio in base64, heard while it arrives
    ► input_audio_buffer.commit                        end the utterance here; .clear: and forget it
    ◄ session.created, session.updated                 at once, and behind every update
    ◄ input_audio_buffer.speech_started, .speech_stopped, .committed, .cleared
    ◄ conversation.item.input_audio_transcription.delta, .completed, .failed
    ◄ error                                            names the client's event_id; the session goes on

An item is an utterance. Its deltas spell its transcript and cannot be taken back, while the language model may correct
any word of an utterance in its final: so there is one delta, when the utterance is over. The hosted interface does the
same for whisper-1.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from stt_server.errors import BadInput, BadOption, EarloopError
from stt_server.messages import (
    Audio,
    Command,
    Event,
    Flush,
    SpeechStarted,
    SpeechStopped,
)
from stt_server.messages import Final as Utterance
from stt_server.protocols.codec import Message, Reply, Terms, close_code, close_reason, parse_object
from stt_server.protocols.openai.answers import logprobs
from stt_server.protocols.openai.realtime_session import RealtimeSession, updated
from stt_server.protocols.openai.refusals import kind_of
from stt_server.protocols.wishes import shown

if TYPE_CHECKING:
    from collections.abc import Collection

IDLE_S: Final = 300.0  # a client that commits by itself is silent between its turns
LEAST_COMMIT_S: Final = 0.1  # less is refused, as by the hosted interface
MAX_MESSAGE_BYTES: Final = 4 << 20  # more than a minute of audio in base64; the hosted interface takes 15 MiB
MAX_PIECE_S: Final = 1.0  # an append may hold minutes; the session takes them piece by piece
MAX_EVENT_ID: Final = 512
_BYTES: Final = {"s16le": 2, "mulaw": 1, "alaw": 1}
_TRANSCRIPTION: Final = "conversation.item.input_audio_transcription"
_WISHES: Final = "session.audio.input.transcription"


class CommitEmpty(BadInput):
    """A commit of (almost) nothing, for which the interface has a code of its own."""


@dataclass(frozen=True, slots=True)
class _Flushed:
    """Why the utterance was ended: to be an item of so many seconds, or to be forgotten (`seconds` None)."""

    seconds: float | None


class RealtimeCodec:
    """One connection. `ident` makes the ids of its events and items its own; `models` are the names we know."""

    name = "openai-realtime"
    terms = Terms(subprotocols=("realtime",), idle_s=IDLE_S, model_in_query=False, max_message_bytes=MAX_MESSAGE_BYTES)
    close_code = staticmethod(close_code)
    close_reason = staticmethod(close_reason)

    def __init__(
        self, ident: str, *, model: str | None = None, models: Collection[str] = (), beta: bool = False
    ) -> None:
        self._ident, self._models, self._beta = ident, models, beta
        self._session = RealtimeSession(model=model)
        self._opened: RealtimeSession | None = None  # what the stream was opened for
        self._appended_s = self._ended_s = 0.0  # of audio, and how much of it belongs to an item or was cleared
        self._flushes: deque[_Flushed] = deque()  # each has added audio, so the stream's bound is theirs
        self._item: str | None = None  # somebody speaks
        self._last_item: str | None = None
        self._items = self._events = 0

    # ------------------------------------------------------------------------------------------------- from the client

    def connected(self) -> list[Command | Reply]:
        return [Reply(self._session_event("created", beta=self._beta))]

    def receive(self, message: Message) -> list[Command | Reply]:
        """A fault in one message is answered with an `error` that names it, and changes nothing."""
        said: dict[str, Any] = {}
        try:
            if isinstance(message, bytes):
                raise BadInput("Events are text; send audio as base64 in input_audio_buffer.append.")
            said = parse_object(message)
            return self._do(said)
        except BadInput as error:
            return [Reply(self._error_event(error, said.get("event_id")))]

    def _do(self, said: dict[str, Any]) -> list[Command | Reply]:
        match said.get("type"):
            case "session.update":
                return self._update(said, beta=False)
            case "transcription_session.update":
                self._beta = True
                return self._update(said, beta=True)
            case "input_audio_buffer.append":
                return self._append(said.get("audio"))
            case "input_audio_buffer.commit":
                return self._commit()
            case "input_audio_buffer.clear":
                return self._clear()
            case str() as kind if kind.startswith(("response.", "conversation.", "output_audio_buffer.")):
                raise BadOption(f"A transcription session has no {kind[:60]}.", field="type")
            case kind:
                raise BadOption(f"There is no client event of type {shown(kind)}.", field="type")

    def _update(self, said: dict[str, Any], *, beta: bool) -> list[Command | Reply]:
        session = updated(self._session, said.get("session"))
        if self._opened and self._options(session) != self._options(self._opened):
            raise BadOption(
                "Audio has been sent: how it is heard cannot change any more; connect again.", field="session"
            )
        self._session = session
        return [Reply(self._session_event("updated", beta=beta))]

    def _append(self, audio: object) -> list[Command | Reply]:
        if not isinstance(audio, str):
            raise BadOption(f"audio must be a string of base64, not {shown(audio)}.", field="audio")
        try:
            data = base64.b64decode(audio, validate=True)
        except (binascii.Error, ValueError) as error:
            raise BadOption(f"audio must be base64: {error}.", field="audio") from error
        self._appended_s += len(data) / self._bytes_per_s
        size = int(MAX_PIECE_S * self._bytes_per_s)
        return [*self._opening(), *(Audio(data[start : start + size]) for start in range(0, len(data), size))]

    def _commit(self) -> list[Command | Reply]:
        if self._buffered_s < LEAST_COMMIT_S:
            held_ms = round(1000 * self._buffered_s)
            raise CommitEmpty(f"The buffer holds {held_ms} ms of audio; an item has at least 100 ms.")
        return self._flush(_Flushed(round(self._buffered_s, 3)))

    def _clear(self) -> list[Command | Reply]:
        if not self._buffered_s:
            return [Reply(self._event("input_audio_buffer.cleared"))]
        return self._flush(_Flushed(None))

    def _flush(self, why: _Flushed) -> list[Command | Reply]:
        self._flushes.append(why)
        self._ended_s = self._appended_s
        return [Flush()]

    def _opening(self) -> list[Command | Reply]:
        if self._opened:
            return []
        self._opened = self._session
        return [self._options(self._session)]

    def _options(self, session: RealtimeSession) -> Command:
        return session.options(self.name, self._models)

    @property
    def _bytes_per_s(self) -> int:
        audio = self._session.audio
        return audio.sample_rate * _BYTES[audio.encoding]

    @property
    def _buffered_s(self) -> float:
        return max(0.0, self._appended_s - self._ended_s)

    # --------------------------------------------------------------------------------------------------- to the client

    def send(self, event: Event) -> list[Message]:
        turns = self._session.turns is not None
        match event:
            case SpeechStarted(at_s) if turns:
                self._item = self._item or self._new_item()
                return [self._speech_event("speech_started", "audio_start_ms", at_s, self._item)]
            case SpeechStopped(at_s) if turns and self._item:
                return [self._speech_event("speech_stopped", "audio_end_ms", at_s, self._item)]
            case Utterance(reason="flush"):
                return self._flushed(event)
            case Utterance():
                return self._ended(event)
        return []

    def render_error(self, error: EarloopError) -> list[Message]:
        """Whoever waits for the transcript of an item is told that it will not come; then why."""
        committed = sum(why.seconds is not None for why in self._flushes)
        waiting = [self._item] if self._item else []
        waiting += [self._new_item() for _ in range(committed - len(waiting))]
        told = _told(error)
        failed = [
            self._event(f"{_TRANSCRIPTION}.failed", item_id=item, content_index=0, error=told) for item in waiting
        ]
        self._flushes.clear()
        self._item = None
        return [*failed, self._error_event(error, None)]

    def _flushed(self, final: Utterance) -> list[Message]:
        why = self._flushes.popleft() if self._flushes else _Flushed(final.end_s - final.start_s)
        if why.seconds is None:
            self._item = None
            return [self._event("input_audio_buffer.cleared")]
        return self._item_events(final, why.seconds)

    def _ended(self, final: Utterance) -> list[Message]:
        """By silence, or because the stream is over: an item where somebody was said to speak, or did."""
        if not (self._item or final.text):
            return []
        if self._session.turns:
            self._ended_s = max(self._ended_s, final.end_s)
        return self._item_events(final, round(final.end_s - final.start_s, 3))

    def _item_events(self, final: Utterance, seconds: float) -> list[Message]:
        item, self._item = self._item or self._new_item(), None
        previous, self._last_item = self._last_item, item
        about = {"item_id": item, "content_index": 0}
        trust = {"logprobs": logprobs(final.words)} if self._session.logprobs else {}
        usage = {"type": "duration", "seconds": seconds}
        messages = [self._event("input_audio_buffer.committed", item_id=item, previous_item_id=previous)]
        messages.append(self._item_event(item, previous))
        if final.text:
            messages.append(self._event(f"{_TRANSCRIPTION}.delta", **about, delta=final.text, **trust))
        done = self._event(f"{_TRANSCRIPTION}.completed", **about, transcript=final.text, usage=usage, **trust)
        return [*messages, done]

    def _item_event(self, item: str, previous: str | None) -> str:
        """The conversation has one more item, as both generations say it."""
        kind = "created" if self._beta else "added"
        content = [{"type": "input_audio", "transcript": None}]
        shape = {"id": item, "object": "realtime.item", "type": "message", "status": "completed", "role": "user"}
        return self._event(f"conversation.item.{kind}", previous_item_id=previous, item={**shape, "content": content})

    def _session_event(self, what: str, *, beta: bool) -> str:
        kind = f"{'transcription_session' if beta else 'session'}.{what}"
        return self._event(kind, session=self._session.shown(f"sess_{self._ident}", beta=beta))

    def _speech_event(self, what: str, name: str, at_s: float, item: str) -> str:
        return self._event(f"input_audio_buffer.{what}", **{name: round(1000 * at_s), "item_id": item})

    def _error_event(self, error: EarloopError, event_id: object) -> str:
        """`event_id` is the client's, where its event is to blame."""
        known = event_id[:MAX_EVENT_ID] if isinstance(event_id, str) else None
        return self._event("error", error={**_told(error), "event_id": known})

    def _event(self, kind: str, **fields: object) -> str:
        self._events += 1
        ident = f"event_{self._ident}_{self._events}"
        return json.dumps({"type": kind, "event_id": ident, **fields}, ensure_ascii=False)

    def _new_item(self) -> str:
        self._items += 1
        return f"item_{self._ident}_{self._items}"


_CODES: Final[dict[type[EarloopError], str]] = {
    BadOption: "invalid_value",
    CommitEmpty: "input_audio_buffer_commit_empty",
}


def _told(error: EarloopError) -> dict[str, Any]:
    """An error as the interface tells it; where an option is to blame, `param` is its key."""
    kind, code = kind_of(error)
    code = _CODES.get(type(error), code)
    param = f"{_WISHES}.keywords" if error.field in ("hotwords", "keywords") else error.field
    return {"type": kind, "code": code, "message": error.message, "param": param}
