"""Where Wyoming's clients come in: a TCP port, a unix socket, both or neither.

    async with listening(settings) as door, open_services(settings) as services, door.opened(services): …

The protocol has no word for a key, so the port lets in whoever reaches it. By itself it opens only where the rest of
the server asks nobody for one from there either: on loopback, or anywhere on a server that is `open`. Elsewhere
`wyoming_host` must say so. A unix socket is for those who may write to the file.

A port that was not asked for by number and is taken, as a second server's on one machine is, is passed over.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from contextlib import asynccontextmanager, nullcontext
from typing import TYPE_CHECKING, Final

from stt_server.addresses import is_loopback
from stt_server.errors import BadOption, Busy, Conflict, EarloopError
from stt_server.logs import EventLog
from stt_server.vocabularies.calling import CALLER, of_port
from stt_server.wyoming.announcing import announced
from stt_server.wyoming.connection import Connection
from stt_server.wyoming.desk import Desk, offered, remember, remembered

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from stt_server.services import Services
    from stt_server.settings import Settings

BACKLOG: Final = 128
CLOSE_S: Final = 5.0
SOCKET_MODE: Final = 0o660
PROBE_S: Final = 1.0

log = EventLog("wyoming")


@asynccontextmanager
async def listening(settings: Settings) -> AsyncIterator[Door]:
    """Listen, and say what is here; streams are heard from `Door.opened` on. Raises Conflict, BadOption."""
    door = Door(settings, Desk(settings, await asyncio.to_thread(remembered, settings)))
    try:
        await door.listen()
        yield door
    finally:
        await door.close()


class Door:
    """All listeners and connections of one server. Raises BadOption for a vocabulary's name that cannot be."""

    def __init__(self, settings: Settings, desk: Desk) -> None:
        self._settings, self._desk = settings, desk
        self._caller = of_port(settings.wyoming_vocabulary)
        self._listeners: list[asyncio.Server] = []
        self._connections: dict[Connection, asyncio.Task[None]] = {}
        self._port_host: str | None = None  # where the TCP one listens
        self._socket: Path | None = None  # the file that is ours

    async def listen(self) -> None:
        """Open what the settings ask for. Raises Conflict and BadOption."""
        settings = self._settings
        if settings.wyoming_socket:
            await self._listen_at_file(settings.wyoming_socket)
        if not settings.wyoming_port:
            return
        if (host := host_of(settings)) is not None:
            await self._listen_at_port(host, settings.wyoming_port)
        else:
            why = f"its clients show no key; to let in whoever reaches {settings.host}, set wyoming_host"
            log.info("wyoming_not_open", why=why)

    @asynccontextmanager
    async def opened(self, services: Services) -> AsyncIterator[None]:
        """While streams are heard. At the end nobody new comes in, and who is being answered is."""
        self._desk.open(services)
        if self._listeners:
            await asyncio.to_thread(remember, self._settings.data, offered(services.engines.lineup))
        try:
            async with self._announced():
                yield
        finally:
            await self.close()

    async def close(self) -> None:
        """Let nobody in, end what is idle, give the others a moment for their answers. Twice is as good as once."""
        for listener in self._listeners:
            listener.close()
        for connection in self._connections:
            connection.leave()
        if self._connections:
            _, late = await asyncio.wait(self._connections.values(), timeout=CLOSE_S)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        if self._socket is not None:
            self._socket.unlink(missing_ok=True)
        self._listeners, self._socket, self._port_host = [], None, None

    def _announced(self) -> AbstractAsyncContextManager[None]:
        if self._port_host is None or not self._settings.wyoming_zeroconf:
            return nullcontext()
        return announced(self._settings, self._port_host)

    async def _listen_at_port(self, host: str, port: int) -> None:
        try:
            listener = await asyncio.start_server(self._came_in, host, port, backlog=BACKLOG)
        except OSError as error:
            fault = _cannot_listen(error, host, port)
            if isinstance(fault, Conflict) and "wyoming_port" not in self._settings.model_fields_set:
                log.warning("wyoming_port_taken", port=port, why="the rest of the server runs without; --wyoming-port")
                return
            raise fault from error
        self._listeners.append(listener)
        self._port_host = host
        log.info("wyoming_listens", host=host, port=port)
        if not (self._settings.open or is_loopback(host)):
            log.warning("wyoming_asks_for_no_key", host=host, why="who reaches this address can have speech recognised")

    async def _listen_at_file(self, path: Path) -> None:
        try:
            bound = await asyncio.to_thread(_bound, path)
            self._listeners.append(await asyncio.start_unix_server(self._came_in, sock=bound, backlog=BACKLOG))
        except OSError as error:
            why = f"Cannot listen at {path}: {error.strerror or error}."
            raise BadOption(why, field="wyoming_socket") from error
        self._socket = path
        log.info("wyoming_listens", socket=str(path))

    async def _came_in(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = Connection(reader, writer, self._desk)
        bound = self._settings.max_connections
        if len(self._connections) >= bound:
            self._desk.refused("connections")
            connection.refuse(Busy(f"All {bound} connections are taken; try again."))
            return
        CALLER.set(self._caller)  # of this connection's task and those that it makes
        task = asyncio.current_task()
        assert task is not None
        self._connections[connection] = task
        try:
            await connection.run()
        finally:
            del self._connections[connection]


def host_of(settings: Settings) -> str | None:
    """The address that the port listens on; None where it needs to be named, and is not."""
    asks_for_no_key = settings.open or is_loopback(settings.host)
    return settings.wyoming_host or (settings.host if asks_for_no_key else None)


def _bound(path: Path) -> socket.socket:
    """A unix socket at that path, which nobody reaches before its mode is set. Blocking. Raises Conflict, OSError."""
    _make_way(path)
    found = socket.socket(socket.AF_UNIX)
    try:
        found.bind(str(path))
        path.chmod(SOCKET_MODE)
    except BaseException:
        found.close()
        raise
    return found


def _make_way(path: Path) -> None:
    """Remove the socket that a server that is gone has left. Raises Conflict for one that answers, or another file."""
    if not path.exists():
        return
    if not path.is_socket():
        raise Conflict(f"{path} is there already and no socket; name another file.", field="wyoming_socket")
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(PROBE_S)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)
            return
    raise Conflict(f"Another server listens at {path}; name another file.", field="wyoming_socket")


def _cannot_listen(error: OSError, host: str, port: int) -> EarloopError:
    if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
        return BadOption(f"{host} is no address of this machine; choose one with --wyoming-host.", field="wyoming_host")
    if error.errno == errno.EADDRINUSE:
        return Conflict(f"Port {port} is in use; choose another with --wyoming-port, or 0.", field="wyoming_port")
    return BadOption(f"Cannot listen on {host}:{port}: {error.strerror or error}.", field="wyoming_port")
