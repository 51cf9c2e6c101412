"""A real server on a free port of loopback, with a toy recognizer or the shipped model behind it."""

import asyncio
import io
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from stt_server.engine.interface import Recognizer
from stt_server.services import Services, load_recognizer, open_services
from stt_server.settings import Settings, load_settings
from stt_server.speech.files import read_audio, write_flac, write_wav
from stt_server.web.server import serving
from tests.engine.toy import loud, quiet
from tests.web.listener import Listener

PATIENCE_S = 60.0
SPEECH = loud(3) + quiet(3)  # "la la la", then an endpoint


@dataclass(frozen=True)
class Server:
    url: str
    services: Services
    toy: Listener

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def socket(self, path: str = "/v1/stream", **more) -> connect:
        patient = {"compression": None, "open_timeout": PATIENCE_S, "close_timeout": 1}
        return connect(self.url.replace("http", "ws") + path, **(patient | more))

    @property
    def streams(self) -> int:
        return self.services.engines.open_streams

    async def empty(self) -> None:
        """Wait until no stream is open."""
        await until(lambda: self.streams == 0)

    def counted(self, metric: str) -> float:
        value = self.services.metrics.registry.get_sample_value(*_metric(metric))
        return value or 0.0


Start = Callable[..., Any]


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was just written is known to the server, however late a look into the database is on a busy machine."""
    for module in ("store.ring", "collection.ring", "vocabularies.following"):
        monkeypatch.setattr(f"stt_server.{module}.PATIENCE_S", PATIENCE_S)


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Start]:
    """`await start(max_streams=1)`: a server with these settings, stopped after the test."""
    async with AsyncExitStack() as stack:

        async def start(recognizer: Recognizer | None = None, **settings: object) -> Server:
            return await stack.enter_async_context(_server(tmp_path, recognizer, settings))

        yield start


@pytest.fixture
async def server(start: Start) -> Server:
    return await start()


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(PATIENCE_S)) as session:
        yield session


@pytest.fixture(scope="session")
def recognizer() -> Recognizer:
    """The shipped model."""
    return load_recognizer(Settings(threads=1))


@asynccontextmanager
async def _server(data: Path, recognizer: Recognizer | None, settings: dict[str, object]) -> AsyncIterator[Server]:
    toy = Listener()
    patient = {"max_load": 1000, "max_lag_ms": 600_000}  # a busy machine must not refuse a test's streams
    chosen = load_settings(**{"port": 0, "data": data, "drain_s": 2.0, **patient, **settings})
    async with open_services(chosen, recognizer or toy) as services, serving(services) as url:
        try:
            yield Server(url, services, toy)
        finally:
            toy.gate.set()


async def until(condition: Callable[[], bool]) -> None:
    """Return as soon as it is so; fail when it takes too long."""
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110 - what is waited for sets no event
            await asyncio.sleep(0.005)


async def said(socket: ClientConnection) -> list[dict[str, Any]]:
    """Every message up to the close frame, whatever its code."""
    messages = []
    with suppress(ConnectionClosed):
        while True:
            messages.append(await heard(socket))
    return messages


async def heard(socket: ClientConnection) -> dict[str, Any]:
    async with asyncio.timeout(PATIENCE_S):
        return json.loads(await socket.recv())


async def heard_until(socket: ClientConnection, kind: str) -> dict[str, Any]:
    while (message := await heard(socket))["type"] != kind:
        pass
    return message


async def closed(socket: ClientConnection) -> tuple[int | None, str]:
    """Code and reason of the server's close frame."""
    async with asyncio.timeout(PATIENCE_S):
        await socket.wait_closed()
    return socket.close_code, socket.close_reason or ""


def finals(messages: list[dict[str, Any]]) -> list[str]:
    return [message["text"] for message in messages if message["type"] == "final" and message["text"]]


def wav(pcm: bytes = SPEECH, rate: int = 16_000) -> bytes:
    """16-bit PCM as a wav file."""
    file = io.BytesIO()
    write_wav(file, np.frombuffer(pcm, "<i2").astype(np.float32) / 32768, rate)
    return file.getvalue()


def flac(pcm: bytes = SPEECH) -> bytes:
    file = io.BytesIO()
    write_flac(file, read_audio(wav(pcm)))
    return file.getvalue()


def _metric(text: str) -> tuple[str, dict[str, str]]:
    """`earloop_failures_total{code=busy}` as name and labels."""
    name, _, labels = text.rstrip("}").partition("{")
    return name, dict(label.split("=") for label in labels.split(",") if label)
