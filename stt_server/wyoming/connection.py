"""The pump between one Wyoming client and the engines.

    socket ── read ──► frames ──► codec.receive ──► session.send           listening
    socket ◄── write ──────────── codec.send ◄───── session.events        answering, a task for each request

Waits and their deadlines: for anything from the client `idle_timeout_s`, for room in the session's queue the session's
own, for the last words after `audio-stop` `idle_timeout_s`, for a client to read `write_timeout_s`, for all of it
`max_session_s`, for the goodbye `CLOSE_S`.

A fault is told as `error`, then the connection closes: older Home Assistants pass errors over and would wait for ever.
What such a client still sends is read meanwhile, for what was told is lost when a connection is closed with bytes that
nobody read.
"""

from __future__ import annotations

import asyncio
import secrets
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from stt_server.errors import Conflict, EarloopError, Internal, TimedOut, Unavailable
from stt_server.logs import EventLog
from stt_server.messages import Audio, Failed, Finish, Open
from stt_server.protocols.codec import Reply
from stt_server.protocols.wyoming import Frames, WyomingCodec

if TYPE_CHECKING:
    from collections.abc import Iterable

    from stt_server.engine.session import Session
    from stt_server.protocols.wyoming import Item
    from stt_server.wyoming.desk import Desk

READ_BYTES: Final = 1 << 16
AHEAD_S: Final = 5.0  # by which speech may be ahead of the clock: chunks of 4 s come when they are over
CLOSE_S: Final = 2.0

log = EventLog("wyoming")


