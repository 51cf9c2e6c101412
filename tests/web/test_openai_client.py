"""The real `openai` package against a real server: every format in and out, streams, errors as its own exceptions."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import openai
import pytest
from openai.types.audio import Transcription, TranscriptionVerbose

from stt_server.errors import LimitReached
from stt_server.messages import Final, Open
from stt_server.speech.recognizer import Recognizer
from stt_server.store import keys
from stt_server.store.rights import KeyLimits, Scope
from stt_server.store.ring import now
from tests.bundles import spoken
from tests.engine.toy import ToyStream, loud, quiet
from tests.recordings import OPENAIS, recording
from tests.voices import silence
from tests.web.conftest import PATIENCE_S, Server, Start, until, wav
from tests.web.listener import Listener

STOP_LIGHT = spoken("stop", "light")
TWO = np.concatenate([STOP_LIGHT, silence(1.5), spoken("yes", "no"), silence(1.0)])  # utterances
TWO_LOUD = wav(loud(3) + quiet(3) + loud(2) + quiet(3))


class Halting(Listener):
    """Hears the first utterance; from there on nothing until its gate is set. `passing`: of the next streams all."""

    passing = False

    def take(self, stream: ToyStream) -> list:
        events = super().take(stream)
        if not self.passing and any(isinstance(event, Final) and event.utterance == 0 for event in events):
            self.gate.clear()
        return events


class Breaking(Listener):
    """Fails behind the first utterance."""

    def _hear(self, stream: ToyStream, speech: bool) -> None:
        if stream.utterance:
            raise ZeroDivisionError
        super()._hear(stream, speech)


class Verbose(Listener):
    """Its words are too many for any buffer between us."""

    def _text(self, stream: ToyStream) -> str:
        return "la " * 16_000_000


class Limited(Listener):
    def open(self, options: Open) -> ToyStream:
        raise LimitReached("no more today", retry_after_s=3600)


@asynccontextmanager
async def client(server: Server, **more) -> AsyncIterator[openai.AsyncOpenAI]:
    settings = {"api_key": "x", "max_retries": 0, "timeout": PATIENCE_S, **more}
    async with openai.AsyncOpenAI(base_url=f"{server.url}/v1", **settings) as each:
        yield each


async def asked(
    server: Server, file: bytes | None = None, name: str = "speech.wav", *, api_key: str = "x", **more
) -> Any:
    """What the client makes of the server's answer."""
    async with client(server, api_key=api_key) as each:
        sent = (name, recording("wav", STOP_LIGHT) if file is None else file)
        return await each.audio.transcriptions.create(file=sent, model="whisper-1", **more)


@asynccontextmanager
async def streaming(server: Server, file: bytes, name: str = "speech.wav") -> AsyncIterator[openai.AsyncStream]:
    """The events of an answer, while the client is there to read them."""
    async with client(server) as each, asyncio.timeout(PATIENCE_S):
        yield await each.audio.transcriptions.create(file=(name, file), model="whisper-1", stream=True)


@pytest.fixture
async def real(start: Start, tiny: Recognizer) -> Server:
    return await start(tiny)


@pytest.mark.parametrize("kind", OPENAIS)
async def test_every_body_format_of_its_list_is_written_down(real: Server, kind):
    said = await asked(real, recording(kind, STOP_LIGHT), f"speech.{kind}")
    assert isinstance(said, Transcription)
    assert said.text == "stop light"


async def test_json_has_usage_and_log_probabilities_that_spell_the_text(real: Server):
    said = await asked(real, include=["logprobs"], response_format="json")
    assert (said.usage.type, said.usage.seconds) == ("duration", pytest.approx(len(STOP_LIGHT) / 16_000, abs=0.01))
    assert "".join(each.token for each in said.logprobs) == said.text == "stop light"
    assert all(-10 < each.logprob <= 0 for each in said.logprobs)


async def test_text_srt_and_vtt_are_strings(real: Server):
    text, srt, vtt = [await asked(real, response_format=each) for each in ("text", "srt", "vtt")]
    assert text == "stop light"
    assert srt.startswith("1\n00:00:00,")
    assert vtt.startswith("WEBVTT\n\n00:00:00.")
    assert "\nstop light\n" in srt
    assert "\nstop light\n" in vtt


