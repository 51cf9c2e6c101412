"""The pump between a WebSocket and a session, the same for every protocol.

    socket ── receive ──► codec.receive ──► session.send          listening
    socket ◄── send ───── codec.send ◄───── session.events        answering

Two tasks; whichever ends first ends the stream. Waits and their deadlines: for a message `idle_timeout_s`, for room in
the session's queue the session's own, for a client to read an answer `write_timeout_s`, for the last event after the
last audio `idle_timeout_s`, for the client to say goodbye `CLOSE_S`. A client that is gone frees its place at once.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from aiohttp import WebSocketError, WSMsgType, web

from stt_server.errors import BadInput, EarloopError, TimedOut, TooLarge, Unavailable
from stt_server.logs import EventLog
from stt_server.messages import Failed, Finish, Finished, Open
from stt_server.protocols.codec import TOO_BIG, Reply, close_reason
from stt_server.protocols.native import NativeCodec
from stt_server.protocols.vosk import VoskCodec
from stt_server.web.context import services_of
from stt_server.web.errors import as_ours

if TYPE_CHECKING:
    from collections.abc import Iterable

    from stt_server.engine.admission import Place
    from stt_server.engine.session import Session
    from stt_server.messages import Command
    from stt_server.protocols.codec import Codec, Message
    from stt_server.services import Services

MAX_MESSAGE_BYTES: Final = 1 << 20
CLOSE_S: Final = 2.0

log = EventLog("streams")


async def native(request: web.Request) -> web.WebSocketResponse:
    """A stream in our own protocol; options may be in the query."""
    return await _stream(request, NativeCodec(request.query.items()))


async def vosk(request: web.Request) -> web.WebSocketResponse:
    """A stream in vosk-server's protocol."""
    return await _stream(request, VoskCodec())


async def _stream(request: web.Request, codec: Codec) -> web.WebSocketResponse:
    """Reserve a place, then upgrade, then pump. Raises Busy and Unavailable before the upgrade, for a plain 503."""
    services = services_of(request)
    place = services.engines.reserve(live=True)
    try:
        # One byte more: aiohttp refuses messages of the size it is told.
        socket = web.WebSocketResponse(compress=False, max_msg_size=MAX_MESSAGE_BYTES + 1, timeout=CLOSE_S)
        if not socket.can_prepare(request):
            raise BadInput(f"{request.path} speaks WebSocket; connect with an upgrade.")
        await socket.prepare(request)
        await Pump(request, socket, codec, services, place).run()
    finally:
        place.release()
    return socket


