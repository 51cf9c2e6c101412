"""The servers of the web's tests and clips for them; the plugins' shared code, patient as a busy machine needs it."""

from __future__ import annotations

import asyncio
import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from ovos_stt_plugin_earloop.earloop.ears import Ears, Streaming
from ovos_stt_plugin_earloop.earloop.settings import read_settings

from stt_server.client import recognize
from stt_server.speech.pcm import to_int16
from tests.voices import say, silence
from tests.web.conftest import http, recognizer, server, start  # noqa: F401  fixtures

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.web.conftest import Server

PLUGINS = Path(__file__).parents[2] / "plugins"
PATIENT = {"timeout_s": 60, "connect_s": 20, "retry_s": 30}
SENTENCES = ("turn on the light in the kitchen", "what is the weather tomorrow", "stop the music")
CHUNK = 2048  # bytes, Mycroft's


@pytest.fixture(autouse=True)
def _state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@functools.lru_cache(maxsize=8)
def pcm(sentence: str) -> bytes:
    """A sentence between silences, as a microphone brings it: 16-bit mono at 16 kHz."""
    samples = np.concatenate([silence(0.5), 0.7 * say(sentence), silence(0.5)])
    return to_int16(samples.astype(np.float32)).astype("<i2").tobytes()


def chunks(audio: bytes, size: int = CHUNK) -> list[bytes]:
    return [audio[at : at + size] for at in range(0, len(audio), size)]


def ears(url: str, core: Mapping[str, Any] | None = None, **section: Any) -> Ears:
    return Ears(read_settings({"url": url, **PATIENT, **section}, "test"), core or {})


class Assistant(Streaming):
    """The least that a host's streaming class is."""

    def __init__(self, url: str, **section: Any) -> None:
        self.lang = "en-US"
        self.stream = None
        self.queue = None
        self.listen_with({"url": url, **PATIENT, **section}, {}, "test")

    def speak(self, audio: bytes) -> None:
        for chunk in chunks(audio):
            self.stream_data(chunk)


async def heard_natively(server: Server, audio: bytes) -> str:  # noqa: F811
    return (await off_loop(recognize, server.url, chunks(audio, 16_384))).text


async def off_loop(call: Callable[..., Any], *given: Any, **named: Any) -> Any:
    """A blocking call while the server lives on the loop."""
    async with asyncio.timeout(150):
        return await asyncio.to_thread(call, *given, **named)
