"""Plain routes that assistants know from other servers, and coqui's WebSocket: their shapes, bodies and errors."""

import asyncio
import base64
import json

import numpy as np
import pytest
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import InvalidStatus

from tests.engine.toy import loud
from tests.web.conftest import PATIENCE_S, SPEECH, Server, Start, closed, flac, wav
from tests.web.listener import Broken

UTTERANCES = ["/v1/stt", "/v1/deepspeech", "/api/speech-to-text", "/client/dynamic/recognize"]
RAW = "audio/x-raw, layout=(string)interleaved, rate=(int)16000, format=(string)S16LE, channels=(int)1"


async def test_each_answers_in_the_shape_of_the_server_it_stands_for(server: Server, http):
    said = {}
    for path in UTTERANCES:
        async with http.post(server.url + path, data=wav(), headers={"Accept": "*/*"}) as answer:
            assert answer.status == 200
            assert answer.headers["X-Earloop-Model"] == "toy"
            said[path] = await answer.text()
    assert json.loads(said["/v1/stt"]) == ["la la la"]
    assert json.loads(said["/v1/deepspeech"]) == "la la la"
    assert said["/api/speech-to-text"] == "la la la"
    kaldi = json.loads(said["/client/dynamic/recognize"])
    assert (kaldi["status"], kaldi["hypotheses"], bool(kaldi["id"])) == (0, [{"utterance": "la la la"}], True)


async def test_rhasspy_gets_json_with_what_it_reads(server: Server, http):
    url = f"{server.url}/api/speech-to-text?siteId=default"
    async with http.post(
        url, data=wav(), headers={"Accept": "application/json", "Content-Type": "audio/wav"}
    ) as answer:
        said = await answer.json()
    assert said["text"] == "la la la"
    assert {"likelihood", "transcribe_seconds"} <= set(said)
    async with http.post(f"{url}&noheader=true", data=SPEECH) as answer:
        assert await answer.text() == "la la la"


@pytest.mark.parametrize("method", ["POST", "PUT"])
@pytest.mark.parametrize("kind", [RAW, "audio/x-raw-int; rate=16000", "audio/x-raw"])
async def test_kaldi_takes_raw_audio_in_pieces_while_it_is_spoken(server: Server, http, method, kind):
    async def pieces():
        for start in range(0, len(SPEECH), 2048):
            yield SPEECH[start : start + 2048]

    url = f"{server.url}/client/dynamic/recognize"
    async with http.request(method, url, data=pieces(), headers={"Content-Type": kind}) as answer:
        assert (await answer.json())["hypotheses"] == [{"utterance": "la la la"}]


async def test_kaldis_channels_and_floats_are_heard(server: Server, http):
    mono = np.frombuffer(SPEECH, "<i2").astype("<f4") / 32768
    kind = "audio/x-raw, format=(string)F32LE, channels=(int)2"
    url, body = f"{server.url}/client/dynamic/recognize", np.repeat(mono, 2).tobytes()
    async with http.post(url, data=body, headers={"Content-Type": kind}) as answer:
        assert (await answer.json())["hypotheses"] == [{"utterance": "la la la"}]


@pytest.mark.parametrize(
    ("kind", "body", "status"),
    [
        ("audio/x-raw, format=S24LE", b"\0\0", 5),
        ("audio/x-raw, rate=many", b"\0\0", 5),
        ("audio/x-raw, rate=1", b"\0\0", 5),
        ("audio/wav", b"RIFF\4\0\0\0AVI nothing", 5),
    ],
)
async def test_kaldis_errors_have_their_number(server: Server, http, kind, body, status):
    url = f"{server.url}/client/dynamic/recognize"
    async with http.post(url, data=body, headers={"Content-Type": kind}) as answer:
        assert answer.status >= 400
        said = await answer.json()
    assert said["status"] == status
    assert said["message"]
    assert said["id"]


async def test_a_full_server_and_a_broken_one_have_kaldis_numbers(start: Start, http):
    full, broken = await start(max_uploads=1), await start(Broken())
    url = f"{full.url}/client/dynamic/recognize"
    async with full.socket("/api/v1/stt"), http.post(url, data=wav()) as answer:  # that socket has the one place
        assert (answer.status, (await answer.json())["status"]) == (503, 9)
    async with http.post(f"{broken.url}/client/dynamic/recognize", data=wav()) as answer:
        assert (answer.status, (await answer.json())["status"]) == (500, 2)


