"""The connections of one stream, one after the other, and what must outlive each of them.

    say ─► Backlog ─► flow, one at a time ─► connection ─► follow, one task ─► Unread
              ▲                                   │
              └─────── what did not arrive ◄── breaks, answers no ping, takes nothing

A stream that the server keeps (`Ready.resume`) holds what it sent until a pong shows that the server has taken it, and
sends no further ahead than `WINDOW_BYTES`: a ping must not have to wait behind minutes of audio. When the connection
breaks it goes on on a new one. Any other stream ends with its connection.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from websockets.exceptions import ConnectionClosed

from stt_server.client.backlog import Backlog, Mark
from stt_server.client.dialling import TRANSIENT, dialled, early_end, greeted, patiently
from stt_server.client.unread import Unread
from stt_server.client.wire import Pong, Reconnected, encode, open_message, read
from stt_server.errors import Conflict, EarloopError, Internal, NotFound, TimedOut, Unavailable
from stt_server.messages import Event, Finished, Open, Ready, Resumed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from websockets.asyncio.client import ClientConnection

    from stt_server.client.address import Server

BACKLOG_BYTES = 4 << 20  # two minutes of 16-bit speech at 16 kHz
WINDOW_BYTES = 1 << 16  # audio on its way at once
PART_BYTES = 1 << 14  # the longest message, and how often a ping asks what has arrived
ARRIVED = "earloop.arrived"  # the key in the ids of those pings
OUR_REFUSALS = (1002, 1003, 1007, 1009, 1010)  # we closed, over what the server sent: once more is no better


class Link:
    """`ready` is what the server said first, `reconnects` how many connections were replaced, `unread` what came."""

    def __init__(
        self, server: Server, connection: ClientConnection, ready: Ready, seq: int, backlog_bytes: int
    ) -> None:
        self.ready = ready
        self.reconnects = 0
        self.unread = Unread()
        self._server = server
        self._deadlines = server.deadlines
        self._connection = connection
        self._connected = True
        self._token = ready.resume
        self._seq = seq  # of the last message that came, 0 where they have no numbers
        self._backlog = Backlog(backlog_bytes)
        self._part_bytes = max(1, min(PART_BYTES, backlog_bytes // 4))
        self._asked = Mark()  # how far it was when the last ping asked what had arrived
        self._room = asyncio.Event()
        self._writing = asyncio.Lock()
        self._tasks = {asyncio.create_task(self._follow())}

    # --------------------------------------------------------------------------------------------------------- sending

    async def say(self, message: str | bytes) -> None:
        """Send, in order with all before, also across a broken connection. Waits for room; raises TimedOut when there
        is none for `send_s`. Does nothing once the stream has ended: why it has, its reader is told.
        """
        for part in self._parts(message):
            await self._wait_for_room(part)
            if self.unread.ended:
                return
            self._backlog.add(part)
            await self._flow()

    async def say_now(self, message: str) -> None:
        """Send before what waits; lost with the connection."""
        async with self._writing:
            if self._connected:
                await self._write(message)

    def _parts(self, message: str | bytes) -> Iterator[str | bytes]:
        if isinstance(message, str) or not self._token:
            yield message
        else:
            for start in range(0, len(message), self._part_bytes):
                yield message[start : start + self._part_bytes]

    async def _wait_for_room(self, message: str | bytes) -> None:
        try:
            async with asyncio.timeout(self._deadlines.send_s):
                while not (self._backlog.has_room(message) or self.unread.ended):
                    self._room.clear()
                    await self._room.wait()
        except TimeoutError as error:
            raise self._too_slow() from error

    async def _flow(self) -> None:
        """Write what is not written yet, as far as the window goes; nothing while there is no connection."""
        async with self._writing:
            while self._connected and self._backlog.on_its_way < WINDOW_BYTES:
                if (message := self._backlog.take()) is None:
                    return
                await self._write(message)
                if not self._token:
                    self._backlog.acknowledge(self._backlog.sent)
                elif self._is_time_to_ask():
                    self._asked = self._backlog.sent
                    mark = [self._asked.audio, self._asked.commands]
                    await self._write(encode("ping", id={ARRIVED: mark}))

    def _is_time_to_ask(self) -> bool:
        sent, asked = self._backlog.sent, self._asked
        return sent.audio - asked.audio >= self._part_bytes or sent.commands > asked.commands

    async def _write(self, message: str | bytes) -> None:
        """To the connection, which is given up where it takes nothing; `follow` sees that it is closed."""
        try:
            async with asyncio.timeout(self._deadlines.stall_s if self._token else self._deadlines.send_s):
                await self._connection.send(message)
        except ConnectionClosed:
            self._connected = False
        except TimeoutError as error:
            if not self._token:
                raise self._too_slow() from error
            self._connected = False
            self._connection.transport.abort()

    def _too_slow(self) -> TimedOut:
        return TimedOut(f"The server took no audio for {self._deadlines.send_s:g} s; speak to it later.")

    # --------------------------------------------------------------------------------------------------------- reading

    async def _follow(self) -> None:
        """Read to the stream's end, over as many connections as it takes. The end is told to the reader."""
        fault: EarloopError = Internal("The client library broke.")
        try:
            while (closed := await self._listen()) is not None:
                await self._go_on(closed)
            fault = Conflict("The stream is finished; open another one.")
        except EarloopError as error:
            fault = error
        finally:
            self._end(fault)

    async def _listen(self) -> ConnectionClosed | None:
        """Read up to Finished, or to the end of the connection."""
        while True:
            try:
                event, seq = read(await self._connection.recv())
            except ConnectionClosed as closed:
                return closed
            if event is not None and self._is_news(event, seq):
                self.unread.put(event)
            if isinstance(event, Finished):
                return None

    def _is_news(self, event: Event | Pong, seq: int | None) -> bool:
        """Whether the reader has not had it; what only this link asked for is none."""
        if isinstance(event, Pong) and isinstance(event.id, dict) and ARRIVED in event.id:
            self._backlog.acknowledge(Mark(*event.id[ARRIVED]))
            self._room.set()
            self._start_flow()
            return False
        if seq is None:
            return True
        if seq > self._seq + 1:
            raise Internal(f"The server said message {seq} after message {self._seq}; words may be lost.")
        is_news = seq > self._seq
        self._seq = max(seq, self._seq)
        return is_news

    # --------------------------------------------------------------------------------------------------------- resuming

    async def _go_on(self, closed: ConnectionClosed) -> None:
        """Resume on a new connection, within the time for which the server keeps the stream.

        Raises Unavailable when it cannot be resumed, and why a server refuses it.
        """
        self._connected = False
        if not self._token or (closed.sent and not closed.rcvd_then_sent and closed.sent.code in OUR_REFUSALS):
            raise early_end(closed) from closed
        loop = asyncio.get_running_loop()
        broke_at = loop.time()
        try:
            connection, resumed = await patiently(self._resume, self.ready.resume_s)
        except (NotFound, *TRANSIENT) as error:
            what = "the stream could not be resumed, and the words since the last final are lost; connect again"
            raise Unavailable(f"The connection broke, {what}. ({error})") from error
        await self._move(connection, resumed)
        self.reconnects += 1
        self.unread.put(Reconnected(loop.time() - broke_at))

    async def _resume(self) -> tuple[ClientConnection, Resumed]:
        within_s = min(self._deadlines.stall_s, self._deadlines.connect_s)
        connection = await _dialled(self._server, within_s=within_s, resumable=True)
        greeting = encode("resume", token=self._token, seq=self._seq)
        answer, _ = read(await greeted(connection, greeting, within_s=within_s))
        if not isinstance(answer, Resumed):
            raise Internal(f"The server was asked to resume a stream and said {answer!r}.")
        return connection, answer

    async def _move(self, connection: ClientConnection, resumed: Resumed) -> None:
        async with self._writing:
            self._backlog.rewind(Mark(resumed.received_bytes, resumed.received_commands))
            self._asked = self._backlog.sent
            self._connection, self._connected, self._token = connection, True, resumed.resume
        self._room.set()
        self._start_flow()

    def _start_flow(self) -> None:
        task = asyncio.create_task(self._flow())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # ----------------------------------------------------------------------------------------------------------- ending

    async def close(self) -> None:
        self._end(Unavailable("The stream was closed on this side before it was finished."))
        tasks = self._tasks.copy()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._connection.close()

    def _end(self, fault: EarloopError) -> None:
        self._connected = False
        self.unread.end(fault)
        self._room.set()


async def opened(server: Server, options: Open, backlog_bytes: int) -> Link:
    """A new stream. Raises what `dialled` raises, and what the server says about the options."""
    within_s = server.deadlines.connect_s
    connection = await _dialled(server, within_s=within_s, resumable=options.resumable)
    try:
        ready, seq = read(await greeted(connection, open_message(options), within_s=within_s))
        if not isinstance(ready, Ready):
            raise Internal(f"{server.address} began with {ready!r}; is it an Earloop server of this version?")
        return Link(server, connection, ready, seq or 0, backlog_bytes)
    except EarloopError:
        await connection.close()
        raise


async def _dialled(server: Server, *, within_s: float, resumable: bool) -> ClientConnection:
    keepalive_s = server.deadlines.keepalive_s
    return await dialled(
        server,
        within_s=within_s,
        keepalive_s=min(server.deadlines.stall_s, keepalive_s) if resumable else keepalive_s,
    )
