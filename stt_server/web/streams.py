"""The pump between a WebSocket and a session, the same for every protocol.

    socket ── receive ──► codec.receive ──► session.send          listening
    socket ◄── send ───── codec.send ◄───── session.events        answering

Two tasks; whichever ends first ends the stream. Waits and their deadlines: for a message `idle_timeout_s` or what the
protocol's `Terms` say, for all the messages of a connection `max_session_s`, for room in the session's queue the
session's own, for a client to read an answer `write_timeout_s`, for the last event after the last audio
`idle_timeout_s`, for the client to say goodbye `CLOSE_S`. A client that is gone frees its place at once, unless its
stream can be resumed and the client did not say goodbye: such a stream is parked (`parking.py`).
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from aiohttp import WebSocketError, WSMsgType, web

from stt_server.engine.session import Session
from stt_server.errors import BadInput, Busy, EarloopError, Idle, TimedOut, TooLarge, Unavailable
from stt_server.logs import EventLog
from stt_server.messages import Failed, Finish, Finished, Open, Resume
from stt_server.protocols.codec import TOO_BIG, Reply
from stt_server.protocols.native import NativeCodec
from stt_server.protocols.vosk import VoskCodec
from stt_server.web.collecting import speaker_id
from stt_server.web.context import MAY_OPEN, identity_of, services_of
from stt_server.web.credentials import offered_subprotocols, without_key
from stt_server.web.errors import as_ours
from stt_server.web.hearing import hear
from stt_server.web.parking import Stream, parking_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from stt_server.engine.admission import Place
    from stt_server.messages import Audio, Command, Flush
    from stt_server.protocols.codec import Codec, Message
    from stt_server.web.hearing import Hearing

CLOSE_S: Final = 2.0
FIRST_S: Final = 5.0  # for the first message of one who has no place, and so must have come to resume
GOODBYES: Final = (0, 1000, 1001)  # close codes by which a client says that it is done; 0 stands for no code

log = EventLog("streams")


async def native(request: web.Request) -> web.WebSocketResponse:
    """A stream in our own protocol; options may be in the query."""
    options = [(name, value) for name, value in without_key(request) if name != "contributor"]
    return await stream(request, NativeCodec(options))


async def vosk(request: web.Request) -> web.WebSocketResponse:
    """A stream in vosk-server's protocol."""
    return await stream(request, VoskCodec())


async def stream(request: web.Request, codec: Codec, headers: Mapping[str, str] | None = None) -> web.WebSocketResponse:
    """Reserve a place, then upgrade, then pump; `headers` come with the upgrade.

    Raises Busy and Unavailable before the upgrade, for a plain 503; what a codec that opens at once raises as well.
    """
    # One byte more: aiohttp refuses messages of the size it is told.
    socket = web.WebSocketResponse(
        compress=False,
        max_msg_size=codec.terms.max_message_bytes + 1,
        timeout=CLOSE_S,
        protocols=_echoed(request, codec.terms.subprotocols),
    )
    socket.headers.update(headers or {})
    pump = Pump(request, socket, codec, _place_for(request))
    try:
        if not can_upgrade(socket, request):
            raise BadInput(f"{request.path} speaks WebSocket; connect with an upgrade.")
        await pump.begin()
        await socket.prepare(request)
        await pump.run()
    finally:
        pump.release()
    return socket


def _echoed(request: web.Request, known: tuple[str, ...]) -> tuple[str, ...]:
    """What of the offered subprotocols is agreed to: the first that is known, if any. (aiohttp warns of none.)"""
    return tuple(each for each in offered_subprotocols(request) if each in known)[:1]


def can_upgrade(socket: web.WebSocketResponse, request: web.Request) -> bool:
    """Whether the request asks for a WebSocket in words that we understand."""
    try:
        return bool(socket.can_prepare(request))
    except ValueError:  # a header that is no text or no base64, which aiohttp does not expect
        return False


def _place_for(request: web.Request) -> Place | None:
    """A place for one stream; None where all are taken, but the client may have come to resume one that has its own."""
    if not request[MAY_OPEN]:
        return None
    try:
        return services_of(request).engines.reserve(live=True)
    except (Busy, Unavailable):
        if not parking_of(request).expects(identity_of(request).id):
            raise
        return None


