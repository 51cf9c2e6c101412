"""Streams that outlive their connections, over real sockets: what is lost, what is said twice, who gets them."""

import asyncio
import json

import pytest
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import InvalidStatus

from stt_server.engine.engines import Engines
from stt_server.engine.limits import Limits
from stt_server.engine.lineup import Lineup
from stt_server.errors import NotFound
from stt_server.messages import Open
from stt_server.metrics import Metrics
from stt_server.protocols.native import NativeCodec
from stt_server.web.parking import Parking, Stream
from tests.engine.toy import Toy, loud, quiet
from tests.web.conftest import SPEECH, Server, Start, closed, finals, heard, heard_until, said, until
from tests.web.test_native import command

RESUMABLE = "/v1/stream?resumable=true"


async def resumed(server: Server, token: str, seq: int = 0) -> tuple[ClientConnection, dict]:
    """A new connection that asked for the stream, and the first thing it was told."""
    socket = await server.socket()
    await socket.send(command("resume", token=token, seq=seq))
    return socket, await heard(socket)


async def broken(server: Server, socket: ClientConnection) -> None:
    """Cut the connection without a goodbye; wait until the server knows."""
    parked = server.counted("earloop_streams_parked_total")
    socket.transport.abort()
    await until(lambda: server.counted("earloop_streams_parked_total") > parked)


async def refused(server: Server, token: str) -> dict:
    socket, answer = await resumed(server, token)
    assert answer["type"] == "error"
    assert (await closed(socket))[0] == 1008
    return answer


async def test_a_stream_goes_on_where_its_connection_broke(server: Server):
    socket = await server.socket(RESUMABLE)
    ready = await heard(socket)
    assert (ready["seq"], ready["resume_s"]) == (1, 10)
    await socket.send(loud(2))
    await heard_until(socket, "partial")
    await broken(server, socket)
    assert server.streams == 1

    socket, answer = await resumed(server, ready["resume"], 1)
    assert answer["type"] == "resumed"
    assert answer["session"] == ready["session"]
    assert answer["received_bytes"] == len(loud(2))
    assert answer["received_commands"] == 0
    await socket.send(loud(1) + quiet(3))
    await socket.send(command("finish"))
    messages = await said(socket)
    assert finals(messages) == ["la la la"]
    assert messages[-1]["audio_s"] == pytest.approx(0.96)
    assert await closed(socket) == (1000, "")
    await server.empty()
    assert server.counted("earloop_streams_resumed_total") == 1


async def test_what_was_said_meanwhile_comes_in_order_and_once(server: Server):
    socket = await server.socket(RESUMABLE)
    ready = await heard(socket)
    await socket.send(SPEECH)
    first = await heard_until(socket, "final")
    server.toy.gate.clear()
    await socket.send(SPEECH + SPEECH)
    await socket.send(command("ping"))
    await heard_until(socket, "pong")  # all has been taken
    await broken(server, socket)
    server.toy.gate.set()

    socket, answer = await resumed(server, ready["resume"], first["seq"])
    assert answer["received_bytes"] == 3 * len(SPEECH)
    await socket.send(command("finish"))
    messages = await said(socket)
    assert finals(messages) == ["la la la", "la la la"]
    numbers = [message["seq"] for message in messages if message["type"] != "partial"]
    assert numbers == list(range(first["seq"] + 1, first["seq"] + 1 + len(numbers)))


async def test_messages_that_the_client_never_read_are_said_again_from_the_number_it_names(server: Server):
    socket = await server.socket(RESUMABLE)
    ready = await heard(socket)
    await socket.send(SPEECH)
    told = [await heard_until(socket, "speech_started"), await heard_until(socket, "final")]
    await broken(server, socket)
    socket, _ = await resumed(server, ready["resume"], 1)
    again = [await heard(socket) for _ in range(3)]
    assert [again[0], again[2]] == told
    await socket.close()


@pytest.mark.parametrize("code", [1000, 1001])
async def test_a_client_that_says_goodbye_leaves_nothing_behind(server: Server, code):
    socket = await server.socket(RESUMABLE)
    ready = await heard(socket)
    await socket.close(code)
    await server.empty()
    assert (await refused(server, ready["resume"]))["code"] == "not_found"
    assert server.counted("earloop_streams_parked_total") == 0


async def test_a_close_that_is_no_goodbye_parks_as_a_broken_connection_does(server: Server):
    socket = await server.socket(RESUMABLE)
    ready = await heard(socket)
    await socket.close(1011, "keepalive ping timeout")
    await until(lambda: server.counted("earloop_streams_parked_total") == 1)
    socket, answer = await resumed(server, ready["resume"], 1)
    assert answer["type"] == "resumed"
    await socket.close()


async def test_a_stream_that_was_not_asked_to_be_resumable_waits_for_nobody(server: Server):
    socket = await server.socket()
    await socket.send(command("open"))
    ready = await heard(socket)
    assert not {"resume", "resume_s", "seq"} & set(ready)
    socket.transport.abort()
    await server.empty()