async def test_verbose_json_has_words_and_segments_with_times(real: Server):
    said = await asked(
        real, recording("flac", TWO), response_format="verbose_json", timestamp_granularities=["word", "segment"]
    )
    assert isinstance(said, TranscriptionVerbose)
    assert (said.text, said.language) == ("stop light yes no", "en")
    assert said.duration == pytest.approx(len(TWO) / 16_000, abs=0.01)
    words, segments = said.words or [], said.segments or []
    assert [word.word for word in words] == said.text.split()
    assert all(0 < word.start < word.end < said.duration for word in words)
    assert [segment.text for segment in segments] == [" stop light", " yes no"]
    first, second = segments
    assert first.start <= words[0].start < first.end < second.start <= words[2].start
    assert -1 < first.avg_logprob <= 0


async def test_the_silence_of_a_chunking_strategy_decides_about_segments(real: Server):
    async def segments(strategy) -> int:
        said = await asked(real, recording("wav", TWO), response_format="verbose_json", chunking_strategy=strategy)
        return len(said.segments)

    assert await segments({"type": "server_vad", "silence_duration_ms": 400}) == 2
    assert await segments({"type": "server_vad", "silence_duration_ms": 6000}) == 1
    assert await segments("auto") == 2


async def test_a_stream_spells_the_text_that_comes_without_one(real: Server):
    file = recording("webm", TWO)
    whole = await asked(real, file, "speech.webm")
    async with streaming(real, file, "speech.webm") as stream:
        events = [event async for event in stream]
    assert [event.type for event in events] == ["transcript.text.delta"] * 2 + ["transcript.text.done"]
    assert "".join(event.delta for event in events[:-1]) == events[-1].text == whole.text == "stop light yes no"
    assert events[-1].usage.seconds == whole.usage.seconds


async def test_the_blocking_client_does_the_same(real: Server):
    def in_a_thread() -> tuple[str, str, list[str]]:
        with openai.OpenAI(base_url=f"{real.url}/v1", api_key="x", max_retries=0, timeout=PATIENCE_S) as each:
            ask, file = each.audio.transcriptions.create, ("speech.m4a", recording("m4a", TWO))
            said = ask(file=file, model="whisper-1")
            events: list[Any] = list(ask(file=file, model="whisper-1", stream=True))
            return said.text, events[-1].text, [model.id for model in each.models.list()]

    assert await asyncio.to_thread(in_a_thread) == ("stop light yes no", "stop light yes no", ["tiny"])


async def test_a_delta_comes_while_the_rest_of_the_file_is_still_to_be_heard(start: Start):
    halting = Halting()
    server = await start(halting)
    try:
        async with streaming(server, TWO_LOUD) as stream:
            first = await anext(stream)
            assert (first.type, first.delta) == ("transcript.text.delta", "la la la")
            assert not halting.gate.is_set()
            assert server.streams == 1
            halting.gate.set()
            rest = [event async for event in stream]
    finally:
        halting.gate.set()
    assert rest[-1].text == "la la la la la"


async def test_a_fault_in_the_middle_of_a_stream_is_raised_by_the_client(start: Start):
    server = await start(Breaking())
    async with streaming(server, TWO_LOUD) as stream:
        assert (await anext(stream)).delta == "la la la"
        with pytest.raises(openai.APIError, match="error [0-9a-f]{8}") as caught:
            await anext(stream)
    assert caught.value.code == "internal"
    await server.empty()


async def test_a_client_that_leaves_in_the_middle_of_a_stream_frees_its_place_at_once(start: Start):
    halting = Halting()
    server = await start(halting, max_uploads=1)
    try:
        async with streaming(server, TWO_LOUD) as stream:
            await anext(stream)
            await stream.close()
            await server.empty()
            assert not halting.gate.is_set()
    finally:
        halting.gate.set()


async def test_a_client_that_does_not_read_its_stream_is_cut_off(start: Start):
    server = await start(Verbose(), write_timeout_s=0.3)
    body = (
        b'--x\r\nContent-Disposition: form-data; name="stream"\r\n\r\ntrue\r\n'
        b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n' + TWO_LOUD + b"\r\n--x--\r\n"
    )
    head = f"POST /v1/audio/transcriptions HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nContent-Length: {len(body)}\r\n"
    with socket.create_connection(("127.0.0.1", server.port)) as mute:
        mute.sendall(head.encode() + b"Content-Type: multipart/form-data; boundary=x\r\n\r\n" + body)
        await until(lambda: server.counted("earloop_failures_total{code=timed_out}") >= 1)
        await server.empty()


