"""OpenAI's Realtime transcription over real sockets, with the real `openai` package where it has words for that."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import openai
import pytest
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import InvalidStatus

from stt_server.messages import Encoding
from stt_server.speech.pcm import AudioFormat, encode_pcm
from stt_server.speech.recognizer import Recognizer
from stt_server.speech.resample import resample
from stt_server.store import keys
from stt_server.store.rights import KeyLimits, Scope
from stt_server.store.ring import now
from tests.bundles import spoken
from tests.voices import silence
from tests.web.conftest import PATIENCE_S, Server, Start, closed, heard, heard_until

COMPLETED = "conversation.item.input_audio_transcription.completed"
TWO = np.concatenate([spoken("stop", "light"), silence(1.5), spoken("yes", "no"), silence(1.5)])  # utterances
LOUD_S = 0.16  # of which the toy makes one word
ON_AND_ON = np.full(int(24_000 * 3 * LOUD_S), 0.5)
SPOKEN = np.concatenate([ON_AND_ON, np.zeros(24_000)])  # three of them, then an endpoint


def base64_of(samples: np.ndarray[Any, Any], encoding: Encoding = "s16le") -> str:
    coded = encode_pcm(AudioFormat(encoding, 24_000 if encoding == "s16le" else 8_000), samples.astype(np.float32))
    return base64.b64encode(coded).decode()


@asynccontextmanager
async def connected(server: Server, *, api_key: str = "x", **more: Any) -> AsyncIterator[Any]:
    """The package's own connection, behind its `session.created`."""
    async with openai.AsyncOpenAI(base_url=f"{server.url}/v1", api_key=api_key, max_retries=0) as client:
        query = {"intent": "transcription", **more}
        async with client.realtime.connect(extra_query=query) as connection, asyncio.timeout(PATIENCE_S):
            assert (await connection.recv()).type == "session.created"
            yield connection


async def until(connection: Any, kind: str) -> list[Any]:
    """The package's events up to one of that type."""
    events: list[Any] = []
    while not events or events[-1].type != kind:
        events.append(await connection.recv())
        assert events[-1].type != "error" or kind == "error", events[-1]
    return events


async def sends(connection: Any, samples: np.ndarray[Any, Any], size: int = 2400) -> None:
    for start in range(0, len(samples), size):
        await connection.input_audio_buffer.append(audio=base64_of(samples[start : start + size]))


async def test_the_package_hears_utterances_as_items_while_it_sends(server: Server):
    async with connected(server) as connection:
        await connection.session.update(
            session={"type": "transcription", "audio": {"input": {"transcription": {"model": "gpt-4o-transcribe"}}}}
        )
        (updated,) = await until(connection, "session.updated")
        assert updated.session.audio.input.format.rate == 24_000
        await sends(connection, SPOKEN)
        events = await until(connection, COMPLETED)
        assert [event.type.rpartition(".")[2] for event in events] == [
            "speech_started",
            "speech_stopped",
            "committed",
            "added",
            "delta",
            "completed",
        ]
        assert events[-1].transcript == events[-2].delta == "la la la"
        assert events[-1].usage.type == "duration"
        assert events[-1].item_id == events[0].item_id
        await sends(connection, SPOKEN)
        (committed, *_) = [each for each in await until(connection, COMPLETED) if each.type.endswith("committed")]
        assert committed.previous_item_id == events[0].item_id
    await server.empty()


async def test_without_turn_detection_the_package_commits_and_clears(server: Server):
    async with connected(server) as connection:
        await connection.session.update(session={"type": "transcription", "audio": {"input": {"turn_detection": None}}})
        await until(connection, "session.updated")
        await sends(connection, ON_AND_ON)
        await connection.input_audio_buffer.clear()
        assert [event.type for event in await until(connection, "input_audio_buffer.cleared")] == [
            "input_audio_buffer.cleared"
        ]
        await sends(connection, ON_AND_ON)
        await sends(connection, ON_AND_ON)
        await connection.input_audio_buffer.commit()
        assert (await until(connection, COMPLETED))[-1].transcript == "la la la la la la"
        await connection.input_audio_buffer.commit()
        (*_, error) = await until(connection, "error")
        assert error.error.code == "input_audio_buffer_commit_empty"
        await sends(connection, ON_AND_ON)
        await connection.input_audio_buffer.commit()
        assert (await until(connection, COMPLETED))[-1].transcript == "la la la"


