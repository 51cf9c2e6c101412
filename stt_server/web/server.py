"""The listening socket: opened when everything behind it is ready, closed when the streams are over."""

from __future__ import annotations

import errno
import ipaddress
import socket
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from aiohttp import web

from stt_server.errors import BadOption, Conflict, EarloopError
from stt_server.logs import EventLog
from stt_server.web.routes import application

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from stt_server.services import Services

KEEPALIVE_S: Final = 75.0
CLOSE_S: Final = 3.0  # requests still open when the server leaves get this long

log = EventLog("web")


@asynccontextmanager
async def serving(services: Services) -> AsyncIterator[str]:
    """Listen at the settings' host and port; gives the URL. Raises Conflict for a port in use, BadOption."""
    host, port = services.settings.host, services.settings.port
    runner = web.AppRunner(
        application(services),
        access_log=None,
        handler_cancellation=True,  # a client that goes away frees its place at once
        keepalive_timeout=KEEPALIVE_S,
        shutdown_timeout=CLOSE_S,
    )
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError as error:
            raise _cannot_listen(error, host, port) from error
        warn_if_open(host)
        yield url_of(host, runner.addresses[0][1])
    finally:
        await runner.cleanup()


def warn_if_open(host: str) -> None:
    """Say that anybody in reach may use the server where it listens beyond this machine."""
    if not is_loopback(host):
        log.warning("open_to_the_network", host=host, why="anyone who can reach this address can use the server")


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches the address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def url_of(host: str, port: int) -> str:
    """An address to open here: what listens everywhere is reached on loopback, too."""
    everywhere = {"0.0.0.0": "127.0.0.1", "::": "[::1]", "": "127.0.0.1"}  # noqa: S104 - compared, not bound
    shown = everywhere.get(host) or (f"[{host}]" if ":" in host else host)
    return f"http://{shown}:{port}"


def _cannot_listen(error: OSError, host: str, port: int) -> EarloopError:
    if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
        return BadOption(f"{host} is no address of this machine; choose one with --host.", field="host")
    if error.errno == errno.EADDRINUSE:
        return Conflict(f"Port {port} is in use; stop what listens there or choose another with --port.", field="port")
    if error.errno == errno.EACCES:
        return BadOption(f"Port {port} is reserved for the administrator; choose one above 1023.", field="port")
    return BadOption(f"Cannot listen on {host}:{port}: {error.strerror}.", field="host")
