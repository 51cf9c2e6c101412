import asyncio
import json
import subprocess
import sys
from http import HTTPStatus

import pytest
from websockets.asyncio.server import ServerConnection
from websockets.http11 import Response

from stt_server import client
from stt_server.client import Pong, StreamClient, connect, recognize, stream_url
from stt_server.errors import (
    BadInput,
    BadOption,
    Busy,
    Conflict,
    EarloopError,
    Forbidden,
    Internal,
    LimitReached,
    NotFound,
    TimedOut,
    TooLarge,
    Unauthorized,
    Unavailable,
)
from stt_server.messages import (
    Audio,
    AudioSpec,
    Endpointing,
    Finish,
    Finished,
    Flush,
    Grammar,
    Open,
    Ready,
)
from stt_server.protocols.native import NativeCodec
from tests.client.scripted import LAST, SAID, SOON, WORDS, Scripted, serving


async def all_of(stream: StreamClient) -> list[object]:
    return [event async for event in stream]


async def flood(stream: StreamClient) -> None:
    for _ in range(100):
        await stream.send(bytes(1 << 19))


async def finished_at_once(url: str) -> None:
    async with await connect(url, deadlines=SOON) as stream:
        await stream.finish()
        await all_of(stream)


async def test_every_event_of_a_stream_arrives_as_the_server_said_it():
    async with serving(Scripted()) as url, await connect(url) as stream:
        assert stream.ready == Ready("s1", "first", "en", AudioSpec())
        await stream.send(bytes(3200))
        await stream.flush()
        await stream.finish()
        assert await all_of(stream) == [*SAID, *LAST.values(), Finished(0.1, "first")]


async def test_all_options_reach_the_server():
    options = Open(
        "native",
        AudioSpec("mulaw", 8000, 2),
        model="first",
        language="en",
        decoder="greedy",
        hotwords=("earloop", "lights"),
        boosts=(("earloop", 8.5),),
        grammar=Grammar(("turn on", "[unk]"), literal=True),
        lm="home",
        beam=20,
        partials=False,
        endpointing=Endpointing(enabled=False, silence_ms=300, min_utterance_ms=50, max_utterance_ms=9000),
    )
    server = Scripted()
    async with serving(server) as url, await connect(url, options) as stream:
        await stream.finish()
        await all_of(stream)
    assert server.told == [options, Finish()]


async def test_the_audio_arrives_as_it_was_cut():
    server = Scripted()
    async with serving(server) as url, await connect(url) as stream:
        for cut in (b"a", b"bcd", b"ef"):
            await stream.send(cut)
        await stream.finish()
        await all_of(stream)
    assert [command.data for command in server.told if isinstance(command, Audio)] == [b"a", b"bcd", b"ef"]


async def test_a_ping_is_answered_with_its_id():
    async with serving(Scripted()) as url, await connect(url) as stream:
        await stream.ping(["any", 1])
        assert await anext(aiter(stream)) == Pong(["any", 1])


def test_recognize_gathers_the_finals_without_an_event_loop_of_the_caller(tmp_path):
    async def scenario() -> None:
        async with serving(Scripted()) as url:
            transcript = await asyncio.to_thread(recognize, url, [bytes(1600), bytes(1600)])
        assert (transcript.text, transcript.words, transcript.audio_s) == ("turn on", WORDS, 0.1)

    asyncio.run(scenario())


@pytest.mark.parametrize("kind", [BadInput, TooLarge, Unavailable, Internal, Conflict, EarloopError])
async def test_an_error_of_the_server_is_raised_as_its_kind(kind):
    async with serving(Scripted(fails=kind("That will not do."))) as url, await connect(url) as stream:
        await stream.send(b"x")
        with pytest.raises(kind, match="That will not do") as raised:
            await all_of(stream)
        assert type(raised.value) is kind


def test_a_code_means_the_same_kind_whatever_else_of_the_server_the_process_has_loaded():
    code = "import stt_server.protocols.openai.realtime; from stt_server.client import wire; print(wire._KINDS)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert "'bad_input': <class 'stt_server.errors.BadInput'>" in done.stdout


async def test_an_option_the_server_refuses_is_raised_by_connect_and_names_its_field():
    async def refuse(connection: ServerConnection) -> None:
        await connection.recv()
        error = BadOption("No such rate.", field="sample_rate")
        await connection.send(NativeCodec().render_error(error)[0])

    async with serving(refuse) as url:
        with pytest.raises(BadOption, match="No such rate") as raised:
            await connect(url)
    assert raised.value.field == "sample_rate"


@pytest.mark.parametrize(
    ("status", "headers", "body", "kind", "sentence"),
    [
        (
            503,
            {"Retry-After": "7"},
            {"error": {"code": "busy", "message": "All 64 streams are taken."}},
            Busy,
            "All 64",
        ),
        (503, {}, "plain text", Busy, "HTTP 503"),
        (503, {}, {"error": {"code": "unavailable", "message": "Shutting down."}}, Unavailable, "Shutting down"),
        (404, {}, "", NotFound, "HTTP 404"),
        (401, {}, ["odd"], Unauthorized, "HTTP 401"),
        (403, {}, {"error": {"code": "forbidden", "message": "Not you."}}, Forbidden, "Not you"),
        (429, {"Retry-After": "30"}, "", LimitReached, "HTTP 429"),
        (418, {}, "", BadInput, "HTTP 418"),
    ],
)
async def test_a_refusal_before_the_upgrade_is_raised_as_its_kind(status, headers, body, kind, sentence):
    def refuse(connection: ServerConnection, request) -> Response:
        response = connection.respond(HTTPStatus(status), body if isinstance(body, str) else json.dumps(body))
        for name, value in headers.items():
            response.headers[name] = value
        return response

    async with serving(Scripted(), process_request=refuse) as url:
        with pytest.raises(kind, match=sentence) as raised:
            await connect(url)
    if isinstance(raised.value, Busy | LimitReached):
        assert raised.value.retry_after_s == float(headers.get("Retry-After", 1))


