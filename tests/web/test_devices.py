"""Clients as they are, one table for every stream protocol: what they cut, forget, never close or say too early."""

import asyncio
import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest
from websockets.exceptions import ConnectionClosed

from stt_server.protocols.deepspeech import DeepspeechCodec
from stt_server.protocols.openai.realtime import RealtimeCodec
from stt_server.speech.recognizer import Recognizer
from tests.bundles import spoken
from tests.engine.toy import loud, quiet
from tests.voices import silence
from tests.web.conftest import PATIENCE_S, Server, Start, closed, wav
from tests.web.devices import DEVICES, Device

SPEECH = np.frombuffer(loud(3) + quiet(3) + loud(2) + quiet(3), "<i2").astype(np.float32) / 32768  # 2 utterances
CLIP = np.concatenate([spoken("stop", "light"), silence(1.5), spoken("yes", "no"), silence(1.5)])
UPLOADED: dict[str, Callable[[str], str]] = {
    "/v1/stt": lambda said: str(json.loads(said)[0]),
    "/v1/deepspeech": lambda said: str(json.loads(said)),
    "/client/dynamic/recognize": lambda said: str(json.loads(said)["hypotheses"][0]["utterance"]),
}
every_device = pytest.mark.parametrize("device", DEVICES.values(), ids=lambda device: device.name)
OTHERS = [DEVICES[name] for name in ("vosk", "kaldi", "deepgram", "deepspeech", "sherpa", "realtime")]
our_devices = pytest.mark.parametrize("device", OTHERS, ids=lambda device: device.name)


@every_device
@pytest.mark.parametrize("chunk_s", [0.01, 0.25, 4.0])
async def test_chunks_of_any_size_sent_in_a_burst_are_heard_whole(server: Server, device: Device, chunk_s):
    async with server.socket(device.path) as socket:
        heard = await device.talk(socket, SPEECH, chunk_s)
    assert " ".join(device.texts(heard)) == "la la la la la"
    await server.empty()


async def test_the_same_clip_gives_the_same_text_through_every_protocol(start: Start, recognizer: Recognizer, http):
    server = await start(recognizer)
    texts, file = {}, wav((CLIP * 32767).astype("<i2").tobytes())
    for name in ("native", "vosk", "kaldi", "deepgram", "deepspeech", "sherpa", "realtime"):
        async with server.socket(DEVICES[name].path) as socket:
            texts[name] = " ".join(DEVICES[name].texts(await DEVICES[name].talk(socket, CLIP, 0.1)))
    async with server.socket("/api/v1/stt") as socket:
        await socket.send(file)
        texts["coqui"] = json.loads(await socket.recv())["text"]
    for path in ("/stt", "/v1/stt", "/v1/deepspeech", "/api/speech-to-text", "/client/dynamic/recognize"):
        async with http.post(server.url + path, data=file) as answer:
            texts[path] = UPLOADED.get(path, str)(await answer.text())
    assert texts["native"]
    assert set(texts.values()) == {texts["native"]}, texts


@our_devices
async def test_a_client_that_leaves_at_any_moment_frees_its_place_and_is_no_error(
    server: Server, device: Device, caplog
):
    for said in (0, 1, 3, None):
        messages = [*device.begins, *device.messages(SPEECH, 0.5), *device.ends]
        async with server.socket(device.path) as socket:
            for message in messages[:said]:
                await socket.send(message)
    async with server.socket(device.path) as socket:
        await socket.send(device.messages(SPEECH, 1.0)[0])
        assert socket.transport is not None
        socket.transport.abort()  # no goodbye
    await server.empty()
    assert [record for record in caplog.records if record.levelname in {"ERROR", "WARNING"}] == []


@pytest.mark.parametrize("name", ["vosk", "kaldi", "deepgram", "sherpa"])
async def test_a_client_that_never_closes_holds_no_place_once_its_stream_is_over(server: Server, name):
    device = DEVICES[name]
    async with server.socket(device.path) as socket:
        await device.talk(socket, SPEECH, 0.5)
        await server.empty()


@pytest.mark.parametrize("name", ["vosk", "kaldi", "sherpa"])
async def test_a_client_that_falls_silent_is_told_in_its_own_words_and_let_go(start: Start, name):
    server = await start(idle_timeout_s=0.3)
    device = DEVICES[name]
    async with server.socket(device.path) as socket:
        with suppress(ConnectionClosed):  # on a busy machine it is silent too long at once
            for message in (*device.begins, *device.messages(SPEECH[:1600], 0.1)):
                await socket.send(message)
        last = (await device.read(socket))[-1:]
        assert (await closed(socket))[0] == 1008
    if name == "kaldi":
        assert json.loads(last[0])["status"] == 1
    await server.empty()


BY_TURNS = pytest.mark.parametrize(("name", "codec"), [("deepspeech", DeepspeechCodec), ("realtime", RealtimeCodec)])


@BY_TURNS
async def test_a_client_that_speaks_by_turns_may_be_silent_where_others_may_not(start: Start, name, codec):
    assert codec.terms.idle_s == 300
    server, device = await start(idle_timeout_s=0.3), DEVICES[name]
    async with server.socket(device.path) as socket, server.socket(DEVICES["vosk"].path) as other:
        assert (await closed(other))[0] == 1008
        assert " ".join(device.texts(await device.talk(socket, SPEECH, 0.5))) == "la la la la la"