class Pump:
    """One connection from upgrade to close frame, and the stream that it opens or resumes."""

    def __init__(self, request: web.Request, socket: web.WebSocketResponse, codec: Codec, place: Place | None) -> None:
        self._request = request
        self._socket = socket
        self._services = services_of(request)
        self._parking = parking_of(request)
        self._place = place
        self._idle_s = self._services.settings.idle_timeout_s
        self._write_s = self._services.settings.write_timeout_s
        self._stream = Stream(codec, identity_of(request).id, self, speaker=speaker_id())
        self._opened = asyncio.Event()
        self._is_told = False  # the client knows that nothing more comes, or wants nothing more
        self._tasks: list[asyncio.Task[None]] = []

    async def begin(self) -> None:
        """Before the upgrade: open the stream, where the protocol can do that without a message."""
        if self._codec.terms.opens_at_once:
            await self._obey(self._codec.connected())

    async def run(self) -> None:
        if self._stream.session is None:
            self._parking.unopened[self] = asyncio.current_task()
        try:
            fault = await self._fate()
            if fault or self._is_told or not self._stream.token:
                self._parking.drop(self._stream, self)  # before the client is told: its place is free
            self._is_told |= await self._leave(fault)
        finally:  # the handler of a connection that broke is cancelled
            self._parking.unopened.pop(self, None)
            (self._parking.drop if self._is_told else self._parking.park)(self._stream, self)

    def cut(self) -> None:
        """Another connection goes on with the stream; this one, which may be long dead, ends here and now."""
        for task in self._tasks:
            task.cancel()
        self._abort()

    def dismiss(self) -> None:
        """The server leaves, and the client has opened nothing."""
        self._opened.set()

    def release(self) -> None:
        """Give back the place, and the session that was opened for an upgrade that did not come."""
        self._parking.drop(self._stream, self)
        self._release_place()

    def _release_place(self) -> None:
        if self._place is not None:
            self._place.release()
            self._place = None

    async def _fate(self) -> EarloopError | None:
        """Converse; how that ended: None when all was said or the client is gone."""
        try:
            await self._converse()
        except ConnectionError:
            log.debug("client_gone", protocol=self._codec.name, session=self._name)
        except Exception as error:  # noqa: BLE001 - one of the four places that catch
            return as_ours(error)
        return self._stream.over

    async def _converse(self) -> None:
        """Until the client left or all was said. Raises what ended the stream otherwise."""
        listening, answering = self._tasks = [asyncio.create_task(self._listen()), asyncio.create_task(self._answer())]
        try:
            await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
            if self._stream.over is not None:  # listening has ended by itself; the finals are still to come
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
        if not self._codec.terms.opens_at_once:
            await self._obey(self._codec.connected())
        loop = asyncio.get_running_loop()
        ends_at = loop.time() + self._services.settings.max_session_s
        first_s = self._patience_s if self._place or self._opened.is_set() else FIRST_S
        try:
            async with asyncio.timeout_at(min(loop.time() + first_s, ends_at)) as deadline:
                while self._stream.over is None and (message := await self._receive()) is not None:
                    deadline.reschedule(None)  # from here on others have deadlines
                    await self._obey(self._codec.receive(message))
                    deadline.reschedule(min(loop.time() + self._patience_s, ends_at))
        except TimeoutError:
            if loop.time() < ends_at:
                raise self._idle() from None
            self._end_session()

    async def _receive(self) -> Message | None:
        """The next message; None when the connection is closed or was cut for a message that is too big."""
        message = await self._socket.receive()
        if message.type in (WSMsgType.BINARY, WSMsgType.TEXT):
            data: Message = message.data
            return data
        if isinstance(message.data, WebSocketError):  # aiohttp has sent the close frame: too big, no UTF-8, …
            fault = TooLarge if message.data.code == TOO_BIG else BadInput
            self._services.metrics.failed(fault.code)
            self._is_told = True
        elif message.type is WSMsgType.CLOSE:
            self._is_told = message.data in GOODBYES
        return None

    async def _obey(self, items: Iterable[Command | Reply]) -> None:
        for item in items:
            if isinstance(item, Reply):
                await self._write([item.message])
            elif isinstance(item, Open):
                await self._open(item)
            elif isinstance(item, Resume):
                await self._resume(item)
            else:
                assert self._stream.session is not None, "a codec opens before it sends"
                self._stream.finishing = isinstance(item, Finish)
                self._stream.token_before = ""  # whoever goes on has got the other one
                await self._send(self._stream.session, item)

    async def _open(self, options: Open) -> None:
        """Raises Busy for one who got in without a place, in the belief that he would resume.

        A protocol that has no word for the model can have it in the query: `/?model=NAME`.
        """
        if options.model is None and self._codec.terms.model_in_query:
            options = replace(options, model=self._request.query.get("model") or None)
        await self._services.engines.make_ready(options)
        self._stream.session = hear(self._services.engines, options, self._place)
        self._place = None  # the session's from now on
        if options.resumable:
            self._parking.enlist(self._stream)
        self._parking.unopened.pop(self, None)
        self._opened.set()
        log.debug("stream_opened", protocol=self._codec.name, session=self._name)

    async def _resume(self, asked: Resume) -> None:
        """Go on with the stream of another connection: first what that one missed, then what comes.

        Nothing more of it is kept where this one brings somebody else's speech, or says `collect=false`.
        """
        speaker = self._stream.speaker
        self._stream = self._parking.take(asked.token, self._stream.owner, self)
        if isinstance(self._stream.session, Session) and speaker != self._stream.speaker:
            self._stream.session.witness = None
        self._release_place()
        self._parking.unopened.pop(self, None)
        await self._write(self._stream.missed(asked.seq))
        self._opened.set()

    async def _send(self, session: Session | Hearing, command: Audio | Flush | Finish) -> None:
        try:
            await session.send(command)
        except TooLarge as error:
            if session.error is error:
                raise
            self._stream.over = error
            session.finish()

    def _end_session(self) -> None:
        """The connection has lasted as long as one may: its stream says its last words, as on reaching its bound."""
        allowed_s = self._services.settings.max_session_s
        over = TimedOut(f"A connection may last {allowed_s:g} s at most; open another one.")
        if self._stream.session is None:
            raise over
        self._stream.over = over
        self._stream.session.finish()

    @property
    def _patience_s(self) -> float:
        """How long the client may say nothing; the last words have the server's time, whatever the protocol's is."""
        own_s = self._codec.terms.idle_s
        return self._idle_s if own_s is None or self._stream.finishing else own_s

    def _idle(self) -> EarloopError:
        if self._stream.finishing:
            return Unavailable(f"The last words did not come within {self._idle_s:g} s; the server is overloaded.")
        return Idle(f"Nothing was sent for {self._patience_s:g} s; send audio or `ping` to keep the stream.")

    # ------------------------------------------------------------------------------------------------------- answering

    async def _answer(self) -> None:
        """Session to client, up to Finished. Raises what failed the session."""
        session = await self._opening()
        async for event in session.events():
            if isinstance(event, Failed):
                raise event.error
            await self._write(self._stream.messages(event))
            if isinstance(event, Finished):
                return
        if session.error is not None:  # it failed while it was parked
            raise session.error

    async def _opening(self) -> Session | Hearing:
        """The session, once the client has opened it; the deadline of listening bounds this. Raises Unavailable."""
        await self._opened.wait()
        if self._stream.session is None:
            raise Unavailable("The server is shutting down; connect again later.")
        return self._stream.session

    async def _write(self, messages: Iterable[Message]) -> None:
        """Raises ConnectionResetError when the client is gone, or does not read and is cut off."""
        try:
            # A line that takes nothing is given up before the session gives up its reader: the stream may go on.
            async with asyncio.timeout(self._write_s / 2 if self._stream.token else self._write_s):
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

    async def _leave(self, fault: EarloopError | None) -> bool:
        """Say what is wrong, if anything is, and goodbye; a client that does not listen is cut off.

        Whether the client answered, and so has got all that was said before.
        """
        if fault is not None:
            self._note(fault)
        if self._socket.closed:
            return False
        try:
            async with asyncio.timeout(CLOSE_S + CLOSE_S):
                await self._say(self._codec.render_error(fault) if fault else [])
                await self._socket.close(code=self._codec.close_code(fault), message=self._codec.close_reason(fault))
        except (ConnectionError, TimeoutError):
            self._abort()
        return self._socket.close_code in GOODBYES

    def _note(self, fault: EarloopError) -> None:
        session = self._stream.session
        if session is None or session.error is not fault:  # the engine has counted its own
            self._services.metrics.failed(fault.code)
        log.info("stream_failed", protocol=self._codec.name, session=self._name, code=fault.code, why=fault.for_log)

    def _abort(self) -> None:
        if self._request.transport is not None:
            self._request.transport.abort()

    @property
    def _codec(self) -> Codec:
        return self._stream.codec

    @property
    def _name(self) -> str:
        return self._stream.session.id if self._stream.session else ""
