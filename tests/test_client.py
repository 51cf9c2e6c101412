import asyncio
import json
import random
import shutil
import ssl
import threading
from contextlib import asynccontextmanager, suppress
from http import HTTPStatus

import pytest
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Response

from stt_server import client
from stt_server.client import Deadlines, Pong, StreamClient, connect, open_stream, recognize, stream_url
from stt_server.client.dialling import LONGEST_PAUSE_S, pauses
from stt_server.client.unread import EVENTS
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
    Behind,
    Endpointing,
    Failed,
    Final,
    Finish,
    Finished,
    Flush,
    Open,
    Partial,
    Ready,
    SpeechStarted,
    SpeechStopped,
    Word,
)
from stt_server.protocols.codec import Reply
from stt_server.protocols.native import NativeCodec
from tests.web.conftest import until
from tests.web.test_tls import make

SOON = Deadlines(connect_s=0.3, send_s=0.3, finish_s=0.3)
WORDS = (Word("turn", 0.4, 0.61, 0.97), Word("on", 0.7, 0.9, 0.5))
SAID = (
    SpeechStarted(0.4),
    Partial(0, "turn on", 4),
    Behind(740),
    SpeechStopped(0.9),
    Final(0, "turn on", WORDS, 0.4, 0.9, "silence"),
)
LAST = {Flush: Final(1, "", (), 1.0, 1.0, "flush"), Finish: Final(1, "", (), 1.0, 1.0, "finish")}


class Scripted:
    """A server that speaks with the real codec: it says `SAID` at the first audio and remembers what it was told."""

    def __init__(self, *, fails: EarloopError | None = None, silent_at: type | None = None) -> None:
        self.told: list[object] = []
        self.heard = 0
        self.fails = fails
        self.silent_at = silent_at

    async def __call__(self, connection: ServerConnection) -> None:
        with suppress(ConnectionClosed):
            await self._listen(connection, NativeCodec())

    async def _listen(self, connection, codec) -> None:
        async for message in connection:
            try:
                for command in codec.receive(message):
                    await self._obey(connection, codec, command)
            except EarloopError as error:
                await self._say(connection, codec, Failed(error))
                await connection.close(codec.close_code(error))

    async def _obey(self, connection, codec, command) -> None:
        self.told.append(command)
        if isinstance(command, Reply):
            await connection.send(command.message)
        elif self.silent_at and isinstance(command, self.silent_at):
            return
        elif isinstance(command, Open):
            await self._say(connection, codec, Ready("s1", command.model or "first", "en", command.audio))
        elif isinstance(command, Audio):
            self.heard += len(command.data)
            if self.fails:
                raise self.fails
            await self._say(connection, codec, *(SAID if self.heard == len(command.data) else ()))
        elif isinstance(command, Flush | Finish):
            await self._say(connection, codec, LAST[type(command)])
        if isinstance(command, Finish):
            await self._say(connection, codec, Finished(self.heard / 32_000, "first"))
            await connection.close()

    async def _say(self, connection, codec, *events) -> None:
        for event in events:
            for message in codec.send(event):
                await connection.send(message)


@asynccontextmanager
async def serving(handler, **options):
    """The address of a server with that handler."""
    server: Server
    async with serve(handler, "127.0.0.1", 0, **options) as server:
        port = server.sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"


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
        await asyncio.wait_for(left.wait(), 5)


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


# ------------------------------------------------------------------------------------------------ getting there


def full_at_first(times: int, *, status: int = 503, retry_after: str = "0.05"):
    """What refuses so many connections, and the requests it saw."""
    seen: list[object] = []

    def answer(connection: ServerConnection, request) -> Response | None:
        seen.append(request)
        if len(seen) > times:
            return None
        response = connection.respond(HTTPStatus(status), "")
        response.headers["Retry-After"] = retry_after
        return response

    return answer, seen


@pytest.mark.parametrize("status", [503, 429])
async def test_a_full_server_is_asked_again_when_the_client_has_patience(status):
    answer, seen = full_at_first(2, status=status)
    async with serving(Scripted(), process_request=answer) as url, await connect(url, patience_s=10) as stream:
        assert stream.ready.model == "first"
    assert len(seen) == 3


@pytest.mark.parametrize(("patience_s", "retry_after"), [(0.0, "0.05"), (1.0, "60")])
async def test_patience_ends_and_does_not_begin_a_wait_it_cannot_end(patience_s, retry_after):
    answer, seen = full_at_first(99, retry_after=retry_after)
    async with serving(Scripted(), process_request=answer) as url:
        with pytest.raises(Busy) as raised:
            await connect(url, patience_s=patience_s)
    assert raised.value.retry_after_s == float(retry_after)
    assert len(seen) == 1


async def test_patience_waits_for_a_server_that_starts_but_not_for_one_that_refuses(unused_tcp_port):
    connecting = asyncio.create_task(connect(f"127.0.0.1:{unused_tcp_port}", patience_s=10))
    await asyncio.sleep(0)
    async with serve(Scripted(), "127.0.0.1", unused_tcp_port), await connecting as stream:
        assert stream.ready.model == "first"
    answer, seen = full_at_first(9, status=401)
    async with serving(Scripted(), process_request=answer) as url:
        with pytest.raises(Unauthorized):
            await connect(url, patience_s=10)
    assert len(seen) == 1


def test_pauses_grow_to_a_bound_and_differ_between_clients():
    random.seed(1)
    first, second = ([pause for pause, _ in zip(pauses(), range(20), strict=False)] for _ in range(2))
    assert first != second
    assert first[0] < 0.11
    assert all(LONGEST_PAUSE_S / 2 <= pause <= LONGEST_PAUSE_S for pause in first[6:])


