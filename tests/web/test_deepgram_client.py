"""The real `deepgram-sdk` against a real server, in threads and in tasks: live and pre-recorded, types, errors.

What it is told is compared with what the native protocol says of the same clip.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any, cast

import av
import httpx
import numpy as np
import pytest
from websockets.exceptions import InvalidStatus

from stt_server.speech.pcm import AudioFormat, encode_pcm, to_int16
from stt_server.speech.recognizer import Recognizer
from stt_server.speech.resample import resample
from tests.bundles import spoken
from tests.recordings import recording
from tests.voices import silence
from tests.web.conftest import PATIENCE_S, Server, Start, closed, finals, said
from tests.web.keys import make_key

if TYPE_CHECKING:
    from deepgram import AsyncDeepgramClient, DeepgramClient

# The client's asynchronous half is written for the old interface of `websockets`.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

STOP_LIGHT = spoken("stop", "light")
TWO = np.concatenate([STOP_LIGHT, silence(1.5), spoken("yes", "no"), silence(1.0)])  # utterances
TEXT = "stop light yes no"
OPTIONS = {"model": "nova-3", "encoding": "linear16", "sample_rate": 16_000}


@pytest.fixture
async def real(start: Start, tiny: Recognizer) -> Server:
    return await start(tiny)


def pcm(samples: np.ndarray) -> bytes:
    return to_int16(samples).astype("<i2").tobytes()


def pieces(data: bytes, size: int) -> Iterator[bytes]:
    return (data[at : at + size] for at in range(0, len(data), size))


def environment(server: Server) -> Any:
    from deepgram.environment import DeepgramClientEnvironment

    sockets = server.url.replace("http", "ws")
    return DeepgramClientEnvironment(base=server.url, production=sockets, agent=sockets, agent_rest=server.url)


@contextmanager
def blocking(server: Server, api_key: str = "x") -> Iterator["DeepgramClient"]:
    from deepgram import DeepgramClient

    with httpx.Client(timeout=PATIENCE_S) as http:  # which the client itself would leave open
        yield DeepgramClient(api_key=api_key, environment=environment(server), httpx_client=http)


@asynccontextmanager
async def waiting(server: Server) -> AsyncIterator["AsyncDeepgramClient"]:
    from deepgram import AsyncDeepgramClient

    async with httpx.AsyncClient(timeout=PATIENCE_S) as http:
        yield AsyncDeepgramClient(api_key="x", environment=environment(server), httpx_client=http)


@asynccontextmanager
async def connected(server: Server, **options: Any) -> AsyncIterator[Any]:
    """A live stream of the asynchronous client."""
    async with waiting(server) as client, client.listen.v1.connect(**{**OPTIONS, **options}) as connection:
        yield connection


async def in_a_thread(server: Server, data: Iterator[bytes], **options: Any) -> list[Any]:
    """What the blocking client is told, to the end; it reads while it sends."""

    def converse() -> list[Any]:
        with blocking(server) as client, client.listen.v1.connect(**{**OPTIONS, **options}) as connection:
            for each in data:
                connection.send_media(each)
            connection.send_close_stream()
            return list(connection)

    return await asyncio.wait_for(asyncio.to_thread(converse), PATIENCE_S * 3)


async def in_tasks(server: Server, data: Iterator[bytes], **options: Any) -> list[Any]:
    """The same of the asynchronous client, with keep-alives between."""
    async with asyncio.timeout(PATIENCE_S * 3), connected(server, **options) as connection:

        async def send() -> None:
            for each in data:
                await connection.send_media(each)
                await connection.send_keep_alive()
            await connection.send_close_stream()

        sending = asyncio.create_task(send())
        told = [message async for message in connection]
        await sending
        return told


def written(told: list[Any]) -> str:
    """The final transcripts, as a client puts them together."""
    results = [each for each in told if each.type == "Results" and each.is_final]
    return " ".join(text for each in results if (text := each.channel.alternatives[0].transcript))


@pytest.fixture(params=[in_a_thread, in_tasks], ids=["blocking", "asynchronous"])
def live(request: pytest.FixtureRequest) -> Callable[..., Any]:
    return request.param


async def test_a_live_stream_is_told_in_the_clients_own_types_and_words(real: Server, live: Callable[..., Any]):
    from deepgram.listen.v1 import types

    told = await live(real, pieces(pcm(TWO), 3200), interim_results=True, vad_events=True, utterance_end_ms=1000)
    assert written(told) == TEXT
    kinds = {type(each) for each in told}
    assert kinds == {
        types.ListenV1Results,
        types.ListenV1SpeechStarted,
        types.ListenV1UtteranceEnd,
        types.ListenV1Metadata,
    }
    finals = [
        each for each in told if each.type == "Results" and each.channel.alternatives[0].transcript and each.is_final
    ]
    assert [each.speech_final for each in finals] == [True, True]
    words = [word for each in finals for word in each.channel.alternatives[0].words]
    assert [word.word for word in words] == TEXT.split()
    assert [word.start for word in words] == sorted(word.start for word in words)
    ends = [each.last_word_end for each in told if each.type == "UtteranceEnd"]
    assert ends[0] == words[1].end
    assert told[-1].duration == pytest.approx(len(TWO) / 16_000, abs=0.01)


async def test_the_words_are_those_of_the_native_protocol(real: Server, live: Callable[..., Any]):
    async with real.socket("/v1/stream") as socket:
        await socket.send(pcm(TWO))
        await socket.send('{"type": "finish"}')
        natively = " ".join(finals(await said(socket)))
    assert natively == TEXT
    for size in (320, 16_000 * 2 * 4):  # 10 ms and 4 s
        assert written(await live(real, pieces(pcm(TWO), size))) == natively


async def test_a_telephone_and_a_browsers_rate_are_heard(real: Server, live: Callable[..., Any]):
    telephone = encode_pcm(AudioFormat("mulaw", 8000), resample(STOP_LIGHT, 16_000, 8000))
    assert written(await live(real, pieces(telephone, 160), encoding="mulaw", sample_rate=8000))
    browser = pcm(resample(STOP_LIGHT, 16_000, 48_000))
    assert written(await live(real, pieces(browser, 9600), sample_rate=48_000)) == "stop light"


@pytest.mark.parametrize("kind", ["webm", "ogg", "mp3", "flac", "wav"])
async def test_audio_with_a_header_is_written_down_while_it_comes(real: Server, kind: str):
    told = await in_tasks(real, pieces(recording(kind, STOP_LIGHT), 1000), encoding=None, sample_rate=None)
    assert written(told) == "stop light"


async def test_opus_packets_are_written_down(real: Server):
    told = await in_tasks(real, opus_packets(STOP_LIGHT), encoding="opus", sample_rate=48_000)
    assert written(told) == "stop light"


def opus_packets(samples: np.ndarray) -> Iterator[bytes]:
    encoder = av.CodecContext.create("libopus", "w")
    assert isinstance(encoder, av.AudioCodecContext)
    encoder.sample_rate, encoder.layout, encoder.format = 48_000, "mono", "s16"
    frame = av.AudioFrame.from_ndarray(to_int16(resample(samples, 16_000, 48_000))[None, :], "s16", "mono")
    frame.sample_rate = 48_000
    cut = av.AudioResampler("s16", "mono", 48_000, frame_size=960)
    for each in [*cut.resample(frame), None]:
        yield from map(bytes, encoder.encode(each))


async def test_finalize_and_configure_are_answered_on_an_open_stream(real: Server):
    from deepgram.listen.v1.types import ListenV1Configure

    async with asyncio.timeout(PATIENCE_S), connected(real) as connection:
        await connection.send_configure(ListenV1Configure(keyterms=["stop"]))
        assert (await connection.recv()).code == "CONFIGURE_KEYTERMS_NOT_SUPPORTED"
        await connection.send_media(pcm(STOP_LIGHT))
        await connection.send_finalize()
        result: Any = await connection.recv()
        assert result.from_finalize
        assert result.channel.alternatives[0].transcript == "stop light"
        await connection.send_close_stream()
        assert [each.type async for each in connection][-1] == "Metadata"


async def test_recordings_are_answered_in_the_clients_own_types(real: Server):
    from deepgram.types import ListenV1Response

    file = recording("flac", TWO)

    def in_a_thread() -> Any:
        with blocking(real) as client:
            ask = client.listen.v1.media.transcribe_file
            return ask(request=file, model="nova-3", utterances=True, paragraphs=True, smart_format=True, tag=["mine"])

    threaded = await asyncio.to_thread(in_a_thread)
    async with waiting(real) as client:
        tasked = await client.listen.v1.media.transcribe_file(request=file, model="nova-3", utterances=True)
    for answer in (threaded, tasked):
        assert isinstance(answer, ListenV1Response)
        answer = cast("Any", answer)
        best = answer.results.channels[0].alternatives[0]
        assert best.transcript == TEXT
        assert [word.word for word in best.words] == TEXT.split()
        assert [each.transcript for each in answer.results.utterances] == ["stop light", "yes no"]
        assert answer.metadata.duration == pytest.approx(len(TWO) / 16_000, abs=0.01)
    assert threaded.results.channels[0].alternatives[0].paragraphs.transcript == "stop light\n\nyes no"


async def test_refusals_are_the_clients_own_exceptions(real: Server):
    from deepgram.core.api_error import ApiError

    async with waiting(real) as client:
        with pytest.raises(ApiError) as refused:
            await client.listen.v1.media.transcribe_url(url="http://127.0.0.1:1/a.wav", model="nova-3")
        assert refused.value.status_code == 403
        with pytest.raises(ApiError) as refused:
            await client.listen.v1.media.transcribe_file(request=b"RIFF", model="nova-3", diarize=True)
        assert refused.value.status_code == 400
    with pytest.raises(ApiError) as refused:
        async with connected(real, language="de"):
            pass
    assert refused.value.status_code == 400


async def test_a_client_that_reads_nothing_and_closes_at_once_frees_its_place(real: Server):
    async with connected(real) as connection:
        await connection.send_media(pcm(STOP_LIGHT))
    await real.empty()


async def test_keys_are_taken_from_the_client_and_from_a_browsers_subprotocol(real: Server):
    key = await make_key(real)

    def in_a_thread() -> str:
        with blocking(real, "wrong") as client, pytest.raises(InvalidStatus) as refused:
            client.listen.v1.connect(**OPTIONS).__enter__()
        assert refused.value.response.status_code == 401
        with blocking(real, key) as client:
            said: Any = client.listen.v1.media.transcribe_file(request=recording("wav", STOP_LIGHT), model="nova-3")
            return said.results.channels[0].alternatives[0].transcript

    assert await asyncio.to_thread(in_a_thread) == "stop light"
    path = "/v1/listen?encoding=linear16&sample_rate=16000"
    async with real.socket(path, subprotocols=["token", key]) as socket:
        assert socket.subprotocol == "token"
        await socket.send(json.dumps({"type": "CloseStream"}))
        assert [each["type"] for each in await said(socket)] == ["Results", "Metadata"]
        assert await closed(socket) == (1000, "")
