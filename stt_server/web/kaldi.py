"""The routes of kaldi-gstreamer-server: a stream, a recording, and how busy the server is."""

from __future__ import annotations

import asyncio
import uuid
from typing import TYPE_CHECKING, Final

from aiohttp import WSMsgType, web

from stt_server.errors import BadInput, Busy, Unavailable
from stt_server.protocols import kaldi
from stt_server.protocols.codec import TRY_LATER
from stt_server.web.context import services_of
from stt_server.web.streams import CLOSE_S, can_upgrade, stream
from stt_server.web.uploads import heard, ran

if TYPE_CHECKING:
    from stt_server.services import Services

STATUS_S: Final = 0.5  # between two looks at how busy we are
JSON: Final = "application/json; charset=utf-8"


async def recognize(request: web.Request) -> web.Response:
    """A file, or raw audio recognised while it arrives."""
    said = await heard(request, "kaldi", kaldi.raw_spec(request.headers.get("Content-Type", "")))
    body = kaldi.recognized(said, str(uuid.uuid4()))
    return web.Response(text=body, headers={"Content-Type": JSON, **ran(said)})


async def speech(request: web.Request) -> web.WebSocketResponse:
    """A stream. Its clients know a full server by status 9, not by a refused upgrade."""
    codec = kaldi.KaldiCodec(str(uuid.uuid4()), request.query)
    try:
        return await stream(request, codec)
    except (Busy, Unavailable) as error:
        socket = await _upgraded(request)
        async with asyncio.timeout(CLOSE_S + CLOSE_S):
            for message in codec.render_error(error):
                await socket.send_str(str(message))
            await socket.close(code=TRY_LATER, message=codec.close_reason(error))
        return socket


async def status(request: web.Request) -> web.WebSocketResponse:
    """How many more streams there may be, and how many there were: at once, and whenever that changes."""
    services, loop = services_of(request), asyncio.get_running_loop()
    socket = await _upgraded(request)
    leaving = asyncio.create_task(_left(socket))
    told, ends_at = "", loop.time() + services.settings.max_session_s
    try:
        while not leaving.done() and services.engines.ready and loop.time() < ends_at:
            now = _status(services)
            if now != told:
                async with asyncio.timeout(services.settings.write_timeout_s):
                    await socket.send_str(now)
            told = now
            await asyncio.wait({leaving}, timeout=STATUS_S)
    except (ConnectionError, TimeoutError):
        pass  # nobody is there, or nobody reads
    finally:
        leaving.cancel()
        await asyncio.gather(leaving, return_exceptions=True)
    await socket.close()
    return socket


def _status(services: Services) -> str:
    free = max(0, services.settings.max_streams - services.engines.open_streams)
    return kaldi.server_status(free, services.metrics.streams_over)


async def _left(socket: web.WebSocketResponse) -> None:
    """Returns when the client is gone; what it says meanwhile is nobody's business."""
    while (await socket.receive()).type in (WSMsgType.TEXT, WSMsgType.BINARY):
        pass


async def _upgraded(request: web.Request) -> web.WebSocketResponse:
    """Raises BadInput for a request that does not ask for it."""
    socket = web.WebSocketResponse(compress=False, max_msg_size=1 << 20, timeout=CLOSE_S)
    if not can_upgrade(socket, request):
        raise BadInput(f"{request.path} speaks WebSocket; connect with an upgrade.")
    await socket.prepare(request)
    return socket