async def test_rhasspys_errors_are_empty_where_text_would_be_taken_for_speech(server: Server, http):
    async with http.post(f"{server.url}/api/speech-to-text", data=b"RIFF\4\0\0\0AVI nothing") as answer:
        assert answer.status == 415
        assert await answer.text() == ""
        assert answer.headers["X-Earloop-Error"].startswith("unsupported")


async def test_ovos_hears_that_the_server_is_there(server: Server, http):
    async with http.get(f"{server.url}/status") as answer:
        said = await answer.json()
    assert said == {"status": "ok", "plugin": "earloop", "lang_plugin": None, "gradio": False, "model": "toy"}


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_the_language_is_told_where_only_one_can_be_and_else_left_to_ovos(server: Server, http, method):
    url = f"{server.url}/lang_detect"
    async with http.request(method, f"{url}?valid_langs=en-US", data=wav()) as answer:
        assert await answer.json() == {"lang": "en-US", "conf": 1.0}
    for query in ("", "?valid_langs=en,de"):
        async with http.request(method, url + query, data=wav()) as answer:
            assert answer.status == 415  # whatever is not 200 makes its client take the language it is set to
            assert (await answer.json())["error"]["field"] == "valid_langs"


@pytest.mark.parametrize("audio", [wav(), flac(), SPEECH], ids=["wav", "flac", "raw"])
async def test_ovos_may_send_audio_inside_json(server: Server, http, audio):
    body = {"audio_b64": base64.b64encode(audio).decode(), "lang": "en-US", "sample_rate": 16_000, "sample_width": 2}
    async with http.post(f"{server.url}/stt/json", json=body) as answer:
        assert await answer.json() == {"text": "la la la", "lang": "en"}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "audio_b64"),
        ({"audio_b64": "?"}, "audio_b64"),
        ({"audio_b64": "AAAA", "sample_rate": "x"}, "sample_rate"),
        ({"audio_b64": "AAAA", "sample_rate": 5}, "sample_rate"),
        ({"audio_b64": "AAAA", "sample_width": 4}, "sample_width"),
    ],
)
async def test_what_cannot_be_in_that_json_is_named(server: Server, http, body, field):
    async with http.post(f"{server.url}/stt/json", json=body) as answer:
        assert answer.status == 400
        assert (await answer.json())["error"]["field"] == field


async def test_coquis_client_sends_a_file_and_gets_one_answer(server: Server):
    for audio in (wav(), flac()):
        async with server.socket("/api/v1/stt") as socket, asyncio.timeout(PATIENCE_S):
            await socket.send(audio)
            said = json.loads(await socket.recv())
            assert said["text"] == "la la la"
            assert said["time"] >= 0
            assert (await closed(socket))[0] == 1000
    await server.empty()


@pytest.mark.parametrize(("sent", "code"), [("text", 1008), (b"no audio", 1008), (b"RIFF\4\0\0\0AVI nothing", 1008)])
async def test_coquis_client_hears_of_an_error(server: Server, sent, code):
    async with server.socket("/api/v1/stt") as socket, asyncio.timeout(PATIENCE_S):
        await socket.send(sent)
        assert json.loads(await socket.recv())["error"]
        assert (await closed(socket))[0] == code
    await server.empty()


async def test_coquis_client_that_says_nothing_or_leaves_or_sends_too_much_frees_its_place(start: Start):
    impatient, server = await start(idle_timeout_s=0.3), await start(max_body_mb=1, max_uploads=1)
    async with impatient.socket("/api/v1/stt") as socket, asyncio.timeout(PATIENCE_S):
        assert "Nothing was sent" in json.loads(await socket.recv())["error"]
    async with await admitted(server) as socket:
        await socket.send(bytes((1 << 20) + 2))
        assert (await closed(socket))[0] == 1009
    async with await admitted(server):
        pass
    async with await admitted(server) as socket, asyncio.timeout(PATIENCE_S):
        await socket.send(wav(loud(2)))
        assert json.loads(await socket.recv())["text"] == "la la"


async def admitted(server: Server) -> ClientConnection:
    """A connection to coqui's route, as soon as the one place for uploads is free."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            try:
                return await server.socket("/api/v1/stt")
            except InvalidStatus as refused:
                assert refused.response.status_code == 503
            await asyncio.sleep(0.01)
