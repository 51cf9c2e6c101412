"""Files that are made while they are sent: take-outs and exports, which may be larger than memory."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING

from aiohttp import web

from stt_server.errors import EarloopError, TimedOut
from stt_server.logs import EventLog
from stt_server.web.context import services_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterator

log = EventLog("downloads")


async def send(request: web.Request, pieces: Iterator[bytes], filename: str, kind: str) -> web.StreamResponse:
    """Piece after piece, each made in a thread and read by the client before the next is made.

    Raises what the first piece raises, and TimedOut. What goes wrong later cuts the connection: a client that has a
    part must not take it for the whole, nor wait for more.
    """
    headers = {"Content-Type": kind, "Content-Disposition": f'attachment; filename="{filename}"'}
    response = web.StreamResponse(headers=headers)
    piece = await asyncio.to_thread(next, pieces, None)  # what fails at once fails with an answer
    await response.prepare(request)
    with _whole_or_cut(request):
        while piece is not None:
            await _before_the_deadline(request, response.write(piece))
            piece = await asyncio.to_thread(next, pieces, None)
        await _before_the_deadline(request, response.write_eof())
    return response


async def _before_the_deadline(request: web.Request, writing: Awaitable[None]) -> None:
    try:
        async with asyncio.timeout(services_of(request).settings.write_timeout_s):
            await writing
    except TimeoutError:
        raise TimedOut("The file was not read; ask for it again.") from None


@contextmanager
def _whole_or_cut(request: web.Request) -> Iterator[None]:
    try:
        yield
    except BaseException as error:
        if isinstance(error, EarloopError):
            log.warning("download_cut", path=request.path, why=error.for_log)
        if request.transport is not None:
            request.transport.abort()
        raise