async def test_resuming_can_be_switched_off(start: Start):
    server = await start(resume_s=0)
    socket = await server.socket(RESUMABLE)
    assert not {"resume", "resume_s", "seq"} & set(await heard(socket))
    socket.transport.abort()
    await server.empty()


async def test_a_parked_stream_that_nobody_comes_for_ends_and_frees_its_place(start: Start):
    server = await start(resume_s=0.2)
    socket = await server.socket(RESUMABLE)
    ready = await heard(socket)
    await broken(server, socket)
    await server.empty()
    assert server.counted("earloop_streams_expired_total") == 1
    assert (await refused(server, ready["resume"]))["field"] == "token"


async def test_the_place_stays_taken_and_only_who_resumes_gets_into_a_full_server(start: Start):
    server = await start(max_streams=1)
    socket = await server.socket(RESUMABLE)
    ready = await heard(socket)
    await broken(server, socket)
    async with server.socket() as other:
        await other.send(loud(1))
        (error,) = await said(other)
        assert error["code"] == "busy"
        assert (await closed(other))[0] == 1013
    socket, answer = await resumed(server, ready["resume"], 1)
    assert answer["type"] == "resumed"
    await socket.send(SPEECH)
    await socket.send(command("finish"))
    assert finals(await said(socket)) == ["la la la"]
    await server.empty()


async def test_where_no_stream_can_be_resumed_a_full_server_refuses_before_the_upgrade(start: Start):
    server = await start(max_streams=1)
    async with server.socket():
        with pytest.raises(InvalidStatus) as refusal:
            await server.socket()
        assert refusal.value.response.status_code == 503


async def test_a_connection_that_only_seems_alive_is_cut_for_the_one_that_resumes(server: Server):
    old = await server.socket(RESUMABLE)
    ready = await heard(old)
    await old.send(loud(2))
    await heard_until(old, "partial")

    new, answer = await resumed(server, ready["resume"], 1)
    assert answer["received_bytes"] == len(loud(2))
    assert (await closed(old))[0] == 1006
    assert server.streams == 1
    await new.send(loud(1) + quiet(3))
    await new.send(command("finish"))
    assert finals(await said(new)) == ["la la la"]
    assert server.counted("earloop_streams_parked_total") == 0
    await server.empty()


async def test_of_many_who_resume_at_once_the_last_has_the_stream_and_no_audio_is_heard_twice(server: Server):
    socket = await server.socket(RESUMABLE)
    ready = await heard(socket)
    token, sent = ready["resume"], 0
    for _ in range(5):
        await socket.send(loud(1))
        sent += len(loud(1))
        await socket.send(command("ping"))
        await heard_until(socket, "pong")
        socket, answer = await resumed(server, token, 1)
        token = answer["resume"]
        assert answer["received_bytes"] == sent
    await socket.send(quiet(3))
    await socket.send(command("finish"))
    assert finals(await said(socket)) == ["la la la la la"]
    await server.empty()


async def test_a_token_is_used_up_once_the_client_goes_on_and_good_until_then(server: Server):
    socket = await server.socket(RESUMABLE)
    token = (await heard(socket))["resume"]
    await broken(server, socket)
    socket, lost = await resumed(server, token, 1)
    await broken(server, socket)  # `resumed` never arrived, let us say
    socket, answer = await resumed(server, token, 1)
    assert len({token, lost["resume"], answer["resume"]}) == 3
    await socket.send(loud(1))
    await heard_until(socket, "partial")
    for old in (token, lost["resume"]):
        assert (await refused(server, old))["code"] == "not_found"
    await socket.send(command("finish"))
    assert finals(await said(socket)) == ["la"]


@pytest.mark.parametrize("token", ["", ".", "no such", "x.y", "\u00e9\ud800", "s" * 10_000])
async def test_an_unknown_token_is_not_found(server: Server, token):
    assert (await refused(server, token))["code"] == "not_found"


async def test_the_name_of_a_session_alone_resumes_nothing(server: Server):
    async with server.socket(RESUMABLE) as socket:
        ready = await heard(socket)
        for guess in (ready["session"], f"{ready['session']}.", ready["resume"][:-1]):
            assert (await refused(server, guess))["code"] == "not_found"
        await socket.send(SPEECH)
        assert (await heard_until(socket, "final"))["text"] == "la la la"


async def test_more_than_is_kept_ends_the_stream_with_an_error_that_says_so(server: Server):
    socket = await server.socket(RESUMABLE)
    ready = await heard(socket)
    server.toy.gate.clear()
    for _ in range(600):
        await socket.send(command("flush"))
    await socket.send(command("ping"))
    await heard_until(socket, "pong")
    await broken(server, socket)
    server.toy.gate.set()
    await until(lambda: server.counted("earloop_utterances_total") == 600)
    socket, error = await resumed(server, ready["resume"], 1)
    assert (error["code"], error["field"]) == ("not_found", "seq")
    await closed(socket)
    await server.empty()