@pytest.mark.parametrize(("kind", "encoding"), [("pcm", "s16le"), ("pcmu", "mulaw"), ("pcma", "alaw")])
async def test_the_same_clip_gives_the_text_of_an_upload(start: Start, recognizer: Recognizer, kind, encoding):
    server = await start(recognizer)
    rate = 24_000 if kind == "pcm" else 8_000
    samples = resample(TWO, 16_000, rate)
    whole = recognizer.transcribe(resample(samples, rate, 16_000))
    async with connected(server) as connection:
        sound = {
            "format": {"type": f"audio/{kind}"},
            "turn_detection": {"type": "server_vad", "silence_duration_ms": 600},
        }
        await connection.session.update(session={"type": "transcription", "audio": {"input": sound}})
        for at in range(0, len(samples), rate // 10):
            await connection.input_audio_buffer.append(audio=base64_of(samples[at : at + rate // 10], encoding))
        texts = [(await until(connection, COMPLETED))[-1].transcript for _ in range(2)]
    assert " ".join(texts) == whole.text


async def test_an_older_client_speaks_the_beta(server: Server):
    headers = {"OpenAI-Beta": "realtime=v1"}
    async with server.socket("/v1/realtime?intent=transcription", additional_headers=headers) as socket:
        assert (await heard(socket))["type"] == "transcription_session.created"
        session = {"input_audio_format": "pcm16", "input_audio_transcription": {"model": "whisper-1"}}
        await socket.send(json.dumps({"type": "transcription_session.update", "session": session}))
        assert (await heard(socket))["type"] == "transcription_session.updated"
        await say(socket, SPOKEN)
        assert (await heard_until(socket, COMPLETED))["transcript"] == "la la la"


async def test_a_browser_shows_its_key_beside_the_subprotocol(start: Start):
    server = await start()
    with server.services.store.write() as connection:
        key = keys.create(connection, "a browser", (Scope.STREAM,), now(), limits=KeyLimits())
    await server.services.keys.renewed()
    path, insecure = "/v1/realtime?intent=transcription", f"openai-insecure-api-key.{key}"
    with pytest.raises(InvalidStatus) as caught:
        async with server.socket(path, subprotocols=["realtime"]):
            pass
    assert caught.value.response.status_code == 401
    assert json.loads(caught.value.response.body)["error"]["code"] == "invalid_api_key"
    async with server.socket(path, subprotocols=["realtime", insecure, "openai-beta.realtime-v1"]) as socket:
        assert socket.subprotocol == "realtime"
        assert (await heard(socket))["type"] == "transcription_session.created"


async def test_a_hotword_that_cannot_be_spelled_ends_the_session_with_an_error_that_names_it(
    start: Start, recognizer: Recognizer
):
    server = await start(recognizer)
    async with server.socket("/v1/realtime") as socket:
        session = {"audio": {"input": {"transcription": {"keywords": ["光"]}}}}
        await socket.send(json.dumps({"type": "session.update", "session": session}))
        await say(socket, SPOKEN)
        error = (await heard_until(socket, "error"))["error"]
        assert error["param"] == "session.audio.input.transcription.keywords"
        assert (await closed(socket))[0] == 1008


async def test_an_intent_other_than_transcription_is_refused_before_the_upgrade(server: Server):
    with pytest.raises(InvalidStatus) as caught:
        async with server.socket("/v1/realtime?intent=conversation"):
            pass
    assert caught.value.response.status_code == 400
    assert json.loads(caught.value.response.body)["error"]["param"] == "intent"


async def test_a_client_that_says_nothing_right_is_told_so_each_time_and_stays(server: Server):
    async with server.socket("/v1/realtime") as socket:
        await heard(socket)
        for message in (b"\0\0", "hello", "{}", '{"type":"response.create"}'):
            await socket.send(message)
            assert (await heard(socket))["type"] == "error"
        await say(socket, SPOKEN)
        assert (await heard_until(socket, COMPLETED))["transcript"] == "la la la"


async def test_a_minute_in_one_message_is_heard(server: Server):
    async with server.socket("/v1/realtime") as socket:
        await say(socket, np.concatenate([np.zeros(24_000 * 56), SPOKEN]), size=24_000 * 60)
        assert (await heard_until(socket, COMPLETED))["transcript"] == "la la la"


async def say(socket: ClientConnection, samples: np.ndarray[Any, Any], size: int = 4800) -> None:
    for start in range(0, len(samples), size):
        append = {"type": "input_audio_buffer.append", "audio": base64_of(samples[start : start + size])}
        await socket.send(json.dumps(append))
