"""Requests over a real socket by the real client library."""

import asyncio
import json
from typing import Any

import numpy as np
from wyoming.asr import Transcribe
from wyoming.audio import AudioChunk, AudioStop
from wyoming.event import Event
from wyoming.info import Describe, Info
from wyoming.ping import Ping

from stt_server.messages import AudioSpec
from stt_server.protocols.wyoming import Frames
from stt_server.speech.pcm import AudioFormat, encode_pcm
from stt_server.speech.resample import resample
from stt_server.store import vocabularies
from stt_server.store.ring import now
from stt_server.store.vocabularies import SHARED
from tests.engine.toy import STEP_S, loud, quiet
from tests.wyoming.conftest import PATIENCE_S, SAID, SPEECH, until


async def test_a_command_is_answered_before_audio_stop_and_the_client_closes(start):
    served = await start()
    async with served.client() as client:
        await client.send(Transcribe(language="en"))
        await client.speak(SPEECH)
        heard = await client.until("transcript-stop")
    assert [each.type for each in heard] == [
        "voice-started",
        "voice-stopped",
        "transcript-start",
        "transcript-chunk",
        "transcript",
        "transcript-stop",
    ]
    assert heard[4].data == {"text": SAID, "language": "en"}
    await served.empty()


async def test_an_early_answer_frees_the_place_though_the_client_goes_on_sending(start):
    served = await start()
    async with served.client() as client:
        await client.speak(SPEECH)
        assert await client.transcript() == SAID
        await served.empty()
        await client.send(*[AudioChunk(16000, 2, 1, loud(1))] * 20, AudioStop(), Ping("still here"))
        assert (await client.hear()).data == {"text": "still here"}


async def test_several_requests_on_one_connection(start):
    served = await start()
    async with served.client() as client:
        for _ in range(3):
            assert await client.request(loud(2)) == "la la"
        assert await client.request(b"") == ""


async def test_requests_that_come_before_their_answers_are_answered_in_order(start):
    served = await start()
    async with served.client() as client:
        for steps in (1, 2, 3):
            await client.speak(loud(steps))
            await client.send(AudioStop())
        assert [await client.transcript() for _ in range(3)] == ["la", "la la", "la la la"]


async def test_chunks_from_10_ms_to_4_s_give_the_same_text(start):
    served = await start()
    async with served.client() as client:
        for piece in (320, 2048, 8000, 4 * 32000):
            await client.speak(SPEECH, piece=piece)
            await client.send(AudioStop())
            assert await client.transcript() == SAID


async def test_any_format_of_the_protocol_is_heard(start):
    served = await start()
    async with served.client() as client:
        for form in ((8000, 2, 1), (22050, 2, 1), (44100, 2, 2), (48000, 4, 1), (16000, 3, 2)):
            rate, width, channels = form
            heard = await client.request(spoken(*form), rate=rate, width=width, channels=channels)
            assert heard in {"la la la", "la la la la"}  # resampling loses the last samples


def spoken(rate: int, width: int, channels: int) -> bytes:
    """Four loud steps, as integers of `width` bytes."""
    samples = resample(np.frombuffer(loud(4), "<i2").astype(np.float32) / 32768, 16000, rate)
    pcm = np.frombuffer(encode_pcm(AudioFormat("s16le", rate, channels), samples), "<i2").astype("<i4")
    wide = (pcm << 8 * (width - 2)).astype("<i4").tobytes()
    return b"".join(wide[at : at + width] for at in range(0, len(wide), 4))


async def test_all_audio_may_be_written_before_anything_is_read(start):
    """As Home Assistant did up to 2026.4; `read_event` comes behind 64 s of audio."""
    served = await start()
    async with served.client() as client:
        await client.send(Event("transcribe", {"language": "en"}))
        await asyncio.wait_for(client.speak(quiet(400)), 60)
        await client.send(AudioStop())
        assert await client.transcript() == ""


async def test_the_tail_of_the_wake_word_does_not_end_the_command(start):
    """Home Assistant's first 760 ms: the last sound of the wake word, a breath, then the command."""
    served = await start()
    async with served.client() as client:
        await client.speak(loud(2) + quiet(2) + SPEECH)
        assert await client.transcript() == SAID