async def test_where_no_server_listens_the_error_says_how_to_start_one(unused_tcp_port):
    with pytest.raises(Unavailable, match="earloop serve"):
        await connect(f"http://127.0.0.1:{unused_tcp_port}")


async def test_a_server_that_answers_no_upgrade_is_given_up():
    left = asyncio.Event()

    async def mute(reader, writer) -> None:
        await reader.read()
        writer.close()
        await writer.wait_closed()
        left.set()

    server = await asyncio.start_server(mute, "127.0.0.1", 0)
    async with server:
        with pytest.raises(TimedOut, match="did not answer"):
            await connect(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", deadlines=SOON)
        await asyncio.wait_for(left.wait(), 60)


@pytest.mark.parametrize(("silent_at", "sentence"), [(Open, "opened no stream"), (Finish, "No answer")])
async def test_a_server_that_falls_silent_is_given_up(silent_at, sentence):
    async with serving(Scripted(silent_at=silent_at)) as url:
        with pytest.raises(TimedOut, match=sentence):
            await finished_at_once(url)


async def test_finishing_puts_a_deadline_on_a_read_that_waits_already():
    async with serving(Scripted(silent_at=Finish)) as url, await connect(url, deadlines=SOON) as stream:
        reading = asyncio.create_task(all_of(stream))
        await asyncio.sleep(0)
        await stream.finish()
        with pytest.raises(TimedOut, match="No answer"):
            await reading


async def test_a_server_that_reads_nothing_is_given_up():
    stop = asyncio.Event()

    async def deaf(connection: ServerConnection) -> None:
        await connection.recv()
        await connection.send(NativeCodec().send(Ready("s1", "first", "en", AudioSpec()))[0])
        await stop.wait()

    async with serving(deaf, max_queue=1, close_timeout=0.2) as url, await connect(url, deadlines=SOON) as stream:
        with pytest.raises(TimedOut, match="took no audio"):
            await flood(stream)
        stop.set()


async def test_a_connection_that_ends_early_is_no_finished_stream():
    async def leave(connection: ServerConnection) -> None:
        await connection.recv()
        await connection.send(NativeCodec().send(Ready("s1", "first", "en", AudioSpec()))[0])
        await connection.close(1013, "restarting")

    async with serving(leave) as url, await connect(url) as stream:
        with pytest.raises(Unavailable, match="1013.*restarting"):
            await all_of(stream)
        await stream.send(b"nobody")  # the reader has said why


async def test_a_conversation_sends_audio_and_flushes_while_it_yields_events():
    async def said():
        yield bytes(3200)
        yield Flush()
        yield bytes(3200)

    server = Scripted()
    async with serving(server) as url, await connect(url) as stream:
        events = [event async for event in stream.converse(said())]
    assert events == [*SAID, *LAST.values(), Finished(0.2, "first")]
    assert [type(command) for command in server.told] == [Open, Audio, Flush, Audio, Finish]


async def test_a_fault_of_the_speaker_ends_the_conversation_and_is_raised():
    async def broken():
        yield bytes(3200)
        raise Unavailable("The microphone was unplugged.")

    async with serving(Scripted()) as url, await connect(url) as stream:
        with pytest.raises(Unavailable, match="unplugged"):
            [event async for event in stream.converse(broken())]


async def test_a_fault_of_the_server_ends_a_speaker_who_waits():
    async def waits():
        yield b"x"
        await asyncio.Event().wait()

    async with serving(Scripted(fails=Internal("Broken."))) as url, await connect(url) as stream:
        with pytest.raises(Internal, match="Broken"):
            [event async for event in stream.converse(waits())]


@pytest.mark.parametrize("message", ["hello", "[]", '{"type":"final"}', '{"type":"error"}', b"\xff\x00"])
def test_a_message_outside_the_protocol_is_an_error(message):
    with pytest.raises(Internal, match="not of Earloop's"):
        client.parse(message)


def test_a_message_of_a_type_from_the_future_is_passed_over():
    assert client.parse('{"type":"mood","value":"good"}') is None


@pytest.mark.parametrize(
    ("given", "address"),
    [
        ("127.0.0.1:2700", "ws://127.0.0.1:2700/v1/stream"),
        ("http://box:2700/", "ws://box:2700/v1/stream"),
        ("https://box/ears/v1/stream?x=1", "wss://box/ears/v1/stream?x=1"),
        ("ws://[::1]:2700", "ws://[::1]:2700/v1/stream"),
    ],
)
def test_a_server_may_be_named_in_any_usual_way(given, address):
    assert stream_url(given) == address


@pytest.mark.parametrize("given", ["", "ftp://box", "http://", "http://box:port", "http://box:99999"])
def test_what_is_no_address_is_refused(given):
    with pytest.raises(BadOption, match="is no address"):
        stream_url(given)
