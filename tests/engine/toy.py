"""A recognizer without a model, for tests of the engine: it hears a word in every loud step of 160 ms.

Audio is s16le at 16 kHz mono. A silent step after a loud one ends the utterance. Streams are named by their first
hotword, and what the name begins with is what goes wrong with them:

    poison…   every advance that has it in its stack raises
    deadly…   the same, but kills the thread
    fragile…  `accept` raises what is no error of ours

Audio that holds `BAD` is refused. While `gate` is not set, `advance` waits for it; `inside` says that it does.
"""

from __future__ import annotations

import threading
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from stt_server.engine.engine import Engine
from stt_server.engine.inbox import Inbox, Lane, Piece
from stt_server.engine.limits import Limits
from stt_server.engine.lineup import Pick
from stt_server.errors import BadAudio, BadOption
from stt_server.messages import (
    Audio,
    Event,
    Final,
    Finished,
    Flush,
    Open,
    Partial,
    Reason,
    SpeechStarted,
    SpeechStopped,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from stt_server.engine.admission import Place
    from stt_server.engine.interface import Recognizer
    from stt_server.engine.session import Session
    from stt_server.metrics import Metrics

RATE = 16_000
STEP_S = 0.16
STEP_BYTES = 2 * int(RATE * STEP_S)


def loud(steps: float) -> bytes:
    return b"\xff\x3f" * int(steps * STEP_BYTES / 2)


def quiet(steps: float) -> bytes:
    return bytes(2 * int(steps * STEP_BYTES / 2))


def options(name: str = "", **more) -> Open:
    return Open("test", hotwords=(name,) if name else (), **more)


@dataclass(eq=False)
class ToyStream:
    name: str
    data: bytes = b""
    accepts: int = 0
    audio_s: float = 0.0
    words: int = 0
    utterance: int = 0
    heard_s: float = 0.0
    pending: Reason | None = None
    done: bool = False
    events: list[Event] = field(default_factory=list)


class Toy:
    language = "en"
    takes_hotwords = True
    takes = frozenset({"hotwords", "boosts", "grammar", "beam"})
    letters = frozenset("abcdefghijklmnopqrstuvwxyz' ")
    lm = "toy-lm"

    def __init__(self, name: str = "toy", number: str = "1", word: str = "la") -> None:
        self.name, self.version, self._word = name, f"{name} {number}", word
        self.stacks: list[list[str]] = []
        self.gate = threading.Event()
        self.gate.set()
        self.inside = threading.Event()

    def unknown(self, words: Iterable[str]) -> list[str]:
        return []

    def open(self, options: Open) -> ToyStream:
        if options.decoder is not None:
            raise BadOption("the toy has no decoder", field="decoder")
        return ToyStream(options.hotwords[0] if options.hotwords else "")

    def accept(self, stream: ToyStream, data: bytes) -> None:
        if b"BAD" in data:
            raise BadAudio("the audio is bad")
        if stream.name.startswith("fragile"):
            raise ZeroDivisionError
        stream.accepts += 1
        stream.data += data
        stream.audio_s += len(data) / (2 * RATE)

    def flush(self, stream: ToyStream) -> None:
        stream.pending = "flush"

    def finish(self, stream: ToyStream) -> None:
        stream.pending = "finish"

    def ready(self, stream: ToyStream) -> bool:
        return not stream.done and (len(stream.data) >= STEP_BYTES or stream.pending is not None)

    def advance(self, streams: Sequence[ToyStream]) -> None:
        assert all(self.ready(stream) for stream in streams)
        self.stacks.append([stream.name for stream in streams])
        self.inside.set()
        assert self.gate.wait(30)
        for stream in streams:
            if stream.name.startswith("poison"):
                raise RuntimeError("poison")
            if stream.name.startswith("deadly"):
                raise SystemExit("the thread is killed")
        for stream in streams:
            self._step(stream)

    def take(self, stream: ToyStream) -> list[Event]:
        events, stream.events = stream.events, []
        return events

    def _step(self, stream: ToyStream) -> None:
        step, stream.data = stream.data[:STEP_BYTES], stream.data[STEP_BYTES:]
        stream.heard_s += len(step) / (2 * RATE)
        if len(step) == STEP_BYTES:
            self._hear(stream, bool(np.abs(np.frombuffer(step, "<i2")).mean() > 1000))
        if stream.pending is not None and len(stream.data) < STEP_BYTES:
            stream.data = b""
            self._say_final(stream, stream.pending)
            if stream.pending == "finish":
                stream.events.append(Finished(stream.audio_s, self.name))
                stream.done = True
            stream.pending = None

    def _hear(self, stream: ToyStream, speech: bool) -> None:
        if speech:
            if not stream.words:
                stream.events.append(SpeechStarted(stream.heard_s))
            stream.words += 1
            stream.events.append(Partial(stream.utterance, self._text(stream)))
        elif stream.words:
            stream.events.append(SpeechStopped(stream.heard_s))
            self._say_final(stream, "silence")

    def _say_final(self, stream: ToyStream, reason: Reason) -> None:
        stream.events.append(Final(stream.utterance, self._text(stream), (), 0.0, stream.heard_s, reason))
        stream.utterance += 1
        stream.words = 0

    def _text(self, stream: ToyStream) -> str:
        return " ".join([self._word] * stream.words)


class OneModel(Engine):
    """An engine whose streams are all heard by one recognizer."""

    def __init__(self, recognizer: Recognizer, limits: Limits, metrics: Metrics, **more: Any) -> None:
        super().__init__(limits, metrics, **more)
        self._pick = Pick(recognizer)

    def open(self, options: Open, place: Place | None = None) -> Session:  # type: ignore[override]
        return super().open(uuid.uuid4().hex[:12], options, self._pick, place)


class Clock:
    """Time that passes when told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Sender:
    """Puts a stream's audio on an inbox, as a session would."""

    def __init__(
        self,
        inbox: Inbox,
        toy: Toy,
        clock: Callable[[], float],
        name: str = "",
        *,
        live: bool = True,
        shadow: bool = False,
    ) -> None:
        self._inbox, self._clock = inbox, clock
        self.lane = Lane(toy, toy.open(options(name)), live, shadow)

    def audio(self, data: bytes, *, acknowledge: bool = False) -> bool:
        return self._inbox.put(self.lane, Piece(Audio(data), len(data) / (2 * RATE), self._clock(), acknowledge))

    def flush(self) -> bool:
        return self._inbox.put(self.lane, Piece(Flush(), 0.0, self._clock()))


async def read(session: Session) -> list[Event]:
    """All a session says, to its end."""
    return [event async for event in session.events()]


async def read_until(session: Session, kind: type[Event]) -> Event:
    async for event in session.events():
        if isinstance(event, kind):
            return event
    raise AssertionError(f"the session ended without {kind.__name__}")


def texts(events: Sequence[Event]) -> list[str]:
    return [event.text for event in events if isinstance(event, Final)]


SMALL = Limits(max_streams=3, max_uploads=2, max_queue_s=2.0, max_engine_queue_s=100.0)
