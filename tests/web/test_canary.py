"""Without consent nothing that was said reaches the disk or the log, by whatever protocol; with it, it does.

A canary is noise that no other seed makes, and words that only this test's recognizer says. Both are looked for in
every file of the data folder and of the folder for temporary files, in the log at its most talkative, and in what the
process printed: audio as samples of any common form and inside of whatever is a recording. The same search finds both
where somebody agreed, so it can.
"""

import asyncio
import io
import json
import logging
import tempfile
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from pathlib import Path

import aiohttp
import numpy as np
import pytest

from stt_server.errors import BadAudio
from stt_server.speech.files import read_audio
from tests.engine.toy import ToyStream
from tests.web.conftest import Server, Start, heard_until, said, wav
from tests.web.givers import agreed, has_clips, newcomer, stt, utterance, withdrawn
from tests.web.listener import Listener
from tests.web.speakers import OTHERS, Say, Who
from tests.web.test_openai import form
from tests.web.test_vosk import CONFIG, in_lock_step
from tests.wyoming.conftest import served

WORDS = "heliotrope gazpacho"
LONG_S = 36  # as wav more than uploads keep in memory
AUDIO_ENDS = (b"fLaC", b"RIFF", b"OggS", b"ID3")


class Telltale(Listener):
    """Hears the canary's words in every sound."""

    def _text(self, stream: ToyStream) -> str:
        return " ".join([WORDS] * stream.words)


async def native(server: Server, http: aiohttp.ClientSession, who: Who, pcm: bytes, collect: bool) -> str:
    query = "" if collect else "?collect=false"
    async with server.socket(f"/v1/stream{query}", additional_headers=who) as socket:
        for at in range(0, len(pcm), 6400):
            await socket.send(pcm[at : at + 6400])
        await socket.send('{"type": "finish"}')
        return " ".join([str(message) async for message in socket])


async def vosk(server: Server, http: aiohttp.ClientSession, who: Who, pcm: bytes, collect: bool) -> str:
    async with server.socket("/" if collect else "/?collect=false", additional_headers=who) as socket:
        await socket.send(CONFIG)
        return str(await in_lock_step(socket, pcm))


async def raw(server: Server, http: aiohttp.ClientSession, who: Who, pcm: bytes, collect: bool) -> str:
    return await stt(server, http, who, pcm, "" if collect else "&collect=false")


async def file(server: Server, http: aiohttp.ClientSession, who: Who, pcm: bytes, collect: bool) -> str:
    headers = who if collect else who | {"X-Collect": "false"}
    async with http.post(f"{server.url}/stt", data=io.BytesIO(wav(pcm)), headers=headers) as answer:
        return await answer.text()


async def openai(server: Server, http: aiohttp.ClientSession, who: Who, pcm: bytes, collect: bool) -> str:
    query = "" if collect else "?collect=false"
    path = f"{server.url}/v1/audio/transcriptions{query}"
    async with http.post(path, data=form(wav(pcm), response_format="verbose_json"), headers=who) as answer:
        return await answer.text()


async def broken_off(server: Server, http: aiohttp.ClientSession, who: Who, pcm: bytes, collect: bool) -> str:
    """A stream that fails behind its first final, by a message that is none."""
    async with server.socket(additional_headers=who) as socket:
        await socket.send(json.dumps({"type": "open", "collect": collect}))
        await socket.send(pcm)
        final = await heard_until(socket, "final")
        await socket.send(f"what {WORDS}?")
        return str([final, *await said(socket)])


WAYS: list[Say] = [native, vosk, raw, file, openai, broken_off]


@pytest.fixture(params=WAYS, ids=lambda way: way.__name__)
def say(request) -> Say:
    return request.param