@BY_TURNS
async def test_but_not_for_ever(server: Server, monkeypatch, name, codec):
    monkeypatch.setattr(codec, "terms", replace(codec.terms, idle_s=0.3))
    async with server.socket(DEVICES[name].path) as socket:
        said = await DEVICES[name].read(socket)
        assert (await closed(socket))[0] == 1008
    assert [json.loads(message)["type"] for message in said[1:]] == (["error"] if name == "realtime" else [])
    await server.empty()


@pytest.mark.parametrize("query", ["", "?content-type=audio/wav"])
@pytest.mark.parametrize("chunk", [100, 3000, 1 << 20])
async def test_a_file_streamed_to_kaldi_is_decoded_while_it_arrives(server: Server, query, chunk):
    file, device = wav((SPEECH * 32767).astype("<i2").tobytes()), DEVICES["kaldi"]
    async with server.socket(f"/client/ws/speech{query}") as socket:
        reading = asyncio.create_task(device.read(socket))
        for start in range(0, len(file), chunk):
            await socket.send(file[start : start + chunk])
        await socket.send("EOS")
        assert " ".join(device.texts(await reading)) == "la la la la la"


@pytest.mark.parametrize(
    ("name", "code"),
    [("vosk", 1008), ("kaldi", 1008), ("deepgram", 1008), ("deepspeech", 1008), ("sherpa", None), ("realtime", None)],
)
async def test_text_before_audio_is_refused_in_the_protocols_own_way_or_passed_over(server: Server, name, code):
    device = DEVICES[name]
    async with server.socket(device.path) as socket:
        await socket.send("hello?")
        if code is None:
            assert " ".join(device.texts(await device.talk(socket, SPEECH, 0.5))) == "la la la la la"
        else:
            said = await device.read(socket)
            assert (await closed(socket))[0] == code
            if name == "kaldi":
                assert json.loads(said[-1])["status"] == 5
    await server.empty()


@pytest.mark.parametrize("name", ["vosk", "kaldi", "deepgram", "deepspeech", "sherpa"])
async def test_a_message_over_a_mebibyte_closes_with_1009(server: Server, name):
    device = DEVICES[name]
    async with server.socket(device.path) as socket:
        for message in device.begins:
            await socket.send(message)
        await socket.send(bytes((1 << 20) + 2))
        assert (await closed(socket))[0] == 1009
    await server.empty()


async def test_a_full_server_says_status_9_to_kaldis_clients(start: Start):
    server = await start(max_streams=1)
    async with server.socket("/sherpa") as first:
        await first.send(b"")
        async with server.socket(DEVICES["kaldi"].path) as socket:
            (said,) = [json.loads(message) for message in await DEVICES["kaldi"].read(socket)]
            assert (said["status"], bool(said["id"]), bool(said["message"])) == (9, True, True)
            assert (await closed(socket))[0] == 1013


async def test_kaldis_status_socket_tells_at_once_and_whenever_it_changes(start: Start):
    server = await start(max_streams=3)
    async with server.socket("/client/ws/status") as status, asyncio.timeout(PATIENCE_S):
        assert json.loads(await status.recv()) == {"num_workers_available": 3, "num_requests_processed": 0}
        async with server.socket(DEVICES["kaldi"].path) as socket:
            await socket.send(b"\0\0")
            assert json.loads(await status.recv())["num_workers_available"] == 2
        assert json.loads(await status.recv()) == {"num_workers_available": 3, "num_requests_processed": 1}


async def test_several_utterances_go_through_one_connection_of_deepspeech(server: Server):
    device = DEVICES["deepspeech"]
    async with server.socket(device.path) as socket:
        assert await device.talk(socket, SPEECH, 0.25) == ["la la la la la"]
        assert await device.talk(socket, SPEECH[:0], 0.25) == [""]
        assert await device.talk(socket, SPEECH, 0.25) == ["la la la la la"]


@pytest.mark.parametrize("broken", [b"RIFF\xff\xff\xff\x7fWAVEjunk" + bytes(100), b"RIFF\4\0\0\0AVI nothing"])
async def test_a_damaged_file_is_status_5_to_kaldis_clients(server: Server, broken):
    async with server.socket("/client/ws/speech") as socket:
        await socket.send(broken)
        await socket.send("EOS")
        (said,) = [json.loads(message) for message in await DEVICES["kaldi"].read(socket)]
        assert said["status"] == 5
    await server.empty()


async def test_a_connection_that_sends_behind_its_end_is_left_in_peace(server: Server):
    for name in ("vosk", "kaldi", "deepgram", "sherpa"):
        device = DEVICES[name]
        async with server.socket(device.path) as socket:
            reading = asyncio.create_task(device.read(socket))
            with suppress(ConnectionClosed):  # it may be over by then
                for message in (*device.begins, *device.messages(SPEECH, 0.5), *device.ends, *device.ends):
                    await socket.send(message)
            assert " ".join(device.texts(await reading)) == "la la la la la"
