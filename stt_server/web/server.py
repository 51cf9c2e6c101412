"""The listening socket: opened when everything behind it is ready, closed when the streams are over."""

from __future__ import annotations

import asyncio
import errno
import signal
import socket
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Final

from aiohttp import web

from stt_server.addresses import is_loopback, url_of
from stt_server.errors import BadOption, Conflict, EarloopError
from stt_server.logs import EventLog
from stt_server.web.connections import Connections, Site
from stt_server.web.malformed import ignore_bad_headers, server_logger
from stt_server.web.parking import PARKING
from stt_server.web.routes import application
from stt_server.web.tls import certificate_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from stt_server.services import Services
    from stt_server.settings import Settings
    from stt_server.web.tls import Certificate

KEEPALIVE_S: Final = 75.0
CLOSE_S: Final = 3.0  # requests still open when the server leaves get this long

log = EventLog("web")


@asynccontextmanager
async def serving(services: Services) -> AsyncIterator[str]:
    """Listen at the settings' host and port; gives the URL. Raises Conflict for a port in use, BadOption."""
    host, port = services.settings.host, services.settings.port
    certificate = certificate_of(services.settings)
    ignore_bad_headers()
    app, connections = application(services), Connections(services.settings, services.metrics)
    app.middlewares.insert(0, connections.note)
    runner = web.AppRunner(
        app,
        logger=server_logger(),
        access_log=None,  # a line per request, and with it a key that is in a query
        handler_cancellation=True,  # a client that goes away frees its place at once
        keepalive_timeout=KEEPALIVE_S,
        shutdown_timeout=CLOSE_S,
    )
    await runner.setup()
    assert runner.server is not None
    try:
        try:
            accepted = connections.of(runner.server)
            await Site(runner, host, port, accepted, certificate.context if certificate else None).start()
        except OSError as error:
            raise _cannot_listen(error, host, port) from error
        warn_if_open(services.settings)
        async with connections.watched(runner.server):
            with _reloading(certificate):
                yield url_of(host, runner.addresses[0][1], "https" if certificate else "http")
    finally:
        await app[PARKING].dismiss()  # while their goodbyes are still read
        await runner.cleanup()


def warn_if_open(settings: Settings) -> None:
    """Say that anybody in reach may use the server where it listens beyond this machine and asks for no key."""
    if settings.open and not is_loopback(settings.host):
        log.warning(
            "open_to_the_network", host=settings.host, why="anyone who can reach this address can use the server"
        )


@contextmanager
def _reloading(certificate: Certificate | None) -> Iterator[None]:
    """Read the certificate again on SIGHUP. Without one the signal keeps its effect, which is to end the process."""
    if certificate is None:
        yield
        return
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGHUP, certificate.reload)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGHUP)


def _cannot_listen(error: OSError, host: str, port: int) -> EarloopError:
    if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
        return BadOption(f"{host} is no address of this machine; choose one with --host.", field="host")
    if error.errno == errno.EADDRINUSE:
        return Conflict(f"Port {port} is in use; stop what listens there or choose another with --port.", field="port")
    if error.errno == errno.EACCES:
        return BadOption(f"Port {port} is reserved for the administrator; choose one above 1023.", field="port")
    return BadOption(f"Cannot listen on {host}:{port}: {error.strerror}.", field="host")
