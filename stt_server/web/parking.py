"""Streams that outlive their connections: who may go on with one, and how long it waits.

    opened ──► on a line ──── it breaks ───► parked ──── `resume_s` pass ──► gone, its place free
                │  ▲  ▲                        │
                │  │  └───────── resumed ──────┘
                └──┘ resumed while the server still thinks the old line alive: that one is cut

A parked stream keeps its place and hears what it was sent; what it says goes to its codec, which keeps the last of it.
A token is `<session>.<192 random bits>`. It is used up when the client goes on with the stream it got for it, so that
a line that breaks before `resumed` has arrived costs nothing. Who has a token but not the identity gets nowhere.

Used on the event loop only; every step here is done before anything else runs, so two clients never have one stream.
"""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Protocol

from aiohttp import web

from stt_server.engine.session import Session
from stt_server.errors import NotFound
from stt_server.logs import EventLog
from stt_server.messages import Failed, Ready, Resumed

if TYPE_CHECKING:
    from stt_server.errors import EarloopError
    from stt_server.messages import Event
    from stt_server.metrics import Metrics
    from stt_server.protocols.codec import Codec, Message
    from stt_server.services import Services
    from stt_server.web.hearing import Hearing

TOKEN_BYTES: Final = 24
DISMISS_S: Final = 1.0

log = EventLog("parking")


class Line(Protocol):
    """A connection that a stream is on."""

    def cut(self) -> None:
        """End now: another one goes on with the stream."""

    def dismiss(self) -> None:
        """End now: the server leaves, and no stream was opened."""


@dataclass(slots=True, eq=False)
class Stream:
    """What a connection may leave behind: the session, the codec with what was said last, and how far both got."""

    codec: Codec
    owner: str
    line: Line | None
    session: Session | Hearing | None = None
    finishing: bool = False  # the client has said Finish
    over: EarloopError | None = None  # the stream reached a bound and is being finished
    token: str = ""  # of a stream that can be resumed
    token_before: str = ""  # good until the client shows that it has the other
    resume_s: float = 0.0
    keeping: asyncio.Task[None] | None = None
    expiry: asyncio.TimerHandle | None = None
    speaker: str | None = None  # whose speech it is, as far as it may be kept

    def messages(self, event: Event) -> list[Message]:
        """What tells the client an event."""
        if isinstance(event, Ready) and self.token:
            event = replace(event, resume=self.token, resume_s=self.resume_s)
        return self.codec.send(event)

    def missed(self, seq: int) -> list[Message]:
        """What tells the client that it is on again, and all it has missed since. Raises NotFound: too much."""
        assert isinstance(self.session, Session), "others cannot be resumed"
        taken = self.session.received_bytes, self.session.received_commands
        return self.codec.send(Resumed(self.session.id, *taken, self.token, self.resume_s, seq))

    def is_for(self, owner: str, token: str) -> bool:
        given = token.encode("utf-8", "replace")
        known = [secrets.compare_digest(given, each.encode()) for each in (self.token, self.token_before) if each]
        return any(known) and owner == self.owner


