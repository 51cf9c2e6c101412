"""The shipped model behind every protocol: whatever the wire, the words are those of the offline call."""

import asyncio
import io
import json
from dataclasses import dataclass

import aiohttp
import numpy as np
import pytest

from stt_server.speech.files import read_audio, write_flac, write_wav
from stt_server.speech.pcm import to_int16
from tests.web.conftest import Server, Start, finals, said
from tests.web.test_native import command, spoken
from tests.web.test_neighbours import BAD, SETTINGS, poisoned_step, words
from tests.web.test_vosk import CONFIG, in_lock_step

AS_IT_COMES = [bad for bad in BAD if bad is not poisoned_step and bad.__name__ not in SETTINGS]  # no toy, no settings


@dataclass(frozen=True)
class Clip:
    samples: np.ndarray
    text: str

    @property
    def pcm(self) -> bytes:
        return to_int16(self.samples).astype("<i2").tobytes()


@pytest.fixture(scope="session")
def clip(recognizer) -> Clip:
    """The bundle's golden clip between silences, and what the offline call hears in it."""
    golden = read_audio(recognizer.bundle.path(recognizer.bundle.manifest.golden))
    hush = np.zeros(16_000, np.float32)
    samples = (to_int16(np.concatenate([hush, golden, hush])) / np.float32(32768)).astype(np.float32)
    return Clip(samples, recognizer.transcribe(samples).text)


@pytest.fixture
async def real(start: Start, recognizer) -> Server:
    return await start(recognizer)


async def test_the_native_protocol_writes_down_the_golden_clip_with_times(real: Server, clip: Clip):
    messages = await spoken(real, clip.pcm)
    assert clip.text
    assert " ".join(finals(messages)) == clip.text
    heard = [word for message in messages if message["type"] == "final" for word in message["words"]]
    assert [word["word"] for word in heard] == clip.text.split()
    starts = [word["start"] for word in heard]
    assert starts == sorted(starts)
    assert 0.8 < starts[0] < len(clip.samples) / 16_000


async def test_deepgrams_protocol_writes_down_what_the_native_one_does_raw_and_in_a_file(real: Server, clip: Clip):
    file = io.BytesIO()
    write_flac(file, clip.samples)
    for path, data in (("?encoding=linear16&sample_rate=16000", clip.pcm), ("", file.getvalue())):
        async with real.socket("/v1/listen" + path) as socket:
            await socket.send(data)
            await socket.send('{"type": "CloseStream"}')
            results = [each for each in await said(socket) if each["type"] == "Results"]
        texts = [each["channel"]["alternatives"][0]["transcript"] for each in results]
        assert " ".join(filter(None, texts)) == clip.text


async def test_mu_law_at_8_khz_from_a_telephone_is_heard(real: Server, clip: Clip):
    """Not the same words: the band is half. But words."""
    from stt_server.speech.pcm import AudioFormat, encode_pcm
    from stt_server.speech.resample import resampler

    convert = resampler(16_000, 8000)
    samples, _ = convert(clip.samples, convert.initial())
    coded = encode_pcm(AudioFormat("mulaw", 8000, 1), samples)
    assert finals(await spoken(real, coded, "?encoding=mulaw&sample_rate=8000"))


async def test_a_vosk_client_in_lock_step_gets_the_words(real: Server, clip: Clip):
    async with real.socket("/") as socket:
        await socket.send(CONFIG)
        answers = await in_lock_step(socket, clip.pcm)
    texts = [answer["text"] for answer in answers if answer.get("text")]
    assert " ".join(texts) == clip.text
    results = [word for answer in answers for word in answer.get("result", [])]
    assert [word["word"] for word in results] == clip.text.split()
    assert all(set(word) == {"conf", "start", "end", "word"} for word in results)


@pytest.mark.parametrize("write", [write_wav, write_flac])
async def test_a_file_for_mycroft_or_ovos_gives_the_words(real: Server, http, clip: Clip, write):
    file = io.BytesIO()
    write(file, clip.samples)
    async with http.post(f"{real.url}/stt?lang=en-US", data=file.getvalue()) as answer:
        assert await answer.text() == clip.text


async def test_raw_audio_in_mycrofts_chunks_gives_the_words(real: Server, http, clip: Clip):
    async def chunks():
        for at in range(0, len(clip.pcm), 2048):
            yield clip.pcm[at : at + 2048]

    async with http.post(f"{real.url}/stt?format=16K_PCM16", data=chunks()) as answer:
        assert await answer.text() == clip.text


async def test_an_openai_form_gives_the_words(real: Server, http, clip: Clip):
    file = io.BytesIO()
    write_flac(file, clip.samples)
    form = aiohttp.FormData()
    form.add_field("file", io.BytesIO(file.getvalue()), filename="speech.flac")
    form.add_field("model", "whisper-1")
    async with http.post(f"{real.url}/v1/audio/transcriptions", data=form) as answer:
        assert json.loads(await answer.text())["text"] == clip.text


async def test_many_streams_at_once_all_hear_the_same(real: Server, clip: Clip):
    heard = await asyncio.gather(*(spoken(real, clip.pcm) for _ in range(6)))
    assert {" ".join(finals(messages)) for messages in heard} == {clip.text}


@pytest.mark.parametrize("bad", AS_IT_COMES, ids=lambda bad: bad.__name__)
async def test_real_words_are_the_same_beside(real: Server, clip: Clip, bad):
    good, *_ = await asyncio.gather(spoken(real, clip.pcm), bad(real), bad(real))
    assert " ".join(text for text, *_ in words(good) if text) == clip.text
    await real.empty()


@pytest.mark.parametrize(("option", "value"), [("model", "whisper-1"), ("language", "xx"), ("decoder", "magic")])
async def test_what_the_model_does_not_have_is_an_error_that_names_the_option(real: Server, option, value):
    async with real.socket() as socket:
        await socket.send(command("open", **{option: value}))
        (error,) = await said(socket)
        assert (error["code"], error["field"]) == ("bad_option", option)