async def test_noise_before_the_command_is_no_command(start):
    served = await start()
    async with served.client() as client:
        await client.speak(b"\x20\x00" * (len(quiet(5)) // 2) + SPEECH)
        assert await client.transcript() == SAID


async def test_in_a_room_where_nobody_speaks_the_transcript_is_empty_without_audio_stop(start, monkeypatch):
    monkeypatch.setattr("stt_server.wyoming.connection.AHEAD_S", 100.0)  # the silence comes at once
    served = await start()
    async with served.client() as client:
        await client.speak(quiet(15.5 / STEP_S))
        assert await client.transcript() == ""


async def test_audio_that_comes_faster_than_it_can_be_spoken_is_heard_to_its_end(start, monkeypatch):
    monkeypatch.setattr("stt_server.wyoming.connection.AHEAD_S", -30.0)  # a busy machine pauses
    served = await start()
    served.toy.gate.clear()
    async with served.client() as client:
        await client.speak(SPEECH + quiet(40) + SPEECH)  # a pause of 6.4 s
        await until(lambda: any(received_s > 6.4 for received_s in _received(served)))
        served.toy.gate.set()
        await client.until("voice-stopped")
        await client.send(AudioStop())
        assert await client.transcript() == f"{SAID} {SAID}"


def _received(served):
    connections = list(served.door._connections)
    return [each._session.received_s for each in connections if each._session]


async def test_describe_is_answered_in_the_middle_of_audio(start):
    served = await start()
    async with served.client() as client:
        await client.speak(loud(2))
        await client.send(Describe())
        info = Info.from_event((await client.until("info"))[-1])
        assert [model.name for model in info.asr[0].models] == ["toy"]
        assert not info.asr[0].requires_external_vad
        await client.send(AudioStop())
        assert await client.transcript() == "la la"


async def test_data_in_the_header_is_read_as_well(start):
    served = await start()
    reader, writer = await served.socket()
    form = {"rate": 16000, "width": 2, "channels": 1}
    writer.write(json.dumps({"type": "audio-start", "data": form}).encode() + b"\n")
    chunk = {"type": "audio-chunk", "data": form, "payload_length": len(loud(2))}
    writer.write(json.dumps(chunk).encode() + b"\n" + loud(2) + b'{"type":"audio-stop"}\n')
    said, frames = [], Frames()
    async with asyncio.timeout(PATIENCE_S):
        while "transcript-stop" not in said:
            said += [frame.type for frame in frames.feed(await reader.read(1000))]
    assert said[0] == "voice-started"
    writer.close()
    await writer.wait_closed()


async def test_a_sensitivity_and_names_reach_the_stream(start):
    served = await start()
    opened: list[Any] = []
    served.services.engines.watch(opened.append)
    async with served.client() as client:
        await client.send(
            Transcribe(language="en-US", vad_sensitivity="relaxed", transcript_names=["Ada"], transcript_terms=["lamp"])
        )
        assert await client.request(loud(2)) == "la la"
    (session,) = opened
    options = session.options
    assert (options.protocol, options.audio, options.language) == ("wyoming", AudioSpec(), "en-US")
    assert (options.hints, options.endpointing.silence_ms) == (("Ada", "lamp"), 1250)


async def test_nothing_is_kept_of_what_is_said_here(start):
    """Nobody has said who speaks, or agreed to anything; what agreement there is elsewhere does not count here."""
    served = await start(collect=True)
    opened: list[Any] = []
    served.services.engines.watch(opened.append)
    async with served.client() as client:
        await client.request(SPEECH)
    (session,) = opened
    assert session.options.collect is False
    assert session.witness is None
    assert session.shadow is None


async def test_the_ports_vocabulary_is_heard_beside_the_names_that_a_client_sends(start):
    served = await start(wyoming_vocabulary="home")
    await served.services.store.run(_put, "home", {"entities": {"person": ["Grace"]}})
    await served.services.vocabularies.renewed()
    opened: list[Any] = []
    served.services.engines.watch(opened.append)
    async with served.client() as client:
        await client.send(Transcribe(transcript_names=["Ada"]))
        await client.request(loud(1))
    (session,) = opened
    assert "Ada" in session.options.hints
    assert "grace" in " ".join((*session.options.hotwords, *session.options.hints)).lower()


def _put(database: Any, name: str, body: dict[str, Any]) -> None:
    with database.write() as connection:
        vocabularies.put(connection, SHARED, name, body, now())
