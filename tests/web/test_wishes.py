"""What a stream asks of its decoder, over real sockets with a real model: grammars, vosk's phrase list, hotwords."""

import json

import numpy as np
import pytest

from stt_server.speech.decoder.library import library_path
from stt_server.speech.pcm import AudioFormat, encode_pcm
from stt_server.speech.recognizer import Recognizer
from tests.bundles import spoken
from tests.voices import silence
from tests.web.conftest import Server, Start, closed, finals, heard_until, said

pytestmark = pytest.mark.skipif(library_path() is None, reason="the native decoder was not built")

PCM = encode_pcm(AudioFormat("s16le", 16_000, 1), np.concatenate([spoken("stop", "light"), silence(1.2)]))


@pytest.fixture
async def real(start: Start, tiny: Recognizer) -> Server:
    return await start(tiny)


async def final(server: Server, **options: object) -> str:
    """What a native stream with these options hears."""
    async with server.socket() as socket:
        await socket.send(json.dumps({"type": "open", **options}))
        await socket.send(PCM)
        await socket.send(json.dumps({"type": "finish"}))
        return " ".join(text for text in finals(await said(socket)) if text)


async def refused(server: Server, **options: object) -> dict:
    async with server.socket() as socket:
        await socket.send(json.dumps({"type": "open", **options}))
        return await heard_until(socket, "error")


async def vosk_text(server: Server, phrases: list[str]) -> str:
    async with server.socket("/") as socket:
        await socket.send(json.dumps({"config": {"sample_rate": 16000, "phrase_list": phrases}}))
        await socket.send(PCM)
        await socket.send('{"eof" : 1}')
        return " ".join(answer["text"] for answer in await said(socket) if answer.get("text"))


async def test_a_grammar_says_what_may_be_heard(real: Server):
    assert await final(real, grammar="(stop | start) [the] {thing}\n{thing} = light | fan") == "stop light"
    assert await final(real, grammar=["stop", "yes", "[unk]"]) == "[unk]"
    assert await final(real, grammar={"lines": ["stop", "yes", "[unk]"], "repeats": True}) == "stop [unk]"


async def test_a_phrase_list_is_closed_and_its_phrases_repeat(real: Server):
    assert await vosk_text(real, ["stop", "light"]) == "stop light"
    assert await vosk_text(real, ["light", "[unk]"]) == "[unk] light"


async def test_a_wrong_grammar_is_refused_with_its_place(real: Server):
    error = await refused(real, grammar="stop\nturn (on|off")
    assert (error["code"], error["field"]) == ("bad_option", "grammar")
    assert "line 2, column 6" in error["message"]


async def test_a_wrong_phrase_list_closes_with_the_reason(real: Server):
    async with real.socket("/") as socket:
        await socket.send(json.dumps({"config": {"sample_rate": 16000, "phrase_list": ["stop", "\u4f60"]}}))
        await socket.send(PCM)
        code, reason = await closed(socket)
    assert code == 1008
    assert "line 2" in reason


@pytest.mark.parametrize(
    ("wish", "field"),
    [
        ({"hotwords": ["stop", "\u4f60"]}, "hotwords"),
        ({"hotwords": [{"phrase": "stop", "boost": 99}]}, "hotwords"),
        ({"beam": 0}, "beam"),
        ({"beam": 100_000}, "beam"),
        ({"lm": "medicine"}, "lm"),
        ({"grammar": "stop", "decoder": "greedy"}, "grammar"),
    ],
)
async def test_what_cannot_be_is_refused_by_name(real: Server, wish, field):
    error = await refused(real, **wish)
    assert (error["code"], error["field"]) == ("bad_option", field)


async def test_what_can_be_is_heard(real: Server):
    wish = {"hotwords": [{"phrase": "stop", "boost": 2}, "Light!"], "beam": 20, "decoder": "native"}
    assert await final(real, **wish) == "stop light"
