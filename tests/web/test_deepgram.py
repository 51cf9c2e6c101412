"""Deepgram's `/v1/listen` over real sockets: live streams in every encoding, recordings, refusals, close frames."""

import asyncio
import io
import json
from dataclasses import replace

import numpy as np
import pytest
import soundfile
from websockets.exceptions import InvalidStatus

from stt_server.protocols.deepgram import DeepgramCodec
from stt_server.speech.files import read_audio
from stt_server.speech.pcm import AudioFormat, encode_pcm
from tests.engine.toy import loud, quiet
from tests.web.conftest import PATIENCE_S, SPEECH, Server, Start, closed, flac, heard, said, wav

LINEAR = "/v1/listen?encoding=linear16&sample_rate=16000"
CLOSE = '{"type": "CloseStream"}'


def results(messages: list[dict]) -> list[dict]:
    return [message for message in messages if message["type"] == "Results"]


def text_of(message: dict) -> str:
    return message["channel"]["alternatives"][0]["transcript"]


def spoken(messages: list[dict], channel: int = 0) -> list[str]:
    """What was said on a channel, for good."""
    mine = [each for each in results(messages) if each["is_final"] and each["channel_index"][0] == channel]
    return [text_of(each) for each in mine if text_of(each)]


async def conversation(server: Server, path: str, *messages: bytes | str) -> list[dict]:
    async with server.socket(path) as socket:
        for message in (*messages, CLOSE):
            await socket.send(message)
        heard = await said(socket)
        assert await closed(socket) == (1000, "")
    return heard


def dealt(left: bytes, right: bytes) -> bytes:
    """Two channels of 16-bit samples, interleaved."""
    return np.stack([np.frombuffer(left, "<i2"), np.frombuffer(right, "<i2")], axis=1).tobytes()


