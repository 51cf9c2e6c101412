"""The shipped model's clips, through Wyoming and through our own protocol: the same text."""

import csv
from pathlib import Path

import numpy as np
import pytest
from wyoming.asr import Transcribe
from wyoming.audio import AudioStop

from stt_server.client import connect
from stt_server.messages import Final, Open
from stt_server.services import open_services
from stt_server.settings import load_settings
from stt_server.speech.bundle import find_bundle
from stt_server.speech.files import read_audio
from stt_server.web.server import serving
from stt_server.wyoming.connection import AHEAD_S
from stt_server.wyoming.door import listening
from tests.wyoming.conftest import PATIENT, Client
from tests.wyoming.test_door import connected

CLIPS = 3
SILENCE_S = 2.0
KIT = find_bundle("") / "kit"


def clips() -> list[bytes]:
    """Single utterances at 16 kHz, 16 bits, so short that they are no recording when they are sent at once."""
    with (KIT / "manifest.csv").open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["source"] == "kit-clean"]
    names = [row["path"] for row in rows if float(row["duration_s"]) < AHEAD_S - SILENCE_S]
    return [pcm(KIT / name) for name in names[:CLIPS]]


def pcm(path: Path) -> bytes:
    samples = read_audio(path.read_bytes())
    return (np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes()


async def native(url: str, audio: bytes) -> str:
    async def pieces():
        yield audio

    async with await connect(url, Open("native")) as stream:
        events = [event async for event in stream.converse(pieces())]
    return " ".join(event.text for event in events if isinstance(event, Final) and event.text)


@pytest.fixture
def settings(tmp_path, file):
    return load_settings(data=tmp_path, port=0, wyoming_socket=file, **PATIENT)


async def test_home_assistant_of_any_age_gets_the_text_of_our_own_protocol(settings, recognizer, file):
    async with (
        listening(settings) as door,
        open_services(settings, recognizer) as services,
        serving(services) as url,
        door.opened(services),
    ):
        for audio in clips():
            heard = await native(url, audio)
            assert heard
            async with connected(f"unix://{file}") as client:
                assert await to_its_end(client, audio) == heard
            async with connected(f"unix://{file}") as client:
                assert await until_it_is_answered(client, audio) == heard


async def to_its_end(client: Client, audio: bytes) -> str:
    """As up to 2026.4: the satellite's detector ends the audio."""
    await client.send(Transcribe(language="en"))
    return await client.request(audio)


async def until_it_is_answered(client: Client, audio: bytes) -> str:
    """As from 2026.5 on: nobody ends it but we."""
    await client.send(Transcribe(language="en"))
    await client.speak(audio + bytes(int(SILENCE_S * 16000) * 2))
    text = await client.transcript()
    await client.send(AudioStop())
    return text