@pytest.fixture
def found(tmp_path: Path, monkeypatch, caplog, capfd) -> Callable[..., set[str]]:
    """What of some canaries can be found: `audio`, `words`, both or nothing."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.INFO, "websockets")  # the client's own, which tells all that it sends and gets

    def search(*pcms: bytes) -> set[str]:
        told = caplog.text + "".join(capfd.readouterr())
        told += "".join(str(vars(record)) for record in caplog.records)
        pieces = [told.encode(), *(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())]
        return {what for pcm in pcms for piece in pieces for what in _in(piece, pcm, _forms(pcm))}

    return search


@pytest.mark.parametrize("collect", [False, True], ids=["server off", "server on"])
async def test_of_nobody_nothing_is_kept(start: Start, http, say: Say, found, collect: bool):
    server, pcm = await start(Telltale(), collect=collect), utterance(1001)
    assert WORDS in await say(server, http, {}, pcm, True)
    await settled(server)
    assert found(pcm) == set()


@pytest.mark.parametrize("purposes", [[], ["recognition"]], ids=["agreed to nothing", "agreed to be heard"])
async def test_of_somebody_who_did_not_agree_nothing_is_kept(start: Start, http, say: Say, found, purposes):
    server, pcm = await start(Telltale(), collect=True), utterance(1002)
    who = await newcomer(server, http, *purposes)
    assert WORDS in await say(server, http, who, pcm, True)
    await settled(server)
    assert found(pcm) == set()


async def test_of_somebody_who_agreed_nothing_is_kept_where_the_server_does_not_collect(
    start: Start, http, say: Say, found
):
    server, pcm = await start(Telltale()), utterance(1003)
    who = await newcomer(server, http, "training", "release")
    assert WORDS in await say(server, http, who, pcm, True)
    await settled(server)
    assert found(pcm) == set()


async def test_of_a_request_that_wants_nothing_kept_nothing_is(start: Start, http, say: Say, found):
    server, pcm = await start(Telltale(), collect=True), utterance(1004)
    who = await newcomer(server, http, "training")
    assert WORDS in await say(server, http, who, pcm, False)
    await settled(server)
    assert found(pcm) == set()


async def test_of_somebody_who_agreed_the_clip_is_there_and_gone_after_withdrawing(start: Start, http, say: Say, found):
    server, pcm = await start(Telltale(), collect=True), utterance(1005)
    who = await newcomer(server, http, "training")
    assert WORDS in await say(server, http, who, pcm, True)
    (clip,) = await has_clips(server, http, who, 1)
    assert WORDS in clip["hypothesis"]
    assert found(pcm) == {"audio", "words"}
    await withdrawn(server, http, who)
    assert found(pcm) == set()


async def test_an_upload_too_long_for_memory_leaves_nothing(start: Start, http, found):
    server = await start(Telltale(), collect=True, max_utterance_s=60)
    pcm = utterance(1006, words=round(LONG_S / 0.16))
    assert WORDS in await file(server, http, {}, pcm, True)
    await settled(server)
    assert found(pcm) == set()


async def test_what_was_said_before_agreeing_is_not_kept_in_the_stream_that_goes_on(start: Start, http, found):
    server, before, after = await start(Telltale(), collect=True), utterance(1007), utterance(1008)
    who = await newcomer(server, http, "recognition")
    async with server.socket(additional_headers=who) as socket:
        await socket.send(before)
        while WORDS not in str(message := await socket.recv()) or "final" not in str(message):
            pass
        await agreed(server, http, who, "training")
        await socket.send(after)
        await socket.send('{"type": "finish"}')
        async for _ in socket:
            pass
    await settled(server)
    assert "audio" not in found(before)


async def test_what_a_client_asks_for_in_vain_is_told_to_it_and_not_to_the_log(start: Start, http, found):
    server = await start(Telltale(), collect=True)
    async with server.socket() as socket:
        await socket.send(json.dumps({"type": "open", "model": WORDS}))
        assert WORDS in str(await said(socket))
    await settled(server)
    assert found(utterance(1009)) == set()


async def test_over_no_other_protocol_anything_is_kept_of_who_did_not_agree_or_wants_nothing_kept(
    start: Start, http, found
):
    server = await start(Telltale(), collect=True)
    willing, unwilling = await newcomer(server, http, "training"), await newcomer(server, http, "recognition")
    seeds, pcms = count(2000), []
    for name, say in OTHERS.items():
        for who, collect in (({}, True), (unwilling, True), (willing, False)):
            pcms.append(utterance(next(seeds), words=3))
            assert WORDS in await say(server, http, who, pcms[-1], collect), name
    await settled(server)
    assert found(*pcms) == set()


async def test_over_every_other_protocol_the_clip_of_who_agreed_is_there_and_gone_after_withdrawing(
    start: Start, http, found
):
    server = await start(Telltale(), collect=True)
    who = await newcomer(server, http, "training")
    pcms = [utterance(3000 + number, words=3) for number in range(len(OTHERS))]
    for (name, say), pcm in zip(OTHERS.items(), pcms, strict=True):
        assert WORDS in await say(server, http, who, pcm, True), name
    kept = await has_clips(server, http, who, len(OTHERS))
    assert all(WORDS in clip["hypothesis"] for clip in kept)
    assert found(pcms[0]) == {"audio", "words"}
    await withdrawn(server, http, who)
    assert found(*pcms) == set()


async def test_over_wyoming_which_knows_nobody_nothing_is_kept(tmp_path: Path, found):
    with tempfile.TemporaryDirectory(prefix="wy", dir="/tmp") as folder:  # a socket's path must be short
        async with served(tmp_path, Path(folder) / "s", Telltale(), {"collect": True}) as wyoming:
            async with wyoming.client() as client:
                assert WORDS in await client.request(pcm := utterance(4000))
            await wyoming.empty()
            await asyncio.to_thread(wyoming.services.recorder.close)
            assert found(pcm) == set()


async def settled(server: Server) -> None:
    """Wait until all is written that would be."""
    await server.empty()
    await asyncio.to_thread(server.services.recorder.close)


def _forms(pcm: bytes) -> list[bytes]:
    """Parts from the midst of the canary as raw samples of the usual forms: enough of each to be no accident."""
    samples = np.frombuffer(pcm, "<i2")
    loudest = samples[np.flatnonzero(samples)]
    parts = [loudest[at : at + 16] for at in (len(loudest) // 4, len(loudest) // 2, 3 * len(loudest) // 4)]
    shapes = [parts_of.astype(kind) for parts_of in parts for kind in ("<i2", ">i2", "<f4", "<i4")]
    return [shape.tobytes() for shape in [*shapes, *((part / np.float32(32768)).astype("<f4") for part in parts)]]


def _in(data: bytes, pcm: bytes, forms: list[bytes]) -> set[str]:
    found = {"words"} if any(word.encode() in data for word in WORDS.split()) else set()
    if any(form in data for form in forms) or any(_same(audio, pcm) for audio in _recordings(data)):
        found.add("audio")
    return found


def _recordings(data: bytes) -> list[np.ndarray]:
    """What can be decoded of all that might be a recording in these bytes."""
    found = []
    for mark in AUDIO_ENDS:
        at = data.find(mark)
        while at >= 0:
            with suppress(BadAudio):
                found.append(read_audio(data[at:]))
            at = data.find(mark, at + 1)
    return found


def _same(audio: np.ndarray, pcm: bytes) -> bool:
    """Whether a recording has the canary somewhere in it: its loudest tenth of a second, by correlation."""
    samples = np.frombuffer(pcm, "<i2").astype(np.float32) / 32768
    start = int(np.flatnonzero(samples)[0]) + 1600
    part = samples[start : start + 1600]
    if len(audio) < len(part):
        return False
    likeness = np.correlate(audio, part, "valid") / (np.sum(part**2) + 1e-9)
    return bool(likeness.max() > 0.8)