def cut(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


# ---------------------------------------------------------------------------------------------------------------- live


async def test_a_stream_says_its_results_and_its_metadata_and_closes(server: Server):
    messages = await conversation(server, LINEAR, SPEECH, loud(1))
    assert spoken(messages) == ["la la la", "la"]
    first = results(messages)[0]
    assert (first["is_final"], first["speech_final"], first["from_finalize"]) == (True, True, False)
    assert first["channel_index"] == [0, 1]
    assert set(first["metadata"]) == {"request_id", "model_info", "model_uuid"}
    assert first["metadata"]["model_info"]["name"] == "toy"
    last = messages[-1]
    assert last["type"] == "Metadata"
    assert last["request_id"] == first["metadata"]["request_id"]
    assert (last["duration"], last["channels"], last["transaction_key"]) == (1.12, 1, "deprecated")
    assert len(last["sha256"]) == 64
    await server.empty()


async def test_results_tile_the_audio(server: Server):
    messages = await conversation(server, LINEAR + "&interim_results=true", *cut(SPEECH * 3 + loud(2), 2 * 1600))
    end = 0.0
    for each in results(messages):
        assert each["start"] == end
        if each["is_final"]:
            end = round(each["start"] + each["duration"], 3)
    assert end == messages[-1]["duration"]


async def test_interim_results_come_while_somebody_speaks_and_only_when_asked_for(server: Server):
    asked = await conversation(server, LINEAR + "&interim_results=true", *cut(SPEECH, 2 * 2560))
    assert [text_of(each) for each in results(asked) if not each["is_final"]][:3] == ["la", "la la", "la la la"]
    assert all(each["is_final"] for each in results(await conversation(server, LINEAR, *cut(SPEECH, 2 * 2560))))


@pytest.mark.parametrize("encoding", ["linear16", "linear32", "mulaw", "alaw"])
@pytest.mark.parametrize("rate", [8000, 48_000])
async def test_raw_audio_is_heard_in_every_encoding_and_rate(server: Server, encoding: str, rate: int):
    ours = {"linear16": "s16le", "linear32": "f32le"}.get(encoding, encoding)
    samples = read_audio(wav(SPEECH, 16_000), rate)
    data = encode_pcm(AudioFormat(ours, rate), samples)
    messages = await conversation(server, f"/v1/listen?encoding={encoding}&sample_rate={rate}", *cut(data, 777))
    assert spoken(messages) == ["la la la"]


@pytest.mark.parametrize("make", [wav, flac], ids=["wav", "flac"])
@pytest.mark.parametrize("size", [100, 4096, 1 << 19])
async def test_audio_with_a_header_is_decoded_while_it_arrives(server: Server, make, size: int):
    messages = await conversation(server, "/v1/listen", *cut(make(SPEECH), size))
    assert spoken(messages) == ["la la la"]
    assert messages[-1]["duration"] == 0.96


async def test_words_of_audio_with_a_header_come_before_its_end(server: Server):
    file = wav(SPEECH + quiet(20))
    async with server.socket("/v1/listen") as socket:
        await socket.send(file[: len(file) // 2])
        assert text_of(await heard(socket)) == "la la la"
        await socket.send(CLOSE)
        assert (await said(socket))[-1]["type"] == "Metadata"


async def test_finalize_ends_the_utterance_behind_all_that_was_sent_and_the_stream_goes_on(server: Server):
    for path, data in ((LINEAR, loud(2)), ("/v1/listen", wav(loud(2)))):
        async with server.socket(path) as socket:
            await socket.send(data)
            await socket.send('{"type": "Finalize"}')
            first = await heard(socket)
            assert (text_of(first), first["is_final"], first["from_finalize"]) == ("la la", True, True)
            await socket.send(CLOSE)
            assert (await said(socket))[-1]["type"] == "Metadata"


async def test_channels_are_heard_apart_and_named(server: Server):
    data = dealt(SPEECH + quiet(6), quiet(6) + loud(2) + quiet(4))
    path = LINEAR + "&channels=2&multichannel=true"
    messages = await conversation(server, path, *cut(data, 1001))
    assert spoken(messages, 0) == ["la la la"]
    assert spoken(messages, 1) == ["la la"]
    assert {each["channel_index"][1] for each in results(messages)} == {2}
    assert [each["type"] for each in messages].count("Metadata") == 1
    assert messages[-1]["channels"] == 2
    await server.empty()


async def test_one_channel_of_two_can_be_finalized(server: Server):
    async with server.socket(LINEAR + "&channels=2&multichannel=true") as socket:
        await socket.send(dealt(loud(2), loud(2)))
        await socket.send('{"type": "Finalize", "channel": 1}')
        first = await heard(socket)
        assert (first["channel_index"], first["from_finalize"]) == ([1, 2], True)


async def test_channels_of_a_file_are_heard_apart_where_their_number_was_said(server: Server):
    pair = np.frombuffer(dealt(SPEECH, quiet(4) + loud(1) + quiet(1)), "<i2").reshape(-1, 2)
    file = io.BytesIO()
    soundfile.write(file, pair, 16_000, format="WAV", subtype="PCM_16")
    messages = await conversation(server, "/v1/listen?channels=2&multichannel=true", *cut(file.getvalue(), 999))
    assert (spoken(messages, 0), spoken(messages, 1)) == (["la la la"], ["la"])
    async with server.socket("/v1/listen?multichannel=true") as socket:
        await socket.send(file.getvalue())
        assert [each["type"] for each in await said(socket)] == ["Error"]
        assert (await closed(socket))[0] == 1008


async def test_more_channels_than_places_are_refused_before_the_upgrade_and_free_what_they_had(start: Start):
    server = await start(max_streams=2)
    with pytest.raises(InvalidStatus) as refused:
        async with server.socket(LINEAR + "&channels=3&multichannel=true"):
            pass
    assert refused.value.response.status_code == 503
    assert server.streams == 0
    assert spoken(await conversation(server, LINEAR, SPEECH)) == ["la la la"]


async def test_speech_and_the_end_of_an_utterance_are_told_when_asked_for(server: Server):
    path = LINEAR + "&interim_results=true&utterance_end_ms=1000&vad_events=true"
    messages = await conversation(server, path, *cut(SPEECH + quiet(10), 2 * 1600))
    kinds = [each["type"] for each in messages]
    assert kinds.index("SpeechStarted") < kinds.index("Results") < kinds.index("UtteranceEnd")
    assert kinds.count("UtteranceEnd") == 1
    end = messages[kinds.index("UtteranceEnd")]
    assert end["channel"] == [0, 1]
    assert end["last_word_end"] == 0.64


async def test_keep_alives_and_an_empty_message_need_no_audio(server: Server):
    async with server.socket(LINEAR) as socket:
        await socket.send('{"type": "KeepAlive"}')
        await socket.send(b"")
        messages = await said(socket)
        assert await closed(socket) == (1000, "")
    assert [each["type"] for each in messages] == ["Results", "Metadata"]


async def test_configuring_is_answered_once_and_changes_nothing_that_cannot_be(server: Server):
    async with server.socket(LINEAR + "&keyterm=earloop") as socket:
        for asked, answer in (
            ({"features": {"numerals": False}}, "ConfigureSuccess"),
            ({"keyterms": ["earloop"]}, "ConfigureSuccess"),
            ({"keyterms": ["other"]}, "ConfigureFailure"),
            ({"features": {"numerals": True}}, "ConfigureFailure"),
        ):
            await socket.send(json.dumps({"type": "Configure", **asked}))
            assert (await heard(socket))["type"] == answer
        await socket.send(SPEECH)
        await socket.send(CLOSE)
        assert spoken(await said(socket)) == ["la la la"]


async def test_who_says_nothing_is_closed_with_deepgrams_code(server: Server, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(DeepgramCodec, "terms", replace(DeepgramCodec.terms, idle_s=0.5))
    async with server.socket(LINEAR) as socket:
        messages = await said(socket)
        code, reason = await closed(socket)
    assert code == 1011
    assert reason.startswith("NET-0001")
    assert [each["type"] for each in messages] == ["Error"]


async def test_the_last_words_have_the_servers_time_and_not_the_clients(start: Start, monkeypatch: pytest.MonkeyPatch):
    server = await start()
    server.toy.gate.clear()
    async with server.socket(LINEAR) as socket:
        await socket.send(SPEECH)
        assert await asyncio.to_thread(server.toy.inside.wait, PATIENCE_S)
        monkeypatch.setattr(DeepgramCodec, "terms", replace(DeepgramCodec.terms, idle_s=0.2))
        await socket.send(CLOSE)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(socket.wait_closed(), 0.6)
        server.toy.gate.set()
        assert spoken(await said(socket)) == ["la la la"]


@pytest.mark.parametrize("text", ["hello", '{"type": "Hello"}', "[]"])
async def test_a_text_message_that_is_none_closes_with_deepgrams_code(server: Server, text: str):
    async with server.socket(LINEAR) as socket:
        await socket.send(text)
        assert [each["type"] for each in await said(socket)] == ["Error"]
        code, reason = await closed(socket)
    assert code == 1008
    assert reason.startswith("DATA-0000")


async def test_what_is_no_audio_closes_with_deepgrams_code(server: Server):
    for message in (
        b"this is no audio file, and so nothing can be heard of it: no header that is known here",
        b"\x1aE\xdf\xa3" * 99,
    ):
        async with server.socket("/v1/listen") as socket:
            await socket.send(message)
            await socket.send(CLOSE)
            assert [each["type"] for each in await said(socket)] == ["Error"]
            code, reason = await closed(socket)
        assert code == 1008
        assert reason.startswith("DATA-0000")
    await server.empty()


async def test_a_client_that_is_gone_at_once_leaves_nothing_behind(server: Server):
    for path in (LINEAR, "/v1/listen", LINEAR + "&channels=2&multichannel=true"):
        socket = await server.socket(path)
        await socket.send(wav(SPEECH))
        socket.transport.abort()
        await server.empty()


async def test_a_browsers_subprotocol_is_echoed_without_its_key(server: Server):
    async with server.socket(LINEAR, subprotocols=["token", "el_0123456789abcdef_secret"]) as socket:
        assert socket.subprotocol == "token"
        assert socket.response is not None
        assert len(socket.response.headers["dg-request-id"]) == 36


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("encoding=amr-nb&sample_rate=8000", "encoding"),
        ("encoding=linear16", "sample_rate"),
        ("diarize=true", "diarize"),
        ("utterance_end_ms=1000", "utterance_end_ms"),
        ("callback=http://example.org", "callback"),
    ],
)
async def test_what_cannot_be_honoured_is_refused_before_the_upgrade_in_deepgrams_shape(
    server: Server, query: str, parameter: str
):
    with pytest.raises(InvalidStatus) as refused:
        async with server.socket(f"/v1/listen?{query}"):
            pass
    answer = refused.value.response
    body = json.loads(answer.body)
    assert answer.status_code == 400
    assert body["category"] == "INVALID_QUERY_PARAMETER"
    assert parameter in body["message"] + body["details"]
    assert body["request_id"] == answer.headers["dg-request-id"]
    assert answer.headers["dg-error"] == body["message"]
    assert server.streams == 0


async def test_what_only_dresses_the_text_is_warned_of(server: Server):
    messages = await conversation(server, LINEAR + "&model=nova-3&smart_format=true&punctuate=false&zzz=1", SPEECH)
    warnings = {each["parameter"]: each["type"] for each in messages[-1]["warnings"]}
    assert warnings == {
        "model": "unsupported_model",
        "smart_format": "unsupported_parameter",
        "zzz": "unsupported_parameter",
    }


# ---------------------------------------------------------------------------------------------------------- recordings


async def test_a_recording_is_answered_with_its_words(server: Server, http):
    query = "?model=nova-3&tag=mine&extra=a:b&endpointing=300"
    async with http.post(server.url + "/v1/listen" + query, data=wav(SPEECH + SPEECH)) as answer:
        assert answer.status == 200
        body = await answer.json()
        assert answer.headers["dg-request-id"] == body["metadata"]["request_id"]
        assert answer.headers["X-Earloop-Ignored"] == "endpointing, model"
    metadata, (channel,) = body["metadata"], body["results"]["channels"]
    assert (metadata["channels"], metadata["duration"]) == (1, 1.92)
    assert list(metadata["model_info"]) == metadata["models"]
    assert (metadata["tags"], metadata["extra"]) == (["mine"], {"a": "b"})
    assert [each["parameter"] for each in metadata["warnings"]] == ["endpointing", "model"]
    assert channel["alternatives"][0]["transcript"] == "la la la la la la"


async def test_raw_bodies_and_channels_of_recordings_are_heard(server: Server, http):
    pair = dealt(SPEECH, quiet(6))
    url = server.url + "/v1/listen?encoding=linear16&sample_rate=16000"
    async with http.post(url, data=SPEECH) as answer:
        assert (await answer.json())["results"]["channels"][0]["alternatives"][0]["transcript"] == "la la la"
    file = io.BytesIO()
    soundfile.write(file, np.frombuffer(pair, "<i2").reshape(-1, 2), 16_000, format="FLAC")
    for more, data in (("&channels=2&multichannel=true", pair), ("&multichannel=true", file.getvalue())):
        async with http.post(url + more, data=data) as answer:
            channels = (await answer.json())["results"]["channels"]
        assert [each["alternatives"][0]["transcript"] for each in channels] == ["la la la", ""]
    await server.empty()


async def test_addresses_are_not_fetched(server: Server, http):
    url = server.url + "/v1/listen"
    async with http.post(url, json={"url": "http://127.0.0.1:1/a.wav"}) as answer:
        body = await answer.json()
        assert (answer.status, body["category"]) == (403, "INSUFFICIENT_PERMISSIONS")
        assert "url" in body["message"]
    async with http.post(url, data=b"{", headers={"Content-Type": "application/json"}) as answer:
        assert answer.status == 400


@pytest.mark.parametrize(
    ("query", "data", "status", "category"),
    [
        ("", b"", 400, "PAYLOAD_ERROR"),
        ("", b"no audio at all, but long enough to be looked at closely, is it not?", 415, "UNSUPPORTED_MEDIA_TYPE"),
        ("?diarize=true", SPEECH, 400, "INVALID_QUERY_PARAMETER"),
        ("?encoding=opus", SPEECH, 400, "INVALID_QUERY_PARAMETER"),
        ("?encoding=mulaw", SPEECH, 400, "INVALID_QUERY_PARAMETER"),
    ],
)
async def test_a_recordings_refusal_has_deepgrams_shape(server: Server, http, query, data, status, category):
    async with http.post(server.url + "/v1/listen" + query, data=data) as answer:
        body = await answer.json()
        assert (answer.status, body["category"]) == (status, category)
        assert set(body) == {"category", "message", "details", "request_id"}
        assert answer.headers["dg-error"]
    await server.empty()
