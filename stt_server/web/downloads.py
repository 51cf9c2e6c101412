"""Files that are made while they are sent: take-outs and exports, which may be larger than memory."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from aiohttp import web

from stt_server.errors import TimedOut
from stt_server.web.context import services_of

if TYPE_CHECKING:
    from collections.abc import Iterator


async def send(request: web.Request, pieces: Iterator[bytes], filename: str, kind: str) -> web.StreamResponse:
    """Piece after piece, each made in a thread and read by the client before the next is made. Raises TimedOut."""
    headers = {"Content-Type": kind, "Content-Disposition": f'attachment; filename="{filename}"'}
    response = web.StreamResponse(headers=headers)
    piece = await asyncio.to_thread(next, pieces, None)  # what fails at once fails with an answer
    await response.prepare(request)
    while piece is not None:
        try:
            async with asyncio.timeout(services_of(request).settings.write_timeout_s):
                await response.write(piece)
        except TimeoutError:
            raise TimedOut("The file was not read; ask for it again.") from None
        piece = await asyncio.to_thread(next, pieces, None)
    await response.write_eof()
    return response
