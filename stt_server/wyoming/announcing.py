"""Telling the network where the port is (DNS-SD, RFC 6763), so that Home Assistant finds it by itself.

Only when `wyoming_zeroconf` gives a name, and never for a port that only this machine reaches.
"""

from __future__ import annotations

import asyncio
import socket
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from stt_server.addresses import is_loopback
from stt_server.logs import EventLog
from stt_server.tasks import ended

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from stt_server.settings import Settings

SERVICE: Final = "_wyoming._tcp.local."
EVERYWHERE: Final = frozenset({"0.0.0.0", "::", ""})  # noqa: S104 - compared, not bound
MULTICAST: Final = ("224.0.0.251", 5353)  # of mDNS
DEADLINE_S: Final = 10.0
CLOSE_S: Final = 12.0

log = EventLog("wyoming")


@asynccontextmanager
async def announced(settings: Settings, host: str) -> AsyncIterator[None]:
    """While it lasts the network is told, where it can be; the log says why where not."""
    if is_loopback(host):
        log.warning("wyoming_not_announced", why="only this machine reaches the port")
        yield
        return
    closing = asyncio.Event()
    task = asyncio.create_task(_announce(settings.wyoming_zeroconf, host, settings.wyoming_port, closing))
    try:
        yield
    finally:
        closing.set()
        await ended(task, CLOSE_S)


async def _announce(name: str, host: str, port: int, closing: asyncio.Event) -> None:
    try:
        from zeroconf import Error, IPVersion
        from zeroconf.asyncio import AsyncServiceInfo, AsyncZeroconf
    except ImportError:
        log.warning("wyoming_not_announced", why="this needs the extra `zeroconf`")
        return
    try:
        addresses = await asyncio.to_thread(addresses_of, host)
        about = AsyncServiceInfo(SERVICE, f"{name}.{SERVICE}", port=port, parsed_addresses=addresses)
        network = AsyncZeroconf(ip_version=IPVersion.V4Only)
        try:
            async with asyncio.timeout(DEADLINE_S):  # a second: it asks whether the name is taken, and finds another
                await network.async_register_service(about, allow_name_change=True)
            log.info("wyoming_announced", name=about.name, addresses=" ".join(addresses), port=port)
            await closing.wait()
        finally:
            async with asyncio.timeout(DEADLINE_S):
                await network.async_close()  # which says goodbye for what was announced
    except (Error, OSError) as error:
        log.warning("wyoming_not_announced", why=str(error) or type(error).__name__)


def addresses_of(host: str) -> list[str]:
    """The IPv4 addresses at which others reach what listens on `host`. Blocking. Raises OSError."""
    if host in EVERYWHERE:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect(MULTICAST)  # sends nothing; the address of the interface that would
            return [str(probe.getsockname()[0])]
    return sorted({str(each[4][0]) for each in socket.getaddrinfo(host, None, socket.AF_INET, socket.SOCK_STREAM)})
