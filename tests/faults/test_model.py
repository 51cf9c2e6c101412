"""A stream's state is corrupt, or onnxruntime fails on a batch: the stream at fault fails, its neighbours hear on."""

import asyncio

import numpy as np
import pytest

from stt_server.engine.limits import Limits
from stt_server.engine.session import Session
from stt_server.errors import Internal
from stt_server.messages import Audio, Event, Failed, Final, Finish, Finished, Open
from stt_server.metrics import Metrics
from stt_server.speech.bundle import shipped
from stt_server.speech.files import read_audio
from stt_server.speech.pcm import AudioFormat, encode_pcm
from stt_server.speech.recognizer import Recognizer
from tests.engine.toy import OneModel, read

CHUNK = 5120


@pytest.fixture(scope="module")
def shipped_recognizer() -> Recognizer:
    return Recognizer.load(shipped(), decoder="greedy")


@pytest.fixture(scope="module")
def golden(shipped_recognizer: Recognizer) -> bytes:
    bundle = shipped_recognizer.bundle
    return encode_pcm(AudioFormat(), read_audio(bundle.path(bundle.manifest.golden).read_bytes(), 16_000))


@pytest.fixture
async def engine(shipped_recognizer: Recognizer):
    running = OneModel(shipped_recognizer, Limits(), Metrics())
    running.start()
    yield running
    running.close()


def with_nan(array):
    return np.full_like(array, np.nan)


def too_long(array):
    return np.zeros((*array.shape[:-1], array.shape[-1] + 1), np.float32)


def of_another_type(array):
    return array.astype(np.float64)


CORRUPT = [with_nan, too_long, of_another_type]


async def play(session: Session, data: bytes, corrupt=None) -> list[Event]:
    """Everything the stream says; its state is corrupted half-way, where it waits for more audio."""

    async def send() -> None:
        for at in range(0, len(data), CHUNK):
            if corrupt is not None and at // CHUNK == len(data) // CHUNK // 2:
                await _idle(session)
                segment = session.lane.stream.segment
                segment.state = tuple(corrupt(array) for array in segment.state)
            await session.send(Audio(data[at : at + CHUNK]))
        await session.send(Finish())

    sending = asyncio.create_task(send())
    events = await read(session)
    sending.cancel()
    await asyncio.gather(sending, return_exceptions=True)
    return events


async def _idle(session: Session) -> None:
    async with asyncio.timeout(60):
        while session.lane.pieces or session.lane.since is not None:  # noqa: ASYNC110 - the batcher sets no event
            await asyncio.sleep(0.005)


def words(events: list[Event]) -> list[str]:
    return [word.text for event in events if isinstance(event, Final) for word in event.words]


def failed_alone(bad: list[Event], good: list[list[Event]], alone: list[str]) -> None:
    assert isinstance(bad[-1], Failed)
    assert isinstance(bad[-1].error, Internal)
    for events in good:
        assert isinstance(events[-1], Finished)
        assert words(events) == alone != []


@pytest.mark.parametrize("corrupt", CORRUPT, ids=lambda corrupt: corrupt.__name__)
async def test_a_corrupt_state_fails_its_stream_alone(engine: OneModel, golden: bytes, corrupt):
    alone = words(await play(engine.open(Open("test")), golden))
    sessions = [engine.open(Open("test")) for _ in range(4)]
    bad, *good = await asyncio.gather(
        play(sessions[0], golden, corrupt), *(play(session, golden) for session in sessions[1:])
    )
    failed_alone(bad, good, alone)
    assert engine.alive


class Refusing:
    """An onnxruntime session that fails whenever a batch holds a certain row, or, without one, at its first batch."""

    def __init__(self, session, *, once: bool) -> None:
        self._session = session
        self.once = once
        self.failures = 0

    def run(self, outputs, feed):
        whole = len(feed["features"]) > 1
        marked = any(np.isposinf(array).any() for name, array in feed.items() if name != "features")
        if marked or (self.once and whole and not self.failures):
            self.failures += 1
            from onnxruntime.capi.onnxruntime_pybind11_state import RuntimeException

            raise RuntimeException("[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION")
        return self._session.run(outputs, feed)

    def __getattr__(self, name):
        return getattr(self._session, name)


@pytest.fixture
def faulty(shipped_recognizer: Recognizer, monkeypatch):
    """Put a failing onnxruntime under the model."""

    def install(*, once: bool) -> Refusing:
        refusing = Refusing(shipped_recognizer.model._session, once=once)
        monkeypatch.setattr(shipped_recognizer.model, "_session", refusing)
        return refusing

    return install


async def test_an_onnx_error_in_a_batch_fails_only_the_stream_that_causes_it(engine: OneModel, golden: bytes, faulty):
    alone = words(await play(engine.open(Open("test")), golden))
    refusing = faulty(once=False)
    sessions = [engine.open(Open("test")) for _ in range(3)]
    bad, *good = await asyncio.gather(
        play(sessions[0], golden, lambda array: np.full_like(array, np.inf)),
        *(play(session, golden) for session in sessions[1:]),
    )
    assert refusing.failures
    failed_alone(bad, good, alone)


async def test_an_onnx_error_that_does_not_come_again_costs_nobody_a_word(engine: OneModel, golden: bytes, faulty):
    alone = words(await play(engine.open(Open("test")), golden))
    refusing = faulty(once=True)
    heard = await asyncio.gather(*(play(engine.open(Open("test")), golden) for _ in range(3)))
    assert refusing.failures == 1
    assert [words(events) for events in heard] == [alone] * 3