async def test_a_number_that_was_never_said_is_an_error(server: Server):
    socket = await server.socket(RESUMABLE)
    ready = await heard(socket)
    await broken(server, socket)
    _, error = await resumed(server, ready["resume"], 2)
    assert (error["code"], error["field"]) == ("not_found", "seq")
    await server.empty()


async def test_the_end_is_said_again_to_a_client_that_did_not_get_it(server: Server):
    socket = await server.socket(RESUMABLE)
    ready = await heard(socket)
    server.toy.gate.clear()
    await socket.send(SPEECH)
    await socket.send(command("finish"))
    await socket.send(command("ping"))
    await heard_until(socket, "pong")
    await broken(server, socket)
    server.toy.gate.set()
    await server.empty()

    socket, answer = await resumed(server, ready["resume"], 1)
    assert answer["received_commands"] == 1
    messages = await said(socket)
    assert finals(messages) == ["la la la"]
    assert messages[-1]["type"] == "finished"
    assert await closed(socket) == (1000, "")
    assert (await refused(server, answer["resume"]))["code"] == "not_found"


async def test_a_stream_that_failed_while_it_was_parked_says_so(server: Server):
    socket = await server.socket(RESUMABLE)
    ready = await heard(socket)
    server.toy.gate.clear()
    await socket.send(SPEECH + b"BAD!" + SPEECH)
    await socket.send(command("ping"))
    await heard_until(socket, "pong")
    await broken(server, socket)
    server.toy.gate.set()
    await server.empty()
    socket, answer = await resumed(server, ready["resume"], 1)
    assert answer["type"] == "resumed"
    assert (await said(socket))[-1]["code"] == "bad_audio"
    await server.empty()


async def test_an_error_ends_a_stream_for_good(server: Server):
    socket = await server.socket(RESUMABLE)
    ready = await heard(socket)
    await socket.send(command("levitate"))
    await said(socket)
    await server.empty()
    assert (await refused(server, ready["resume"]))["code"] == "not_found"


async def test_the_neglected_reader_s_deadline_does_not_end_a_parked_stream(start: Start):
    server = await start(write_timeout_s=0.5, idle_timeout_s=1.0)
    socket = await server.socket(RESUMABLE)
    ready = await heard(socket)
    await socket.send(SPEECH)
    await broken(server, socket)
    patience = asyncio.get_running_loop().time() + 1.3
    await until(lambda: asyncio.get_running_loop().time() > patience)
    socket, answer = await resumed(server, ready["resume"], 1)
    assert answer["type"] == "resumed"
    await socket.send(command("finish"))
    assert finals(await said(socket)) == ["la la la"]


async def test_draining_finishes_a_parked_stream_waits_for_nobody_and_still_hands_over_its_words(server: Server):
    socket = await server.socket(RESUMABLE)
    ready = await heard(socket)
    await socket.send(loud(2))
    await heard_until(socket, "partial")
    await broken(server, socket)
    async with asyncio.timeout(60):
        await server.services.engines.drain(300)
    socket, _ = await resumed(server, ready["resume"], 1)
    assert finals(await said(socket)) == ["la la"]
    await closed(socket)
    with pytest.raises(InvalidStatus) as refusal:
        await server.socket()
    assert refusal.value.response.status_code == 503


async def test_the_stream_of_somebody_else_is_not_found():
    parking = Parking(10, 4, Metrics())
    engines = Engines(Lineup.of(Toy()), Limits(), Metrics())
    engines.start()
    first, second = Dead(), Dead()
    stream = Stream(NativeCodec(), "ann", first, engines.open(Open("native", resumable=True)))
    parking.enlist(stream)
    with pytest.raises(NotFound):
        parking.take(stream.token, "bob", second)
    assert stream.line is first
    assert not first.was_cut
    assert parking.take(stream.token, "ann", second) is stream
    assert first.was_cut
    parking.drop(stream, second)
    engines.close()


class Dead:
    """A line that only remembers that it was cut."""

    was_cut = False

    def cut(self) -> None:
        self.was_cut = True

    def dismiss(self) -> None:
        raise AssertionError("it has a stream")


async def test_ping_is_answered_before_a_stream_is_resumed_and_opening_after_it_is_a_conflict(server: Server):
    socket = await server.socket(RESUMABLE)
    ready = await heard(socket)
    await broken(server, socket)
    socket = await server.socket()
    await socket.send(command("ping", id=1))
    assert (await heard(socket))["type"] == "pong"
    await socket.send(command("resume", token=ready["resume"], seq=1))
    assert (await heard(socket))["type"] == "resumed"
    await socket.send(json.dumps({"type": "open"}))
    assert (await said(socket))[-1]["code"] == "conflict"
    await server.empty()
