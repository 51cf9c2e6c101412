"""Connections that ask nothing, read nothing or never end: how many there may be, and how long each may last.

aiohttp bounds the time between two requests of a connection and nothing else. What it leaves open is closed here:

    more than `max_connections`                  503 and a close, before anything is read
    no complete request since it was opened      cut after `idle_timeout_s`: one who sends a header a byte at a time
    an answer that lies unread                   cut after `write_timeout_s` without progress
    a request or stream that never ends          cut `GRACE_S` after `max_session_s`; a stream was told before

A cut is a reset without a word: who is cut is either not listening or was never told a protocol to be answered in.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from aiohttp import web

from stt_server.logs import EventLog
from stt_server.tasks import ended, wait_for

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Awaitable, Callable

    from stt_server.metrics import Metrics
    from stt_server.settings import Settings

    Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

LOOK_S: Final = 0.25
GRACE_S: Final = 30.0
CLOSE_S: Final = 2.0
HANDSHAKE_S: Final = 10.0  # of TLS
SHUTDOWN_S: Final = 10.0  # the same
BACKLOG: Final = 128
FULL: Final = (
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 2\r\nX-Earloop-Error: busy: too many connections; try again\r\n"
    b"Content-Length: 0\r\nConnection: close\r\n\r\n"
)

log = EventLog("web")


@dataclass(slots=True)
class _Seen:
    """What was noticed of a connection, on the loop's clock."""

    since: float  # it is there
    # Kept here, for aiohttp forgets it when it closes the connection, which lasts until the last byte was taken.
    transport: asyncio.Transport | None
    asked: bool = False  # a request of it has come in whole
    busy_since: float | None = None  # of the request that is being answered
    unread: int = 0  # bytes of answers that it has not taken
    unread_since: float = 0.0


class Connections:
    """All of one server. `note` is a middleware; `of` gives the protocols for a listening socket."""

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self._settings = settings
        self._metrics = metrics
        self._seen: dict[object, _Seen] = {}

    @web.middleware
    async def note(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """The outermost middleware: when a request begins and ends."""
        now = asyncio.get_running_loop().time()
        seen = self._seen.setdefault(request.protocol, _Seen(now, request.transport))
        seen.asked, seen.busy_since = True, now
        try:
            return await handler(request)
        finally:
            seen.busy_since = None

    def of(self, server: web.Server) -> Callable[[], asyncio.Protocol]:
        """What makes the protocol of each connection that comes in."""

        def accepted() -> asyncio.Protocol:
            if len(server.connections) < self._settings.max_connections:
                return server()
            self._metrics.refused("connections")
            return _Refusal()

        return accepted

    @asynccontextmanager
    async def watched(self, server: web.Server) -> AsyncIterator[None]:
        """Look at every connection now and then, and cut those that are over a bound."""
        closing = asyncio.Event()
        watching = asyncio.create_task(self._watch(server, closing))
        try:
            yield
        finally:
            closing.set()
            await ended(watching, CLOSE_S)

    async def _watch(self, server: web.Server, closing: asyncio.Event) -> None:
        while not closing.is_set():
            await wait_for(closing, LOOK_S)
            self._look(server, asyncio.get_running_loop().time())

    def _look(self, server: web.Server, now: float) -> None:
        connections = server.connections
        self._seen = {each: self._seen.get(each) or _Seen(now, each.transport) for each in connections}
        for seen in self._seen.values():
            if seen.transport is not None and (why := self._fault(seen, seen.transport, now)):
                log.info("connection_cut", why=why)
                seen.transport.abort()

    def _fault(self, seen: _Seen, transport: asyncio.Transport, now: float) -> str:
        """Why the connection must go; empty while it may stay."""
        settings, unread = self._settings, _unread(transport)
        if unread is None:
            return ""
        if not unread or unread != seen.unread:
            seen.unread, seen.unread_since = unread, now
        if not seen.asked and now - seen.since > settings.idle_timeout_s:
            return "no request came"
        if now - seen.unread_since > settings.write_timeout_s:
            return "an answer was not read"
        if seen.busy_since is not None and now - seen.busy_since > settings.max_session_s + GRACE_S:
            return "the request did not end"
        return ""


def _unread(transport: asyncio.Transport) -> int | None:
    """Bytes of answers that were not taken; None of a connection that goes by itself, within `SHUTDOWN_S`.

    A TLS transport of asyncio that was closed twice, as aiohttp does, knows its connection no more.
    """
    try:
        return transport.get_write_buffer_size()
    except AttributeError:
        return None


class _Refusal(asyncio.Protocol):
    """One connection too many."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        transport.write(FULL)
        transport.close()


class Site(web.BaseSite):
    """A listening socket whose protocols come from `accepted`; `web.TCPSite` would take them from aiohttp's server."""

    def __init__(
        self,
        runner: web.AppRunner,
        host: str,
        port: int,
        accepted: Callable[[], asyncio.Protocol],
        certificate: ssl.SSLContext | None,
    ) -> None:
        super().__init__(runner, ssl_context=certificate, backlog=BACKLOG)
        self._host, self._port, self._accepted = host, port, accepted

    @property
    def name(self) -> str:
        return f"{self._host}:{self._port}"

    async def start(self) -> None:
        """Listen. Raises OSError."""
        await super().start()
        self._server = await asyncio.get_running_loop().create_server(
            self._accepted,
            self._host,
            self._port,
            ssl=self._ssl_context,
            ssl_handshake_timeout=HANDSHAKE_S if self._ssl_context else None,
            ssl_shutdown_timeout=SHUTDOWN_S if self._ssl_context else None,
            backlog=BACKLOG,
        )
