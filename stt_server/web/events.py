"""Server-sent events to one client: text/event-stream, each event written before a deadline.

The answer begins with the first event, so that what fails before it still has its own status. A client that does not
read is cut off; one that is gone has its handler cancelled, as with any request.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from aiohttp import web

from stt_server.errors import TimedOut
from stt_server.logs import EventLog
from stt_server.web.context import services_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping

# Or a proxy (nginx) would keep events until it has a buffer full of them.
UNBUFFERED: Final = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}

log = EventLog("events")


class EventStream:
    """`headers` are those of the answer. `begun` says whether its status has gone out."""

    def __init__(self, request: web.Request, headers: Mapping[str, str]) -> None:
        self._request = request
        self._services = services_of(request)
        self._answer = web.StreamResponse(headers={**headers, **UNBUFFERED})

    @property
    def begun(self) -> bool:
        return self._answer.prepared

    async def send(self, event: str) -> None:
        """Raises ConnectionResetError when the client is gone, or does not read and is cut off."""
        if not self.begun:
            await self._before_the_deadline(self._answer.prepare(self._request))
        await self._before_the_deadline(self._answer.write(event.encode()))

    async def end(self) -> web.StreamResponse:
        """The answer, complete. Raises as `send`."""
        await self._before_the_deadline(self._answer.write_eof())
        return self._answer

    async def _before_the_deadline(self, writing: Awaitable[object]) -> None:
        try:
            async with asyncio.timeout(self._services.settings.write_timeout_s):
                await writing
        except TimeoutError:
            self._services.metrics.failed(TimedOut.code)
            log.warning("slow_reader_cut_off", path=self._request.path)
            if self._request.transport is not None:
                self._request.transport.abort()
            raise ConnectionResetError("the client does not read") from None
