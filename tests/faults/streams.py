"""Clients of tests that need many, or a pace: raw sockets, so that nothing is helped along by our own client."""

import asyncio
import json
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.engine.toy import RATE
from tests.web.listener import Listener

FRAME_S = 0.08


class Slow(Listener):
    """Takes so long for a step of each stream in a batch, as a model on a small machine does."""

    def __init__(self, step_s: float) -> None:
        super().__init__()
        self.step_s = step_s

    def advance(self, streams) -> None:
        time.sleep(self.step_s * len(streams))
        super().advance(streams)


@dataclass
class Told:
    """What one paced stream was told, and when; `refused` is the status that stood where the upgrade was due."""

    messages: list[tuple[float, dict[str, Any]]] = field(default_factory=list)
    flushed: list[float] = field(default_factory=list)
    refused: int | None = None
    reason: str = ""
    code: int | None = None

    def kinds(self) -> list[str]:
        return [message["type"] for _, message in self.messages]

    def finals(self) -> list[str]:
        return [message["text"] for _, message in self.messages if message["type"] == "final"]

    def flush_latencies_s(self) -> list[float]:
        """From each flush to its final."""
        at = [when for when, message in self.messages if message["type"] == "final" and message["reason"] == "flush"]
        return [final - flush for flush, final in zip(self.flushed, at, strict=False)]


async def speak(dialling, pcm: bytes, *, flush_every_s: float = 0.0, begun: asyncio.Event | None = None) -> Told:
    """Say all of it in real time, flushing now and then, and finish."""
    told = Told()
    try:
        async with dialling as socket:
            reading = asyncio.create_task(_read(socket, told))
            if begun is not None:
                begun.set()
            with suppress(ConnectionClosed):
                await _send_in_real_time(socket, pcm, flush_every_s, told)
            await reading
            told.code = socket.close_code
    except InvalidStatus as refused:
        told.refused = refused.response.status_code
        assert int(refused.response.headers["Retry-After"]) >= 1
        told.reason = json.loads(refused.response.body or b"{}")["error"]["code"]
    return told


async def _send_in_real_time(socket: ClientConnection, pcm: bytes, flush_every_s: float, told: Told) -> None:
    loop = asyncio.get_running_loop()
    begin, size, flushes = loop.time(), int(2 * RATE * FRAME_S), 1
    for at in range(0, len(pcm), size):
        spoken_s = (at + size) / (2 * RATE)
        await asyncio.sleep(max(0.0, begin + spoken_s - loop.time()))
        await socket.send(pcm[at : at + size])
        if flush_every_s and spoken_s >= flushes * flush_every_s:
            flushes += 1
            told.flushed.append(loop.time())
            await socket.send('{"type":"flush"}')
    await socket.send('{"type":"finish"}')


async def _read(socket: ClientConnection, told: Told) -> None:
    loop = asyncio.get_running_loop()
    with suppress(ConnectionClosed):
        while True:
            message = json.loads(await socket.recv())
            told.messages.append((loop.time(), message))