class Pump:
    """One stream from upgrade to close frame."""

    def __init__(
        self, request: web.Request, socket: web.WebSocketResponse, codec: Codec, services: Services, place: Place
    ) -> None:
        self._request = request
        self._socket = socket
        self._codec = codec
        self._services = services
        self._place = place
        self._idle_s = services.settings.idle_timeout_s
        self._write_s = services.settings.write_timeout_s
        self._session: Session | None = None
        self._opened = asyncio.Event()
        self._finishing = False
        self._over: TooLarge | None = None  # the stream reached its bound and is being finished

    async def run(self) -> None:
        fault: EarloopError | None = None
        try:
            await self._converse()
            fault = self._over
        except ConnectionError:
            log.debug("client_gone", protocol=self._codec.name, session=self._name)
        except Exception as error:  # noqa: BLE001 - one of the four places that catch
            fault = as_ours(error)
        finally:
            if self._session is not None:
                await self._session.close()
        await self._leave(fault)

    async def _converse(self) -> None:
        """Until the client left or all was said. Raises what ended the stream otherwise."""
        listening, answering = asyncio.create_task(self._listen()), asyncio.create_task(self._answer())
        try:
            await asyncio.wait({listening, answering}, return_when=asyncio.FIRST_COMPLETED)
            if self._over is not None:  # listening has ended by itself; the finals are still to come
                await asyncio.wait({answering}, timeout=self._idle_s)
        finally:
            listening.cancel()
            answering.cancel()
            await asyncio.gather(listening, answering, return_exceptions=True)
        for task in (answering, listening):
            if not task.cancelled() and (error := task.exception()):
                raise error

    # ------------------------------------------------------------------------------------------------------- listening

    async def _listen(self) -> None:
        """Client to session, until the client leaves or has sent more audio than one stream may have."""
        await self._obey(self._codec.connected())
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._idle_s) as deadline:
                while self._over is None and (message := await self._receive()) is not None:
                    deadline.reschedule(None)  # from here on others have deadlines
                    await self._obey(self._codec.receive(message))
                    deadline.reschedule(loop.time() + self._idle_s)
        except TimeoutError:
            raise self._idle() from None

    async def _receive(self) -> Message | None:
        """The next message; None when the connection is closed or was cut for a message that is too big."""
        message = await self._socket.receive()
        if message.type in (WSMsgType.BINARY, WSMsgType.TEXT):
            data: Message = message.data
            return data
        if isinstance(message.data, WebSocketError):  # aiohttp has sent the close frame: too big, no UTF-8, …
            fault = TooLarge if message.data.code == TOO_BIG else BadInput
            self._services.metrics.failed(fault.code)
        return None

    async def _obey(self, items: Iterable[Command | Reply]) -> None:
        for item in items:
            if isinstance(item, Reply):
                await self._write([item.message])
            elif isinstance(item, Open):
                self._session = self._services.engines.open(item, self._place)
                self._opened.set()
                log.debug("stream_opened", protocol=self._codec.name, session=self._name)
            else:
                assert self._session is not None, "a codec opens before it sends"
                self._finishing = isinstance(item, Finish)
                await self._send(self._session, item)

    async def _send(self, session: Session, command: Command) -> None:
        assert not isinstance(command, Open)
        try:
            await session.send(command)
        except TooLarge as error:
            if session.error is error:
                raise
            self._over = error
            await session.send(Finish())

    def _idle(self) -> EarloopError:
        if self._finishing:
            return Unavailable(f"The last words did not come within {self._idle_s:g} s; the server is overloaded.")
        return TimedOut(f"Nothing was sent for {self._idle_s:g} s; send audio or `ping` to keep the stream.")

    # ------------------------------------------------------------------------------------------------------- answering

    async def _answer(self) -> None:
        """Session to client, up to Finished. Raises what failed the session."""
        await self._opened.wait()  # the deadline of listening bounds this
        assert self._session is not None
        async for event in self._session.events():
            if isinstance(event, Failed):
                raise event.error
            await self._write(self._codec.send(event))
            if isinstance(event, Finished):
                return

    async def _write(self, messages: Iterable[Message]) -> None:
        """Raises ConnectionResetError when the client is gone, or does not read and is cut off."""
        try:
            async with asyncio.timeout(self._write_s):
                await self._say(messages)
        except TimeoutError:
            self._services.metrics.failed(TimedOut.code)
            log.warning("slow_reader_cut_off", protocol=self._codec.name, session=self._name)
            self._abort()
            raise ConnectionResetError("the client does not read") from None

    async def _say(self, messages: Iterable[Message]) -> None:
        for message in messages:
            if isinstance(message, str):
                await self._socket.send_str(message)
            else:
                await self._socket.send_bytes(message)

    # --------------------------------------------------------------------------------------------------------- leaving

    async def _leave(self, fault: EarloopError | None) -> None:
        """Say what is wrong, if anything is, and goodbye; a client that does not listen is cut off."""
        if fault is not None:
            self._note(fault)
        if self._socket.closed:
            return
        try:
            async with asyncio.timeout(CLOSE_S + CLOSE_S):
                await self._say(self._codec.render_error(fault) if fault else [])
                await self._socket.close(code=self._codec.close_code(fault), message=close_reason(fault))
        except (ConnectionError, TimeoutError):
            self._abort()

    def _note(self, fault: EarloopError) -> None:
        if self._session is None or self._session.error is not fault:  # the engine has counted its own
            self._services.metrics.failed(fault.code)
        log.info("stream_failed", protocol=self._codec.name, session=self._name, code=fault.code, why=fault.message)

    def _abort(self) -> None:
        if self._request.transport is not None:
            self._request.transport.abort()

    @property
    def _name(self) -> str:
        return self._session.id if self._session else ""
