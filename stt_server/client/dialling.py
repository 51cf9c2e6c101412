"""A WebSocket to a server, or the error of our tree that says why there is none."""

from __future__ import annotations

import asyncio
import random
import ssl
from typing import TYPE_CHECKING, TypeVar

from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as dial
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

from stt_server.client import wire
from stt_server.errors import Busy, LimitReached, TimedOut, Unavailable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from stt_server.client.address import Server

T = TypeVar("T")

MESSAGE_BYTES = 1 << 20  # largest message taken from a server
PAUSE_S = 0.1  # before the second attempt; the next ones wait twice as long each time
LONGEST_PAUSE_S = 2.0
TRANSIENT = (Busy, LimitReached, TimedOut, Unavailable)


async def dialled(server: Server, *, within_s: float, keepalive_s: float) -> ClientConnection:
    """An open connection. Raises Unavailable, TimedOut and what the server answered instead."""
    try:
        return await dial(
            server.address,
            additional_headers=server.headers,
            ssl=server.tls,
            compression=None,  # audio does not shrink
            open_timeout=within_s,
            ping_interval=keepalive_s,
            ping_timeout=keepalive_s,
            close_timeout=1.0,
            max_size=MESSAGE_BYTES,
        )
    except InvalidStatus as refused:
        answer = refused.response
        retry_after, body = answer.headers.get("Retry-After"), bytes(answer.body or b"")
        raise wire.refusal(answer.status_code, retry_after, body, server.address) from refused
    except TimeoutError as error:
        raise TimedOut(f"{server.address} did not answer within {within_s:g} s; try again later.") from error
    except ssl.SSLCertVerificationError as error:
        hint = "if it is the right one, name the authority to trust"
        raise Unavailable(
            f"{server.address} shows no certificate to trust ({error.verify_message}); {hint}."
        ) from error
    except (OSError, InvalidHandshake) as error:
        hint = "start one with `earloop serve` or correct the address"
        raise Unavailable(f"No server answers at {server.address} ({error}); {hint}.") from error


async def greeted(connection: ClientConnection, message: str, *, within_s: float) -> str | bytes:
    """The server's answer to the first message. Whatever goes wrong, the connection is closed then."""
    try:
        async with asyncio.timeout(within_s):
            await connection.send(message)
            return await connection.recv()
    except TimeoutError as error:
        connection.transport.abort()
        raise TimedOut(f"The server opened no stream within {within_s:g} s; try again later.") from error
    except ConnectionClosed as closed:
        raise early_end(closed) from closed
    except BaseException:
        connection.transport.abort()
        raise


def early_end(closed: ConnectionClosed) -> Unavailable:
    """Why a connection ended before Finished came."""
    how = f"closed the connection ({closed.rcvd})" if closed.rcvd else "is gone: the connection broke"
    return Unavailable(f"The server {how} before the stream was finished; connect again.")


async def patiently(attempt: Callable[[], Awaitable[T]], within_s: float) -> T:
    """What `attempt` gives, tried again for `within_s` while the server is full, away or slow; at least once.

    Waits as long as the server says, and longer each time, never in step with other clients. Raises the last error.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + within_s
    for pause_s in pauses():
        try:
            return await attempt()
        except TRANSIENT as error:
            wait_s = max(pause_s, getattr(error, "retry_after_s", 0.0))
            if loop.time() + wait_s > deadline:
                raise
            await asyncio.sleep(wait_s)
    raise AssertionError("pauses never end")


def pauses() -> Iterator[float]:
    """Seconds between attempts: doubling up to a bound, of which a random half to the whole."""
    longest_s = PAUSE_S
    while True:
        yield longest_s * random.uniform(0.5, 1.0)
        longest_s = min(2 * longest_s, LONGEST_PAUSE_S)