async def test_a_server_that_leaves_does_not_give_half_a_file_for_a_whole_one(start: Start):
    """Its streams are finished where they are: live ones keep what was said, a file must be sent again."""
    halting = Halting()
    server = await start(halting, max_queue_s=2.0)
    long = wav((loud(3) + quiet(3)) * 40)
    try:
        async with streaming(server, long) as stream:
            await anext(stream)
            whole = asyncio.create_task(asked(server, long))
            await until(lambda: server.streams == 2)
            leaving = asyncio.create_task(server.services.engines.drain(PATIENCE_S))
            await until(lambda: not server.services.engines.ready)
            halting.passing = True
            halting.gate.set()
            with pytest.raises(openai.APIError, match="shutting down"):
                _ = [event async for event in stream]
            with pytest.raises(openai.InternalServerError, match="shutting down"):
                await whole
            await leaving
    finally:
        halting.gate.set()


# --------------------------------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"response_format": "diarized_json"}, "response_format"),
        ({"language": "de"}, "language"),
        ({"languages": ["de", "fr"]}, "languages"),
        ({"temperature": 3}, "temperature"),
        ({"timestamp_granularities": ["word"]}, "timestamp_granularities"),
        ({"chunking_strategy": {"type": "server_vad", "silence_duration_ms": 1}}, "chunking_strategy"),
        ({"stream": True, "response_format": "vtt"}, "response_format"),
    ],
)
async def test_an_option_that_cannot_be_is_a_bad_request_that_names_it(real: Server, more, param):
    with pytest.raises(openai.BadRequestError) as caught:
        await asked(real, **more)
    assert (caught.value.param, caught.value.type) == (param, "invalid_request_error")
    await real.empty()


async def test_what_is_no_audio_is_a_bad_request_or_of_a_type_not_understood(real: Server):
    with pytest.raises(openai.BadRequestError) as caught:
        await asked(real, recording("m4a", STOP_LIGHT)[:100], "speech.m4a")
    assert caught.value.code == "bad_audio"
    for stream in (False, True):
        with pytest.raises(openai.APIStatusError) as refused:
            await asked(real, b"hello there, this is no audio", stream=stream)
        assert (refused.value.status_code, refused.value.code) == (415, "unsupported")
    await real.empty()


async def test_a_file_longer_than_allowed_is_refused_while_it_is_decoded(start: Start, tiny: Recognizer):
    server = await start(tiny, max_stream_s=10.0)
    file = recording("webm", silence(60))
    for stream in (False, True):
        with pytest.raises(openai.APIStatusError, match="longer than the 10 s") as caught:
            await asked(server, file, "speech.webm", stream=stream)
        assert caught.value.status_code == 413
    await server.empty()


async def test_a_limit_is_a_rate_limit_error_with_its_retry_after(start: Start):
    with pytest.raises(openai.RateLimitError) as caught:
        await asked(await start(Limited()))
    assert (caught.value.type, caught.value.code) == ("rate_limit_error", "rate_limit_exceeded")
    assert caught.value.response.headers["Retry-After"] == "3600"


async def key(server: Server, *scopes: Scope, **limits: int) -> str:
    """A key of the server, which asks for one from then on."""
    with server.services.store.write() as connection:
        made = keys.create(connection, "a test", scopes, now(), limits=KeyLimits(**limits))
    await server.services.keys.renewed()
    return made


async def test_keys_are_the_packages_own_errors_and_the_right_one_works(real: Server):
    good, nosy = await key(real, Scope.STREAM), await key(real, Scope.MONITOR)
    with pytest.raises(openai.AuthenticationError) as wrong:
        await asked(real)
    assert (wrong.value.type, wrong.value.code) == ("authentication_error", "invalid_api_key")
    with pytest.raises(openai.PermissionDeniedError) as forbidden:
        await asked(real, api_key=nosy)
    assert forbidden.value.type == "permission_error"
    assert (await asked(real, api_key=good)).text == "stop light"


