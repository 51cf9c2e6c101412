"""The engine over the shipped model: streams in one batch hear what each would hear alone."""

import asyncio

import pytest

from stt_server.engine.limits import Limits
from stt_server.engine.session import Session
from stt_server.errors import BadAudio
from stt_server.messages import Audio, AudioSpec, Failed, Final, Finish, Finished, Open
from stt_server.metrics import Metrics
from stt_server.speech.bundle import shipped
from stt_server.speech.files import read_audio
from stt_server.speech.pcm import AudioFormat, encode_pcm
from stt_server.speech.recognizer import Recognizer
from tests.engine.toy import OneModel, read


@pytest.fixture(scope="module")
def recognizer() -> Recognizer:
    return Recognizer.load(shipped())


@pytest.fixture(scope="module")
def golden(recognizer: Recognizer):
    bundle = recognizer.bundle
    return read_audio(bundle.path(bundle.manifest.golden).read_bytes(), 16_000)


async def play(session: Session, data: bytes, chunk: int) -> tuple[Final, ...]:
    async def send() -> None:
        for start in range(0, len(data), chunk):
            await session.send(Audio(data[start : start + chunk]))
        await session.send(Finish())

    _, events = await asyncio.gather(send(), read(session))
    assert isinstance(events[-1], Finished)
    return tuple(event for event in events if isinstance(event, Final))


async def test_streams_batched_in_any_cut_and_an_upload_hear_what_the_offline_call_hears(recognizer, golden):
    alone = recognizer.transcribe(golden)
    assert alone.text
    data = encode_pcm(AudioFormat(), golden)
    engine = OneModel(recognizer, Limits(), Metrics())
    engine.start()
    try:
        sessions = [engine.open(Open("test", live=live)) for live in (True, True, True, True, False)]
        chunks = (641, 2048, 8000, 100_000, 1 << 20)
        heard = await asyncio.gather(*(play(s, data, chunk) for s, chunk in zip(sessions, chunks, strict=True)))
    finally:
        engine.close()
    for finals in heard:
        assert " ".join(final.text for final in finals if final.text) == alone.text
        assert [word.text for final in finals for word in final.words] == [word.text for word in alone.words]


async def test_a_stream_of_impossible_samples_fails_and_its_neighbour_hears_everything(recognizer, golden):
    engine = OneModel(recognizer, Limits(), Metrics())
    engine.start()
    try:
        good, bad = engine.open(Open("test")), engine.open(Open("test", audio=AudioSpec("f32le")))
        await bad.send(Audio(b"\xff\xff\xff\x7f" * 1600))
        finals, events = await asyncio.gather(play(good, encode_pcm(AudioFormat(), golden), 3200), read(bad))
    finally:
        engine.close()
    assert isinstance(events[-1], Failed)
    assert isinstance(events[-1].error, BadAudio)
    assert " ".join(final.text for final in finals if final.text) == recognizer.transcribe(golden).text
