"""A connection without a socket: a client that says anything, a codec, and a session that answers what it is told.

Every step asserts what must hold whatever was said:

* nothing but kinds of EarloopError is raised, and each can be rendered and closes with one of our close codes
* the first command is `Open`, or `Resume` on a connection that goes on with another's stream; neither comes again;
  after `Finish` comes nothing
* what goes on the wire is JSON in UTF-8, in messages the protocol has, as many as an event is due
* what is answered, held and spent is bounded by what was said
"""

from __future__ import annotations

import json
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Final

from stt_server.errors import EarloopError, NotFound
from stt_server.messages import (
    Audio,
    AudioSpec,
    Behind,
    Command,
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
from stt_server.protocols import kept
from stt_server.protocols.codec import MAX_REASON_BYTES, Reply, close_reason
from stt_server.protocols.deepgram import DeepgramCodec, parse_query
from stt_server.protocols.native import NativeCodec
from stt_server.protocols.vosk import VoskCodec
from tests.fuzz.held import held_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from stt_server.messages import Event
    from stt_server.protocols.codec import Codec, Message

CLOSE_CODES: Final = {1008, 1009, 1011, 1013}
ERROR_BYTES: Final = 4096  # as much as an error may say, whatever was sent
REPLY_FACTOR: Final = 12  # one letter of a ping's id as two escapes: \ud83d\ude00
HELD_BYTES: Final = 16_384  # by a codec, beside what its longest message made
HELD_FACTOR: Final = 64  # Python's own, for a message of many short strings
MESSAGE_S: Final = 5.0  # of processor time, for one message: a thousandfold of what it takes

WORDS: Final = (Word('a "b"', 0.1, 0.25, 0.5), Word("\u00e4\\\U0001f600", 0.25, 1e6, 1.0))
SOUNDS: Final[tuple[Event, ...]] = (
    SpeechStarted(0.1),
    Partial(0, 'a "b', 2),
    Partial(0, ""),
    SpeechStopped(0.3),
    Utterance(0, 'a "b" \u00e4\\\U0001f600', WORDS, 0.1, 0.3, "silence"),
    Utterance(1, "", (), 0.3, 0.4, "noise"),
    Behind(700),
)


class Talk:
    """`sounds` is what the session hears in the audio, over and over."""

    def __init__(self, codec: Codec, sounds: Sequence[Event] = SOUNDS) -> None:
        self.codec = codec
        self.commands: list[Command] = []
        self.to_tell: deque[Event] = deque()
        self.failed = False
        self.held_bytes = HELD_BYTES
        self._sounds = sounds
        self._heard = 0
        self._longest = 0
        self._over = False

    # ----------------------------------------------------------------------------------------------------- the client

    def connects(self, longest: int) -> None:
        """The connection stands; `longest` is the length of what came with it."""
        self._longest = longest
        self._take(self.codec.connected)

    def says(self, message: Message) -> None:
        """One message, to a codec that may long have answered with an error."""
        self._longest = max(self._longest, len(message))
        self._take(lambda: self.codec.receive(message))

    def _take(self, receive: Callable[[], list[Command | Reply]]) -> None:
        began = time.thread_time()
        try:
            did = receive()
        except EarloopError as error:
            self._check_error(error)
            did = []
        assert time.thread_time() - began < MESSAGE_S
        replies = [item.message for item in did if isinstance(item, Reply)]
        self._check_wire(replies)
        assert sum(map(len, replies)) <= REPLY_FACTOR * self._longest + ERROR_BYTES
        for item in did:
            if not isinstance(item, Reply):
                self._obey(item)
        self._check_held()

    def _check_error(self, error: EarloopError) -> None:
        assert type(error) is not EarloopError
        rendered = self.codec.render_error(error)
        self._check_wire(rendered)
        assert sum(map(len, rendered)) <= ERROR_BYTES
        assert self.codec.close_code(error) in CLOSE_CODES
        assert len(close_reason(error)) <= MAX_REASON_BYTES

    def _check_held(self) -> None:
        assert held_bytes(self.codec) <= HELD_FACTOR * self._longest + self.held_bytes

    # ---------------------------------------------------------------------------------------------------- the session

    def _obey(self, command: Command) -> None:
        """Order is kept; the session has something to say to each command."""
        assert isinstance(command, Open | Resume | Audio | Flush | Finish)
        assert isinstance(command, Open | Resume) == (not self.commands)
        assert not any(isinstance(earlier, Finish) for earlier in self.commands[-1:])
        self.commands.append(command)
        if isinstance(command, Resume):
            self.fails(NotFound("there is no such stream", field="token"))
        elif not self._over:
            self.to_tell.extend(self._answers(command))

    def _answers(self, command: Command) -> Iterable[Event]:
        match command:
            case Open():
                token, wait_s = ("s.token", 10.0) if command.resumable else (None, 0.0)
                yield Ready("s", "first", "en", AudioSpec(command.audio.encoding), token, wait_s)
            case Audio(data):
                for _ in range(len(data) % 4):
                    yield self._sounds[self._heard % len(self._sounds)]
                    self._heard += 1
                if self._opening.acknowledge:
                    yield Heard(0.1)
            case Flush():
                yield Utterance(2, "flushed", (), 0.0, 0.1, "flush")
            case Finish():
                yield Utterance(3, "the end", (), 0.0, 0.1, "finish")
                yield Finished(0.1, "first")

    @property
    def _opening(self) -> Open:
        opening = self.commands[0]
        assert isinstance(opening, Open)
        return opening

    def tells(self, events: int) -> None:
        """The session says its next events, of which there may be fewer."""
        for _ in range(min(events, len(self.to_tell))):
            self._send(self.to_tell.popleft())

    def fails(self, error: EarloopError) -> None:
        """The session breaks: what it had to say is lost."""
        self.to_tell.clear()
        if self.commands and not self._over:
            self.failed = True
            self._send(Failed(error))
            self._check_error(error)

    def _send(self, event: Event) -> None:
        assert not self._over
        self._over = isinstance(event, Finished | Failed)
        messages = self.codec.send(event)
        assert len(messages) == self.due(event)
        self._check_wire(messages)
        self._check_held()

    # ------------------------------------------------------------------------------------------------------- the wire

    def _check_wire(self, messages: Sequence[Message]) -> None:
        for message in messages:
            assert isinstance(message, str)
            message.encode("utf-8")
            self.check(json.loads(message))

    def due(self, event: Event) -> int:
        """How many messages an event must give."""
        raise NotImplementedError

    def check(self, message: dict[str, Any]) -> None:
        """That the protocol has such a message."""
        raise NotImplementedError

    def ends(self) -> None:
        """The session says all it has left."""
        self.tells(len(self.to_tell))


NUMBERED: Final = {
    "ready": {"session", "model", "language", "encoding", "sample_rate", "channels"},
    "speech_started": {"at"},
    "speech_stopped": {"at"},
    "final": {"utterance", "text", "words", "start", "end", "reason"},
    "finished": {"audio_s", "model"},
}
UNNUMBERED: Final = {
    "partial": {"utterance", "text", "stable"},
    "behind": {"lag_ms"},
    "pong": {"id"},
    "error": {"code", "message"},
    "resumed": {"session", "received_bytes", "received_commands", "resume", "resume_s"},
}
OF_SOME_ERRORS: Final = {"field", "retry_after_s"}


class NativeTalk(Talk):
    """A stream that can be resumed numbers what it says, without a gap, and can say again what a client missed."""

    def __init__(self, query: Sequence[tuple[str, str]] = (), sounds: Sequence[Event] = SOUNDS) -> None:
        super().__init__(NativeCodec(query), sounds)
        self.numbered: list[dict[str, Any]] = []
        self.held_bytes += kept.BYTES + 200 * kept.MESSAGES
        self.connects(sum(len(name) + len(value) for name, value in query))

    def due(self, event: Event) -> int:
        return 0 if isinstance(event, Heard) else 1

    def check(self, message: dict[str, Any]) -> None:
        kind = message["type"]
        if kind in UNNUMBERED:
            known = UNNUMBERED[kind] | {"type"}
            assert known <= set(message) <= known | (OF_SOME_ERRORS if kind == "error" else set())
        elif self._resumable:
            more = {"seq", "resume", "resume_s"} if kind == "ready" else {"seq"}
            assert set(message) == NUMBERED[kind] | {"type"} | more
            self.numbered.append(message)
            assert message["seq"] == len(self.numbered)
        else:
            assert set(message) == NUMBERED[kind] | {"type"}

    def resumes(self, seq: int) -> None:
        """Another connection goes on with the stream, having got its messages up to `seq`, as it says."""
        try:
            resumed, *again = self.codec.send(Resumed("s", 0, 0, "s.next", 10.0, seq))
        except NotFound as error:
            assert not 0 <= seq <= len(self.numbered)
            self._check_error(error)
        else:
            self._check_wire([resumed])
            assert [json.loads(message) for message in again] == self.numbered[seq:]

    @property
    def _resumable(self) -> bool:
        return bool(self.commands) and isinstance(self.commands[0], Open) and self.commands[0].resumable


class VoskTalk(Talk):
    """Lock-step besides: one reply for each audio, flush and the finish, and no final is lost between them."""

    def __init__(self, sounds: Sequence[Event] = SOUNDS) -> None:
        super().__init__(VoskCodec(), sounds)
        self.replies = 0
        self._told: list[str] = []
        self._read: list[str] = []
        self.connects(0)

    def due(self, event: Event) -> int:
        if isinstance(event, Utterance):
            self._told += [event.text] if event.text else []
            return int(event.reason == "flush")
        return int(isinstance(event, Heard | Finished))

    def check(self, message: dict[str, Any]) -> None:
        assert len({"partial", "text", "alternatives"} & set(message)) == 1
        if "partial" not in message:
            text = message["text"] if "text" in message else message["alternatives"][0]["text"]
            self._read += [text] if text else []
        self.replies += 1

    def ends(self) -> None:
        super().ends()
        if not self.failed:
            assert self.replies == sum(not isinstance(command, Open) for command in self.commands)
            assert " ".join(self._read) == " ".join(self._told)


class DeepgramTalk(Talk):
    """Results tile the audio, whatever the session says of its times."""

    def __init__(self, query: Sequence[tuple[str, str]] = (), sounds: Sequence[Event] = SOUNDS) -> None:
        super().__init__(DeepgramCodec(parse_query(query, live=True), "0", "now"), sounds)
        self._told_s = 0.0
        self.connects(sum(len(name) + len(value) for name, value in query))

    def due(self, event: Event) -> int:
        return int(isinstance(event, Utterance | Finished))

    def check(self, message: dict[str, Any]) -> None:
        if message["type"] == "Results":
            assert message["start"] == self._told_s
            assert message["duration"] >= 0
            if message["is_final"]:
                self._told_s = round(message["start"] + message["duration"], 3)
        else:
            assert message["type"] in {"Metadata", "ConfigureSuccess", "ConfigureFailure", "Error"}
