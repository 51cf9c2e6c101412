"""WebSockets of the DeepSpeech and Coqui families, and sherpa-onnx's: streams, and a whole file in one message."""

from __future__ import annotations

import asyncio
import io
from typing import TYPE_CHECKING

from aiohttp import WSMessageTypeError, web

from stt_server.errors import BadInput, TimedOut, TooLarge
from stt_server.messages import Open
from stt_server.protocols import deepspeech
from stt_server.protocols.codec import TOO_BIG, close_code, close_reason
from stt_server.protocols.sherpa import SherpaCodec
from stt_server.web.context import services_of
from stt_server.web.errors import as_ours
from stt_server.web.recognition import FILE_AUDIO, transcribe_file
from stt_server.web.streams import CLOSE_S, can_upgrade, stream
from stt_server.web.uploads import reserved_place

if TYPE_CHECKING:
    from stt_server.engine.admission import Place


async def recognize(request: web.Request) -> web.WebSocketResponse:
    """Utterances with an EOS behind each."""
    return await stream(request, deepspeech.DeepspeechCodec())


async def sherpa(request: web.Request) -> web.WebSocketResponse:
    """A stream of floats, as sherpa-onnx's clients send it."""
    return await stream(request, SherpaCodec())


async def whole(request: web.Request) -> web.WebSocketResponse:
    """One file, one answer. Raises Busy and Unavailable before the upgrade."""
    services = services_of(request)
    bound = services.settings.max_body_mb << 20
    socket = web.WebSocketResponse(compress=False, max_msg_size=bound + 1, timeout=CLOSE_S)
    with reserved_place(services, live=False) as place:
        if not can_upgrade(socket, request):
            raise BadInput(f"{request.path} speaks WebSocket; connect with an upgrade.")
        await socket.prepare(request)
        fault = None
        try:
            answer = await _answer(request, socket, place)
        except ConnectionError:
            return socket  # the client is gone
        except Exception as error:  # noqa: BLE001 - a pump, if a short one: one of the four places that catch
            fault = as_ours(error)
            services.metrics.failed(fault.code)
            answer = deepspeech.failed(fault)
    try:
        async with asyncio.timeout(services.settings.write_timeout_s):
            if not socket.closed:
                await socket.send_str(answer)
            await socket.close(code=close_code(fault), message=close_reason(fault))
    except (ConnectionError, TimeoutError):
        pass  # nobody is there, or nobody reads
    return socket


async def _answer(request: web.Request, socket: web.WebSocketResponse, place: Place) -> str:
    """Raises BadInput, TimedOut, TooLarge, ConnectionResetError for a client that left, and as `transcribe_file`."""
    services, loop = services_of(request), asyncio.get_running_loop()
    file = io.BytesIO(await _file(socket, services.settings.idle_timeout_s))
    began = loop.time()
    options = Open("coqui", FILE_AUDIO, model=request.query.get("model") or None, partials=False, live=False)
    await services.engines.make_ready(options)
    session = services.engines.open(options, place)
    said = await transcribe_file(session, file, services.settings.max_stream_s)
    return deepspeech.whole_file(said, loop.time() - began)


async def _file(socket: web.WebSocketResponse, wait_s: float) -> bytes:
    try:
        async with asyncio.timeout(wait_s):
            data: bytes = await socket.receive_bytes()
            return data
    except TimeoutError:
        raise TimedOut(f"Nothing was sent for {wait_s:g} s; send a file in one binary message.") from None
    except WSMessageTypeError:
        pass
    if socket.close_code == TOO_BIG:
        raise TooLarge("The file is larger than this server takes.")
    if socket.closed:
        raise ConnectionResetError("the client left without a word")
    raise BadInput("Send the file in one binary message.")