async def test_the_key_is_shown_as_a_bearer():
    answer, seen = full_at_first(0)
    async with serving(Scripted(), process_request=answer) as url:
        await (await connect(url, key="el_secret")).close()
    assert seen[0].headers["Authorization"] == "Bearer el_secret"


@pytest.mark.skipif(not shutil.which("openssl"), reason="needs openssl (apt-get install openssl)")
async def test_a_server_with_a_certificate_is_trusted_by_its_authority_only(tmp_path):
    files = make(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files["tls_certificate"], files["tls_key"])
    async with serving(Scripted(), ssl=context) as url:
        address = url.replace("http:", "https:")
        for trusted in (files["tls_certificate"], ssl.create_default_context(cafile=files["tls_certificate"])):
            async with await connect(address, tls=trusted) as stream:
                assert stream.ready.model == "first"
        with pytest.raises(Unavailable, match="no certificate to trust"):
            await connect(address)


@pytest.mark.parametrize("content", [None, "no certificate"])
async def test_a_file_that_is_no_authority_is_refused(tmp_path, content):
    file = tmp_path / "ca.pem"
    if content:
        file.write_text(content)
    with pytest.raises(BadOption, match="no file of certificates"):
        await connect("https://127.0.0.1:1", tls=file)


# ------------------------------------------------------------------------------------------- numbered messages, reading


def numbered(*seqs: int):
    """A server that says finals with these numbers."""

    async def speak(connection: ServerConnection) -> None:
        await connection.recv()
        ready = {"type": "ready", "session": "s", "model": "m", "language": "en", "resume": "s.t", "resume_s": 1}
        await connection.send(json.dumps({**ready, "encoding": "s16le", "sample_rate": 16000, "channels": 1, "seq": 1}))
        for seq in seqs:
            final = json.loads(NativeCodec().send(Final(seq, "", (), 0.0, 0.0, "flush"))[0])
            await connection.send(json.dumps({**final, "seq": seq}))
        await connection.send(json.dumps({"type": "finished", "audio_s": 0, "model": "m", "seq": seqs[-1] + 1}))
        await connection.close()

    return speak


async def test_a_message_that_comes_again_is_told_once():
    async with serving(numbered(2, 3, 2, 3, 4)) as url, await connect(url, Open("native", resumable=True)) as stream:
        assert [event.utterance for event in await all_of(stream) if isinstance(event, Final)] == [2, 3, 4]


async def test_a_number_left_out_is_said_to_be_a_loss():
    async with serving(numbered(2, 4)) as url, await connect(url, Open("native", resumable=True)) as stream:
        with pytest.raises(Internal, match="message 4 after message 2"):
            await all_of(stream)


async def test_events_that_nobody_reads_are_bounded():
    async def chatty(connection: ServerConnection) -> None:
        await connection.recv()
        codec = NativeCodec()
        await connection.send(codec.send(Ready("s1", "first", "en", AudioSpec()))[0])
        with suppress(ConnectionClosed):
            for number in range(2 * EVENTS):
                await connection.send(codec.send(SpeechStarted(number))[0])

    async with serving(chatty) as url, await connect(url) as stream:
        await until(lambda: stream._link.unread.ended)
        events = aiter(stream)
        assert [(await anext(events)).at_s for _ in range(EVENTS)] == list(range(EVENTS))
        with pytest.raises(TimedOut, match="iterate while you send"):
            await anext(events)


async def test_a_reader_who_is_behind_gets_the_newest_partial_and_every_final():
    async def speak(connection: ServerConnection) -> None:
        await connection.recv()
        codec = NativeCodec()
        said = [*(Partial(0, "x" * length) for length in range(9)), LAST[Flush], Partial(1, "y"), LAST[Finish]]
        for event in (Ready("s1", "first", "en", AudioSpec()), *said, Finished(1, "first")):
            await connection.send(codec.send(event)[0])

    async with serving(speak) as url, await connect(url) as stream:
        await until(lambda: stream._link.unread.ended)
        told = await all_of(stream)
    assert told == [Partial(0, "x" * 8), LAST[Flush], Partial(1, "y"), LAST[Finish], Finished(1, "first")]


# ------------------------------------------------------------------------------------------------------- for threads


def test_threads_get_the_errors_and_the_ends_that_tasks_get():
    async def scenario() -> None:
        async with serving(Scripted()) as url:
            await asyncio.to_thread(_whole_stream, url)
        async with serving(Scripted(fails=BadInput("That will not do."))) as url:
            await asyncio.to_thread(_failing_stream, url)

    asyncio.run(scenario())


def _whole_stream(url: str) -> None:
    with open_stream(url) as stream:
        stream.send(bytes(3200))
        stream.ping(7)
        stream.flush()
        stream.finish()
        assert list(stream) == [*SAID, Pong(7), *LAST.values(), Finished(0.1, "first")]
        assert stream.reconnects == 0
    stream.close()
    with pytest.raises(Conflict, match="closed"):
        stream.send(b"x")


def _failing_stream(url: str) -> None:
    with open_stream(url) as stream:
        stream.send(b"x")
        with pytest.raises(BadInput, match="That will not do"):
            list(stream)


def test_a_thread_that_finds_no_server_leaves_none_behind(unused_tcp_port):
    before = threading.active_count()
    with pytest.raises(Unavailable, match="earloop serve"):
        open_stream(f"127.0.0.1:{unused_tcp_port}")
    assert threading.active_count() == before


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
