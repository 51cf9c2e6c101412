"""A server that speaks the native protocol with the real codec, from a script."""

from contextlib import asynccontextmanager, suppress

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from stt_server.client import Deadlines
from stt_server.errors import EarloopError
from stt_server.messages import (
    Audio,
    Behind,
    Failed,
    Final,
    Finish,
    Finished,
    Flush,
    Open,
    Partial,
    Ready,
    SpeechStarted,
    SpeechStopped,
    Word,
)
from stt_server.protocols.codec import Reply
from stt_server.protocols.native import NativeCodec

SOON = Deadlines(connect_s=1.5, send_s=0.3, finish_s=0.3)  # none but who is meant to be late may be
WORDS = (Word("turn", 0.4, 0.61, 0.97), Word("on", 0.7, 0.9, 0.5))
SAID = (
    SpeechStarted(0.4),
    Partial(0, "turn on", 4),
    Behind(740),
    SpeechStopped(0.9),
    Final(0, "turn on", WORDS, 0.4, 0.9, "silence"),
)
LAST: dict[type, Final] = {Flush: Final(1, "", (), 1.0, 1.0, "flush"), Finish: Final(1, "", (), 1.0, 1.0, "finish")}


class Scripted:
    """A server that speaks with the real codec: it says `SAID` at the first audio and remembers what it was told."""

    def __init__(self, *, fails: EarloopError | None = None, silent_at: type | None = None) -> None:
        self.told: list[object] = []
        self.heard = 0
        self.fails = fails
        self.silent_at = silent_at

    async def __call__(self, connection: ServerConnection) -> None:
        with suppress(ConnectionClosed):
            await self._listen(connection, NativeCodec())

    async def _listen(self, connection, codec) -> None:
        async for message in connection:
            try:
                for command in codec.receive(message):
                    await self._obey(connection, codec, command)
            except EarloopError as error:
                await self._say(connection, codec, Failed(error))
                await connection.close(codec.close_code(error))

    async def _obey(self, connection, codec, command) -> None:
        self.told.append(command)
        if isinstance(command, Reply):
            await connection.send(command.message)
        elif self.silent_at and isinstance(command, self.silent_at):
            return
        elif isinstance(command, Open):
            await self._say(connection, codec, Ready("s1", command.model or "first", "en", command.audio))
        elif isinstance(command, Audio):
            self.heard += len(command.data)
            if self.fails:
                raise self.fails
            await self._say(connection, codec, *(SAID if self.heard == len(command.data) else ()))
        elif isinstance(command, Flush | Finish):
            await self._say(connection, codec, LAST[type(command)])
        if isinstance(command, Finish):
            await self._say(connection, codec, Finished(self.heard / 32_000, "first"))
            await connection.close()

    async def _say(self, connection, codec, *events) -> None:
        for event in events:
            for message in codec.send(event):
                await connection.send(message)


@asynccontextmanager
async def serving(handler, **options):
    """The address of a server with that handler."""
    server: Server
    async with serve(handler, "127.0.0.1", 0, **options) as server:
        port = server.sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
