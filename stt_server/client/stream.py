"""An open stream as its user sees it, whatever happens to the connections below (`link.py`)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from stt_server.client.address import DEADLINES, Deadlines, Server, stream_url, trust
from stt_server.client.dialling import patiently
from stt_server.client.link import BACKLOG_BYTES, Link, opened
from stt_server.client.wire import encode
from stt_server.errors import TimedOut, Unavailable
from stt_server.messages import Finished, Flush, Open

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterable, AsyncIterator
    from pathlib import Path
    from types import TracebackType
    from typing import Self

    from stt_server.client.wire import Told
    from stt_server.messages import Ready


class StreamClient:
    """One open stream. One task may send while another iterates; iterate in one task only. `ready` says what runs."""

    def __init__(self, link: Link, deadlines: Deadlines) -> None:
        self.ready: Ready = link.ready
        self._link = link
        self._deadlines = deadlines
        self._patience_s: float | None = None
        self._reading: asyncio.Timeout | None = None
        self._speaker_fault: BaseException | None = None

    @property
    def reconnects(self) -> int:
        """How many connections broke and were replaced; each is told as `Reconnected` among the events."""
        return self._link.reconnects

    async def send(self, data: bytes) -> None:
        """Audio as the options announced it, cut anywhere. Waits while the server is slower than the speaker."""
        await self._link.say(data)

    async def flush(self) -> None:
        """End the utterance now, as a push-to-talk button does; its Final follows."""
        await self._link.say(encode("flush"))

    async def finish(self) -> None:
        """No more audio: the last Final and Finished follow, and the iteration ends."""
        await self._link.say(encode("finish"))
        self._patience_s = self._deadlines.finish_s
        if self._reading is not None:
            self._reading.reschedule(asyncio.get_running_loop().time() + self._patience_s)

    async def ping(self, ident: object = None) -> None:
        """Ask for a Pong among the events; it shows that the server reads, not that it has recognised anything.

        A ping that meets a broken connection is lost.
        """
        await self._link.say_now(encode("ping", id=ident))

    async def __aiter__(self) -> AsyncIterator[Told]:
        """Events in order, up to the one after which nothing comes: Finished. An error of the server is raised."""
        event = None
        while not isinstance(event, Finished):
            event = await self._next()
            yield event

    async def converse(self, said: AsyncIterable[bytes | Flush]) -> AsyncIterator[Told]:
        """Send all audio, flushing where that is said, then finish; meanwhile the events, as in iterating.

        An error of `said` or of sending ends it too, and is raised here.
        """
        speaking = asyncio.create_task(self._speak(said))
        try:
            async for event in self:
                yield event
            await speaking
        except Unavailable as gone:
            raise self._speaker_fault or gone from None
        finally:
            speaking.cancel()
            await asyncio.wait({speaking})

    async def _speak(self, said: AsyncIterable[bytes | Flush]) -> None:
        try:
            async for each in said:
                await (self.flush() if isinstance(each, Flush) else self.send(each))
            await self.finish()
        except BaseException as fault:
            self._speaker_fault = fault
            await self.close()
            raise

    async def _next(self) -> Told:
        try:
            async with asyncio.timeout(self._patience_s) as self._reading:
                return await self._link.unread.take()
        except TimeoutError as error:
            raise TimedOut(f"No answer for {self._patience_s:g} s after the last audio; try again.") from error
        finally:
            self._reading = None

    async def close(self) -> None:
        """Leave at once; without `finish`, what was not yet final is lost. May be called again."""
        await self._link.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


async def connect(
    url: str,
    options: Open | None = None,
    *,
    key: str | None = None,
    tls: ssl.SSLContext | Path | str | None = None,
    deadlines: Deadlines = DEADLINES,
    patience_s: float = 0.0,
    backlog_bytes: int = BACKLOG_BYTES,
) -> StreamClient:
    """Open a stream at a server's address (`http://host:2700`, `ws://host:2700/v1/stream` or `host:2700`).

    `tls` is a context, or the file of a certificate authority to trust. A server that is full, away or slow is asked
    again for `patience_s`. A stream whose options say `resumable` holds at most `backlog_bytes` that have not arrived.

    Raises Unavailable when nothing answers, Busy or LimitReached with `retry_after_s`, Unauthorized, TimedOut,
    BadOption for an address that is none, and what the server says about the options.
    """
    address = stream_url(url)
    server = Server(address, deadlines, key, trust(tls, address))
    asked = options or Open("native")
    return StreamClient(await patiently(lambda: opened(server, asked, backlog_bytes), patience_s), deadlines)