class Connection:
    """From the first byte to the last. `run` or `refuse` it; `leave` when the server does."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, desk: Desk) -> None:
        self._reader, self._writer, self._desk = reader, writer, desk
        self._settings = desk.settings
        self._frames = Frames()
        self._codec = WyomingCodec(endpointing=self._settings.wyoming_endpointing)
        self._session: Session | None = None
        self._opened_at = 0.0
        self._answered = asyncio.Event()  # the request that runs, or none runs
        self._answered.set()
        self._answering: asyncio.Task[None] | None = None
        self._listening: asyncio.Task[None] | None = None
        self._broken = asyncio.get_running_loop().create_future()  # how answering failed
        self._leaving = False

    async def run(self) -> None:
        """Until the client leaves, a fault, or the server leaves and has answered. For a task of its own."""
        fault = await self._fate()
        if fault is not None:
            await self._tell(fault)
        self._writer.close()
        try:
            async with asyncio.timeout(CLOSE_S):
                await self._writer.wait_closed()
        except (OSError, TimeoutError):
            self._abort()

    def refuse(self, error: EarloopError) -> None:
        """Say why, and close, in place of `run`."""
        self._writer.write(b"".join(self._codec.render_error(error)))
        self._writer.close()

    def leave(self) -> None:
        """Go as soon as the request that runs is answered; at once where none does."""
        self._leaving = True
        if self._listening is not None and not self._codec.busy:
            self._listening.cancel()

    # ----------------------------------------------------------------------------------------------------- how it ends

    async def _fate(self) -> EarloopError | None:
        """Converse; what that ended with: None when the client or the server has left."""
        try:
            async with asyncio.timeout(self._settings.max_session_s):
                await self._converse()
        except TimeoutError:
            return TimedOut(f"A connection may last {self._settings.max_session_s:g} s at most; open another one.")
        except OSError:
            log.debug("client_gone")
            return None
        except Exception as error:  # noqa: BLE001 - a stream pump: one of the four places that catch
            return _as_ours(error)
        return None

    async def _converse(self) -> None:
        listening = self._listening = asyncio.create_task(self._listen())
        try:
            await asyncio.wait({listening, self._broken}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await self._end_tasks(listening)
        if self._broken.done():
            self._broken.result()
        if not listening.cancelled():
            listening.result()

    async def _end_tasks(self, listening: asyncio.Task[None]) -> None:
        tasks = [task for task in (listening, self._answering) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._session is not None:
            self._session.leave()

    async def _tell(self, fault: EarloopError) -> None:
        """The error, then the end of what we say; then listen for a moment, so that it arrives."""
        if self._session is None or self._session.error is not fault:  # the engine has counted its own
            self._desk.failed(fault)
        name = self._session.id if self._session else ""
        log.info("stream_failed", protocol=self._codec.name, session=name, code=fault.code, why=fault.for_log)
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(CLOSE_S):
                self._writer.write(b"".join(self._codec.render_error(fault)))
                await self._writer.drain()
                if self._writer.can_write_eof():
                    self._writer.write_eof()
                while await self._reader.read(READ_BYTES):
                    pass

    # ------------------------------------------------------------------------------------------------------- listening

    async def _listen(self) -> None:
        """Client to session, until the client has said all. Raises what is wrong with what it says."""
        while received := await self._read():
            for frame in self._frames.feed(received):
                for item in self._codec.receive(frame):
                    await self._obey(item)
                if self._codec.state == "finishing":
                    await self._last_words()

    async def _read(self) -> bytes:
        try:
            async with asyncio.timeout(self._settings.idle_timeout_s):
                return await self._reader.read(READ_BYTES)
        except TimeoutError:
            raise TimedOut(f"Nothing was sent for {self._settings.idle_timeout_s:g} s; send `ping` to stay.") from None

    async def _obey(self, item: Item) -> None:
        if isinstance(item, Reply):
            await self._write([_as_bytes(item)])
        elif isinstance(item, Open):
            await self._open(item)
        elif isinstance(item, Audio | Finish):
            await self._send(item)
        else:
            await self._write([await self._desk.info()])

    async def _open(self, options: Open) -> None:
        """A stream for a request; a model that is being loaded is waited for. Raises Busy, Unavailable, BadOption."""
        services = await self._desk.services()
        place = services.engines.reserve()
        try:
            await services.engines.make_ready(options)
            session = self._session = services.engines.open(options, place)
        except BaseException:
            place.release()
            raise
        self._opened_at = asyncio.get_running_loop().time()
        if left_out := self._codec.wishes.left_out:
            log.info("hints_left_out", session=session.id, count=left_out, kept=len(options.hints))
        self._answered.clear()
        self._answering = asyncio.create_task(self._answer(session))
        self._answering.add_done_callback(self._note)

    async def _send(self, command: Audio | Finish) -> None:
        assert self._session is not None, "a codec opens before it sends"
        try:
            await self._session.send(command)
        except Conflict:
            if self._codec.busy:
                raise
            # Answered while this waited for room: what still comes of the request is nobody's.

    async def _last_words(self) -> None:
        """After `audio-stop` nothing is looked at before the answer is out. Raises Unavailable where none comes."""
        try:
            async with asyncio.timeout(self._settings.idle_timeout_s):
                await self._answered.wait()
        except TimeoutError:
            within_s = self._settings.idle_timeout_s
            raise Unavailable(
                f"The transcript was not ready within {within_s:g} s; the server is overloaded."
            ) from None

    # ------------------------------------------------------------------------------------------------------- answering

    async def _answer(self, session: Session) -> None:
        """Session to client, until the request is answered. Raises what failed the session."""
        async for event in session.events():
            if isinstance(event, Failed):
                raise event.error
            await self._write(self._codec.send(event, live=self._is_live(session)))
            if not self._codec.busy:
                session.leave()
        if self._codec.busy:
            raise session.error or Unavailable("The stream has ended; connect again.")

    def _is_live(self, session: Session) -> bool:
        """Whether its audio has come no faster than it can have been spoken."""
        since_s = asyncio.get_running_loop().time() - self._opened_at
        return session.received_s - since_s < AHEAD_S

    def _note(self, answering: asyncio.Task[None]) -> None:
        """A request was answered, or cannot be."""
        if answering.cancelled():
            return
        if (error := answering.exception()) is not None:
            if not self._broken.done():
                self._broken.set_exception(error)
            return
        self._answered.set()
        if self._leaving:
            self.leave()

    async def _write(self, frames: Iterable[bytes]) -> None:
        """Raises ConnectionResetError when the client is gone, or does not read and is cut off."""
        self._writer.write(b"".join(frames))
        try:
            async with asyncio.timeout(self._settings.write_timeout_s):
                await self._writer.drain()
        except TimeoutError:
            self._desk.failed(TimedOut(""))
            log.warning("slow_reader_cut_off", protocol=self._codec.name)
            self._abort()
            raise ConnectionResetError("the client does not read") from None

    def _abort(self) -> None:
        self._writer.transport.abort()


def _as_bytes(reply: Reply) -> bytes:
    assert isinstance(reply.message, bytes)
    return reply.message


def _as_ours(error: Exception) -> EarloopError:
    """The error itself where it is of our tree, else an Internal with the id under which it has just been logged."""
    if isinstance(error, EarloopError):
        return error
    ident = secrets.token_hex(4)
    log.exception("internal_error", id=ident)  # noqa: LOG004 - called where the error is being handled
    return Internal(f"Something went wrong on our side; the server's log has it under the id {ident}.")