async def test_a_key_that_used_up_its_requests_is_rate_limited(real: Server):
    made = await key(real, Scope.STREAM, requests_per_minute=1)
    assert (await asked(real, api_key=made)).text == "stop light"
    with pytest.raises(openai.RateLimitError) as caught:
        await asked(real, api_key=made, stream=True)
    assert 1 <= int(caught.value.response.headers["Retry-After"]) <= 60


async def test_a_fault_of_ours_is_an_internal_server_error_with_its_id(start: Start):
    with pytest.raises(openai.InternalServerError, match="error [0-9a-f]{8}"):
        await asked(await start(), TWO_LOUD, keywords=["poison"], stream=True)


async def test_a_busy_server_is_an_error_that_the_client_retries_when_told_to(start: Start):
    server = await start(max_uploads=1)
    server.toy.gate.clear()
    first = asyncio.create_task(asked(server, TWO_LOUD))
    await until(lambda: server.streams == 1)
    with pytest.raises(openai.InternalServerError) as caught:
        await asked(server, TWO_LOUD)
    assert (caught.value.status_code, caught.value.type) == (503, "overloaded_error")

    refused = server.counted("earloop_refused_total{reason=full}")
    async with client(server, max_retries=3) as patient:
        second = asyncio.create_task(patient.audio.transcriptions.create(file=("a.wav", TWO_LOUD), model="whisper-1"))
        await until(lambda: server.counted("earloop_refused_total{reason=full}") > refused)
        server.toy.gate.set()
        assert (await first).text == (await second).text == "la la la la la"


@pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")  # by the package: its own method for a dying route
async def test_translations_are_refused_with_what_to_do(real: Server):
    async with client(real) as each:
        with pytest.raises(openai.NotFoundError, match="/v1/audio/transcriptions"):
            await each.audio.translations.create(file=("a.wav", TWO_LOUD), model="whisper-1")


async def test_models_are_listed_and_found_by_name(real: Server):
    async with client(real) as each:
        assert [model.id async for model in each.models.list()] == ["tiny"]
        found = await each.models.retrieve("tiny")
        assert (found.id, found.object, found.owned_by) == ("tiny", "model", "earloop")
        with pytest.raises(openai.NotFoundError, match="there is tiny") as caught:
            await each.models.retrieve("whisper-1")
    assert (caught.value.code, caught.value.param) == ("model_not_found", "model")


# ------------------------------------------------------------------------------------------------------------- hotwords


class Recording(Listener):
    """Remembers what was asked of it."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[Open] = []

    def open(self, options: Open) -> ToyStream:
        self.asked.append(options)
        return super().open(options)


async def test_keywords_and_the_terms_of_a_prompt_reach_the_decoder(start: Start):
    recording_toy = Recording()
    server = await start(recording_toy)
    await asked(server, TWO_LOUD, keywords=["ear", "loop the loop"], prompt="Mycroft, Open Voice OS")
    assert recording_toy.asked[0].hotwords == ("ear", "loop the loop")
    assert recording_toy.asked[0].hints == ("Mycroft", "Open Voice OS")


@pytest.mark.parametrize(("decoder", "ignored"), [("greedy", "prompt, temperature"), ("reference", "temperature")])
async def test_the_answer_says_which_fields_changed_nothing(start: Start, tiny_bundle, decoder, ignored):
    server = await start(Recognizer.load(tiny_bundle, decoder=decoder))
    file = ("speech.wav", recording("wav", STOP_LIGHT))
    async with client(server) as each:
        create: Callable = each.audio.transcriptions.with_raw_response.create
        answer = await create(file=file, model="x", prompt="stop, light", temperature=0.2)
        assert answer.headers["X-Earloop-Ignored"] == ignored
        assert answer.headers["X-Earloop-Model"] == "tiny"
        assert json.loads(answer.text)["text"] == answer.parse().text == "stop light"
        async with each.audio.transcriptions.with_streaming_response.create(file=file, model="x") as streamed:
            assert "X-Earloop-Ignored" not in streamed.headers
            assert (await streamed.parse()).text == "stop light"


async def test_keywords_for_a_decoder_that_takes_none_are_refused(start: Start, tiny_bundle):
    server = await start(Recognizer.load(tiny_bundle, decoder="greedy"))
    with pytest.raises(openai.BadRequestError, match="greedy takes no hotwords"):
        await asked(server, recording("wav", STOP_LIGHT), keywords=["stop"])
