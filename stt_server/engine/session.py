"""A stream's asyncio face: commands in, events out, both bounded, both with a deadline.

              send                                      ┌── Finished, Failed ──► ended: place and queue freed
    caller ──────────► inbox ─ ─ thread ─ ─ deliver ────┤
              events                                    └── others ──► bounded queue ──► events()

Everything here runs on the event loop and only moves bytes. One task sends and one reads. Every failure of the stream
comes once, as `Failed` among its events; a `send` after that raises the same error.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Final, Protocol

from stt_server.engine.inbox import Piece
from stt_server.engine.interface import Nameplate
from stt_server.errors import Conflict, EarloopError, TimedOut, TooLarge
from stt_server.messages import Audio, Failed, Finish, Finished, Flush, Partial

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable

    from stt_server.engine.inbox import Inbox, Lane
    from stt_server.engine.limits import Limits
    from stt_server.engine.shadow import Shadow
    from stt_server.messages import Event, Open, Ready

PIECE_S: Final = 0.5  # as much as the batcher takes at once


class Witness(Protocol):
    """Who is told what a session takes and says, on its event loop; must be quick and never raise."""

    def took(self, data: bytes) -> None:
        """Audio went into the queue: exactly what will be heard, whatever a `send` was cut to."""

    def said(self, event: Event) -> None: ...


class Session:
    """Made by `Engine.open`. `ended` is called once when the stream is over, `closed` once when its reader is too.

    `error` is what the stream failed with, from then on. `received_bytes` of audio and `received_commands`, Flush and
    Finish, are in the queue or past it: exact also when a `send` was cancelled half-way. `recognizer` says what hears
    the stream, from its first to its last word.

    A closed session holds neither stream nor model: tracebacks and tasks may keep it until the collector comes by, and
    a model is to be gone with its last stream.
    """

    def __init__(
        self,
        ready: Ready,
        options: Open,
        bytes_per_second: int,
        lane: Lane,
        inbox: Inbox,
        limits: Limits,
        clock: Callable[[], float],
        *,
        ended: Callable[[Session], None],
        closed: Callable[[Session], None],
    ) -> None:
        self.id = ready.session
        self.options = options
        self.recognizer = Nameplate.of(lane.recognizer)
        self._lane: Lane | None = lane
        self.witness: Witness | None = None
        self.shadow: Shadow | None = None
        self._inbox = inbox
        self._limits = limits
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._on_ended = ended
        self._on_closed = closed
        # Sending.
        self._bytes_per_second = bytes_per_second
        self.received_bytes = 0
        self.received_commands = 0
        self._finishing = False
        self._server_ends = False
        self._room = asyncio.Event()
        # Reading.
        self._events: deque[Event] = deque([ready])
        self._arrived = asyncio.Event()
        self._taken_at = self._loop.time()  # or when the first untaken event came, if that was later
        self._deadline: asyncio.TimerHandle | None = None
        # Ending.
        self._ended = False
        self._closed = False
        self.error: EarloopError | None = None

    # -------------------------------------------------------------------------------------------------- for the caller

    async def send(self, command: Audio | Flush | Finish) -> None:
        """Queue a command; waits while the queue is full.

        Raises TimedOut when it stays full for `send_timeout_s`, TooLarge for audio beyond `max_stream_s` (nothing of
        it is queued; Finish still works), Conflict after Finish or close, and the stream's own error once it failed.
        When the server itself ends the stream, because it shuts down, what still comes is dropped: the finals follow.
        """
        if self._may_send():
            if isinstance(command, Audio):
                await self._send_audio(command)
            else:
                self._finishing = isinstance(command, Finish)
                await self._put(Piece(command, 0.0, self._clock()))

    async def events(self) -> AsyncIterator[Event]:
        """What the stream says, from Ready to Finished or Failed; the session is closed when that has been read."""
        while not self._closed:
            while not self._events:
                if self._closed:
                    return
                self._arrived.clear()
                await self._arrived.wait()
            event = self._events.popleft()
            self._taken_at = self._loop.time()
            yield event
            if isinstance(event, Finished | Failed):
                self.leave()

    async def close(self) -> None:
        """Leave, at once and at any time: the stream's work is dropped, its place is free. Twice is as good as once."""
        self.leave()

    def leave(self) -> None:
        """The same, for those who cannot wait, not even for nothing."""
        if self._closed:
            return
        self._closed = True
        self._end(None)
        self._events.clear()
        self._arrived.set()
        if self._deadline is not None:
            self._deadline.cancel()
        self._on_closed(self)
        self._lane = self.shadow = self.witness = None

    @property
    def received_s(self) -> float:
        """Seconds of audio in `received_bytes`."""
        return self.received_bytes / self._bytes_per_second

    @property
    def lane(self) -> Lane:
        """Its place in the queue, until it is closed."""
        assert self._lane is not None, "the session is closed"
        return self._lane

    @property
    def over(self) -> bool:
        """Whether the engine is done with the stream; its last events may still be unread."""
        return self._ended

    # --------------------------------------------------------------------------------------------------- for the engine

    def deliver(self, events: Iterable[Event]) -> None:
        for event in events:
            if not self._ended:
                self._deliver(event)

    def wake(self) -> None:
        """There may be room in the queue."""
        self._room.set()

    def finish(self) -> None:
        """The server ends the stream in good order: what is queued is worked through, the finals come."""
        if not (self._finishing or self._ended):
            self._finishing = self._server_ends = True
            self._inbox.put(self.lane, Piece(Finish(), 0.0, self._clock()))
            self._room.set()
            if self.shadow is not None:
                self.shadow.drop("closing")

    def fail(self, error: EarloopError) -> None:
        """End the stream now; the error is all its reader still gets."""
        if not self._ended:
            self._events.clear()
            self._deliver(Failed(error))

    # --------------------------------------------------------------------------------------------------------- sending

    def _may_send(self) -> bool:
        if self.error is not None:
            raise self.error
        if self._server_ends and not self._closed:
            return False
        if self._finishing or self._ended:
            raise Conflict("the stream was finished or closed; nothing can be sent to it any more")
        return True

    async def _send_audio(self, audio: Audio) -> None:
        if (self.received_bytes + len(audio.data)) / self._bytes_per_second > self._limits.max_stream_s:
            bound_s = self._limits.max_stream_s
            raise TooLarge(f"a stream may hold at most {bound_s:g} s of audio; finish this one and open another")
        arrived = self._clock()
        for piece in self._cut(audio, arrived):
            await self._put(piece)

    def _cut(self, audio: Audio, arrived: float) -> Iterable[Piece]:
        """Long audio in pieces, so that it cannot overrun the queue. Most comes short and stays as it is."""
        size = max(1, int(min(PIECE_S, self._limits.max_queue_s) * self._bytes_per_second))
        last = max(0, (len(audio.data) - 1) // size)
        for number in range(last + 1):
            part = audio if last == 0 else Audio(audio.data[number * size : (number + 1) * size])
            seconds = len(part.data) / self._bytes_per_second
            yield Piece(part, seconds, arrived, acknowledge=self.options.acknowledge and number == last)

    async def _put(self, piece: Piece) -> None:
        if self._try_put(piece):
            return
        try:
            async with asyncio.timeout(self._limits.send_timeout_s):
                while not self._try_put(piece):
                    self._room.clear()
                    await self._room.wait()
                    if not self._may_send():
                        return
        except TimeoutError:
            raise TimedOut(
                f"the server is overloaded: the stream's queue stayed full for {self._limits.send_timeout_s:g} s; "
                "send no faster than real time, or try again later"
            ) from None

    def _try_put(self, piece: Piece) -> bool:
        if not self._inbox.put(self.lane, piece):
            return False
        if self.shadow is not None:
            self.shadow.hear(piece)
        if isinstance(piece.command, Audio):
            self.received_bytes += len(piece.command.data)
            if self.witness is not None:
                self.witness.took(piece.command.data)
        else:
            self.received_commands += 1
        return True

    # --------------------------------------------------------------------------------------------------------- reading

    def _deliver(self, event: Event) -> None:
        if self.witness is not None:
            self.witness.said(event)
        if self.shadow is not None:
            self.shadow.answered(event)
        if isinstance(event, Finished | Failed):
            self._end(event.error if isinstance(event, Failed) else None)
        if not self._events:
            self._taken_at = self._loop.time()
        if not self._replaces_last(event):
            self._events.append(event)
        self._arrived.set()
        if len(self._events) > self._limits.max_events:
            self._fail_slow_reader()
        elif self._deadline is None:
            self._watch_reader(self._limits.write_timeout_s)

    def _replaces_last(self, event: Event) -> bool:
        """A reader that is behind wants the newest partial of an utterance only."""
        last = self._events[-1] if self._events else None
        if isinstance(event, Partial) and isinstance(last, Partial) and event.utterance == last.utterance:
            self._events[-1] = event
            return True
        return False

    def _watch_reader(self, in_s: float) -> None:
        self._deadline = self._loop.call_later(in_s, self._check_reader)

    def _check_reader(self) -> None:
        self._deadline = None
        if not self._events:
            return
        left_s = self._taken_at + self._limits.write_timeout_s - self._loop.time()
        if left_s > 0:
            self._watch_reader(left_s)
        elif self._ended:  # not even the end was read: nobody is there
            self.leave()
        else:
            self._fail_slow_reader()

    def _fail_slow_reader(self) -> None:
        self.fail(TimedOut(f"answers were not read for {self._limits.write_timeout_s:g} s; read while you send"))

    # ---------------------------------------------------------------------------------------------------------- ending

    def _end(self, error: EarloopError | None) -> None:
        if not self._ended:
            self._ended = True
            self.error = error
            self._room.set()
            if self.shadow is not None:
                self.shadow.session_ended()
            self._on_ended(self)
