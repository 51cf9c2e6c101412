"""A TCP proxy that does to connections what networks do: cut them, swallow what they carry, be slow, be away."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

Way = Literal["up", "down"]


@dataclass(frozen=True)
class Break:
    """Cut a connection once so many bytes have gone that way; in the middle of a frame, as likely as not."""

    way: Way
    after: int


class Proxy:
    """`plan` is used up by the connections in their order, one break each; who comes later is left alone."""

    def __init__(self, port: int) -> None:
        self.target = port
        self.plan: list[Break] = []
        self.delay_s = 0.0
        self.away = False  # nobody gets through
        self.connections = 0
        self.turned_away = 0
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._open: set[asyncio.StreamWriter] = set()
        self.url = ""

    def cut(self) -> None:
        """Break all connections, without a word."""
        for writer in self._open:
            writer.transport.abort()

    def stall(self) -> None:
        """Swallow all bytes of the connections there are, and leave them open: a phone that walked out of the wifi."""
        stalled, self._flowing = self._flowing, asyncio.Event()
        self._flowing.set()
        stalled.clear()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            if self.away:
                self.turned_away += 1
            else:
                await self._forward(reader, writer)
        except OSError:
            pass
        finally:
            self._open.discard(writer)
            writer.transport.abort()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        planned = self.plan.pop(0) if self.plan else None
        there_reader, there = await asyncio.open_connection("127.0.0.1", self.target)
        self._open.add(there)
        ways = [
            asyncio.create_task(self._carry(reader, there, planned if planned and planned.way == "up" else None)),
            asyncio.create_task(
                self._carry(there_reader, writer, planned if planned and planned.way == "down" else None)
            ),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            self._open.discard(there)
            there.transport.abort()

    async def _carry(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, planned: Break | None) -> None:
        """Bytes from one to the other, up to their end or the break."""
        flowing, left = self._flowing, planned.after if planned else None
        while data := await source.read(4096):
            if self.delay_s:
                await asyncio.sleep(self.delay_s)
            if not flowing.is_set():
                continue
            if left is not None:
                data, left = data[:left], left - len(data)
            sink.write(data)
            with suppress(ConnectionError):
                await sink.drain()
            if left is not None and left <= 0:
                return


@asynccontextmanager
async def proxied(port: int) -> AsyncIterator[Proxy]:
    """A proxy in front of a port of this machine."""
    proxy = Proxy(port)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield proxy
    finally:
        server.close()
        proxy.cut()
