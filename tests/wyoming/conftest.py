"""Wyoming's port before a toy recognizer or the shipped model, and the real client of the protocol."""

import asyncio
import socket
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from wyoming.asr import Transcript
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.client import AsyncClient
from wyoming.event import Event

from stt_server.engine.interface import Recognizer
from stt_server.services import Services, load_recognizer, open_services
from stt_server.settings import Settings, load_settings
from stt_server.wyoming.door import Door, listening
from tests.engine.toy import loud, quiet
from tests.web.listener import Listener

PATIENCE_S = 60.0
SPEECH = loud(6) + quiet(3)  # "la" six times, too long for the end of a wake word, then an endpoint
SAID = " ".join(["la"] * 6)
PATIENT = {"max_load": 1000, "max_lag_ms": 600_000}  # a busy machine must not refuse a test's streams


@dataclass(frozen=True)
class Served:
    uri: str
    door: Door
    services: Services
    toy: Listener

    @asynccontextmanager
    async def client(self) -> AsyncIterator["Client"]:
        async with AsyncClient.from_uri(self.uri, connect_timeout=PATIENCE_S, read_timeout=PATIENCE_S) as client:
            yield Client(client)

    async def socket(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """For what no proper client sends."""
        return await asyncio.open_unix_connection(self.uri.removeprefix("unix://"))

    def counted(self, metric: str, **labels: str) -> float:
        return self.services.metrics.registry.get_sample_value(metric, labels) or 0.0

    async def empty(self) -> None:
        await until(lambda: self.services.engines.open_streams == 0)


class Client:
    """The library's client, as a test speaks."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client

    async def send(self, *events: Any) -> None:
        for each in events:
            await self._client.write_event(each if isinstance(each, Event) else each.event())

    async def speak(self, pcm: bytes, *, piece: int = 640, **form: int) -> None:
        """Audio in pieces of so many bytes, all at once."""
        form = {"rate": 16000, "width": 2, "channels": 1, **form}
        await self.send(AudioStart(**form))
        for at in range(0, len(pcm), piece):
            await self.send(AudioChunk(**form, audio=pcm[at : at + piece]))

    async def request(self, pcm: bytes, **form: int) -> str:
        """As older Home Assistants ask: all of it, then the answer."""
        await self.speak(pcm, **form)
        await self.send(AudioStop())
        return await self.transcript()

    async def hear(self) -> Event | None:
        """What comes next; None when the server has closed."""
        return await self._client.read_event()

    async def until(self, kind: str) -> list[Event]:
        """All up to an event of that kind."""
        heard: list[Event] = []
        while True:
            event = await self.hear()
            assert event is not None, f"closed after {heard}"
            heard.append(event)
            if event.type == kind:
                return heard

    async def transcript(self) -> str:
        text = Transcript.from_event((await self.until("transcript"))[-1]).text
        await self.until("transcript-stop")
        return text

    async def fault(self) -> str:
        """The code of the error that comes, behind which the server closes."""
        event = (await self.until("error"))[-1]
        assert await self.hear() is None
        return event.data["code"]


Start = Callable[..., Any]


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was put is in use, however late a busy machine is."""
    monkeypatch.setattr("stt_server.vocabularies.following.PATIENCE_S", 60.0)


@pytest.fixture
def file() -> Any:
    """A path that is short enough for a unix socket, wherever temporary folders are."""
    with tempfile.TemporaryDirectory(prefix="wy", dir="/tmp") as folder:
        yield Path(folder) / "s"


@pytest.fixture
async def start(tmp_path: Path, file: Path) -> AsyncIterator[Start]:
    """`await start(max_streams=1)`: a port with these settings, on a unix socket, closed after the test."""
    async with AsyncExitStack() as stack:

        async def start(recognizer: Recognizer | None = None, **settings: object) -> Served:
            return await stack.enter_async_context(served(tmp_path, file, recognizer, settings))

        yield start


@asynccontextmanager
async def served(
    data: Path, file: Path, recognizer: Recognizer | None, settings: dict[str, object]
) -> AsyncIterator[Served]:
    toy = Listener()
    chosen = load_settings(**{"data": data, "wyoming_socket": file, "wyoming_port": 0, **PATIENT, **settings})
    async with listening(chosen) as door, open_services(chosen, recognizer or toy) as services, door.opened(services):
        uri = f"tcp://127.0.0.1:{chosen.wyoming_port}" if chosen.wyoming_port else f"unix://{file}"
        try:
            yield Served(uri, door, services, toy)
        finally:
            toy.gate.set()


@pytest.fixture(scope="session")
def recognizer() -> Recognizer:
    """The shipped model."""
    return load_recognizer(Settings(threads=1))


@pytest.fixture
def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def until(condition: Callable[[], bool]) -> None:
    """Return as soon as it is so; fail when it takes too long."""
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110 - what is waited for sets no event
            await asyncio.sleep(0.005)