class Parking:
    """All streams of a server that can be resumed, on a line or parked. `places` bounds the parked ones."""

    def __init__(self, resume_s: float, places: int, metrics: Metrics) -> None:
        self._resume_s = resume_s
        self._places = places
        self._metrics = metrics
        self._streams: dict[str, Stream] = {}  # by session
        self._parked: dict[str, Stream] = {}  # the same, those of them that wait; the longest first
        self._closed = False
        self.unopened: dict[Line, asyncio.Task[None] | None] = {}  # connections without a stream, and who serves them

    def enlist(self, stream: Stream) -> None:
        """A stream just opened can be resumed, unless that is switched off."""
        if self._resume_s > 0 and isinstance(stream.session, Session):
            stream.resume_s = self._resume_s
            stream.token = _new_token(stream.session)
            self._streams[stream.session.id] = stream

    def expects(self, owner: str) -> bool:
        """Whether somebody may come for a stream of his."""
        return any(stream.owner == owner for stream in self._streams.values())

    def take(self, token: str, owner: str, line: Line) -> Stream:
        """The stream of that token, from now on on `line`. Raises NotFound: unknown, expired, somebody else's."""
        stream = self._streams.get(token.partition(".")[0])
        if stream is None or stream.session is None or not stream.is_for(owner, token):
            raise NotFound("There is no such stream to resume (any more); open a new one.", field="token")
        old, stream.line = stream.line, line
        if old is not None:
            old.cut()
        self._unpark(stream)
        stream.token_before, stream.token = token, _new_token(stream.session)
        self._metrics.stream_resumed()
        log.info("stream_resumed", session=stream.session.id, line_was_cut=old is not None)
        return stream

    def park(self, stream: Stream, line: Line) -> None:
        """The line broke. The stream waits for another one, or ends if it cannot; nothing when it is on another yet."""
        if stream.line is not line:
            return
        if not stream.token or self._closed:
            self.drop(stream, line)
            return
        assert stream.session is not None
        stream.line = None
        stream.keeping = asyncio.create_task(_keep(stream, stream.session))
        stream.expiry = asyncio.get_running_loop().call_later(self._resume_s, self._expire, stream)
        self._parked[stream.session.id] = stream
        self._metrics.stream_parked()
        log.info("stream_parked", session=stream.session.id, seconds=self._resume_s)
        self._make_room()

    def drop(self, stream: Stream, line: Line | None) -> None:
        """The stream is over; nothing when it is on another line."""
        if stream.line is line:
            stream.line = None
            self._unpark(stream)
            if stream.session is not None:
                self._streams.pop(stream.session.id, None)
                stream.session.leave()

    def close(self) -> None:
        """The server leaves: nothing waits any longer."""
        self._closed = True
        for stream in list(self._parked.values()):
            self.drop(stream, None)

    async def dismiss(self) -> None:
        """Tell the connections that opened nothing to go, and give them a moment to."""
        for line in self.unopened:
            line.dismiss()
        if tasks := [task for task in self.unopened.values() if task is not None]:
            await asyncio.wait(tasks, timeout=DISMISS_S)

    def _make_room(self) -> None:
        """Streams that have ended have given their place back; not more of them wait than there are places."""
        if len(self._parked) > self._places:
            ended = (stream for stream in self._parked.values() if stream.session and stream.session.over)
            self._expire(next(ended, next(iter(self._parked.values()))))

    def _expire(self, stream: Stream) -> None:
        assert stream.session is not None
        self._metrics.stream_expired()
        log.info("stream_expired", session=stream.session.id)
        self.drop(stream, None)

    def _unpark(self, stream: Stream) -> None:
        if stream.session is not None:
            self._parked.pop(stream.session.id, None)
        if stream.keeping is not None:
            stream.keeping.cancel()
        if stream.expiry is not None:
            stream.expiry.cancel()
        stream.keeping = stream.expiry = None


async def _keep(stream: Stream, session: Session | Hearing) -> None:
    """Read what a parked stream says, to its end, so that it is a reader like any other; the codec keeps it."""
    async for event in session.events():
        if not isinstance(event, Failed):  # the session knows its error
            stream.messages(event)


def _new_token(session: Session | Hearing) -> str:
    return f"{session.id}.{secrets.token_urlsafe(TOKEN_BYTES)}"


PARKING: Final = web.AppKey("parking", Parking)


def install(app: web.Application, services: Services) -> None:
    """Give the application its parking, closed when the server leaves."""
    parking = Parking(services.settings.resume_s, services.settings.max_streams, services.metrics)
    app[PARKING] = parking

    async def close(_: web.Application) -> None:
        parking.close()

    app.on_shutdown.append(close)


def parking_of(request: web.Request) -> Parking:
    """The parked streams of the application that was asked."""
    return request.app[PARKING]
