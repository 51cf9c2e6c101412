"""The native protocol over real sockets, with the `websockets` client."""

import asyncio
import json
import socket as sockets
import struct

import pytest
from websockets.exceptions import ConnectionClosedOK, InvalidStatus

from tests.engine.toy import loud, quiet
from tests.web.conftest import SPEECH, Server, Start, closed, finals, heard, heard_until, said


def command(kind: str, **fields) -> str:
    return json.dumps({"type": kind, **fields})


async def spoken(server: Server, pcm: bytes = SPEECH, query: str = "") -> list[dict]:
    """All a well-behaved stream is told."""
    async with server.socket(f"/v1/stream{query}") as socket:
        for at in range(0, len(pcm), 3201):  # cut in the middle of samples
            await socket.send(pcm[at : at + 3201])
        await socket.send(command("finish"))
        return await said(socket)


async def test_a_stream_gets_ready_partials_finals_and_a_normal_close(server: Server):
    async with server.socket() as socket:
        await socket.send(command("open", sample_rate=16000))
        ready = await heard(socket)
        assert (ready["type"], ready["model"], ready["sample_rate"]) == ("ready", "toy", 16000)
        assert ready["version"] == "toy 1"
        await socket.send(SPEECH)
        assert (await heard_until(socket, "speech_started"))["at"] >= 0
        assert (await heard_until(socket, "partial"))["text"].startswith("la")
        final = await heard_until(socket, "final")
        assert (final["text"], final["reason"], final["utterance"]) == ("la la la", "silence", 0)
        await socket.send(command("finish"))
        last = await said(socket)
        assert [message["type"] for message in last] == ["final", "finished"]
        assert last[-1]["audio_s"] == pytest.approx(0.96)
        assert await closed(socket) == (1000, "")
    await server.empty()


async def test_audio_without_options_takes_the_defaults(server: Server):
    messages = await spoken(server)
    assert messages[0]["type"] == "ready"
    assert finals(messages) == ["la la la"]


async def test_options_in_the_query_open_the_stream_before_anything_is_sent(server: Server):
    async with server.socket("/v1/stream?encoding=mulaw&sample_rate=8000&partials=false") as socket:
        ready = await heard(socket)
        assert (ready["encoding"], ready["sample_rate"]) == ("mulaw", 8000)


async def test_a_flush_ends_the_utterance_and_the_stream_goes_on(server: Server):
    async with server.socket() as socket:
        for _ in range(2):
            await socket.send(loud(2))
            await socket.send(command("flush"))
            final = await heard_until(socket, "final")
            assert (final["text"], final["reason"]) == ("la la", "flush")


async def test_a_ping_is_answered_before_the_stream_is_open_and_after_it_was_finished(server: Server):
    async with server.socket() as socket:
        await socket.send(command("ping", id=1))
        assert await heard(socket) == {"type": "pong", "id": 1}
        server.toy.gate.clear()
        await socket.send(SPEECH)
        await socket.send(command("finish"))
        await socket.send(command("ping", id=[2]))
        assert await heard_until(socket, "pong") == {"type": "pong", "id": [2]}
        server.toy.gate.set()
        assert (await said(socket))[-1]["type"] == "finished"


@pytest.mark.parametrize(
    ("first", "code", "field"),
    [
        ("{", "bad_input", None),
        ('{"type":"open","colour":"red"}', "bad_option", "colour"),
        ('{"type":"open","sample_rate":4000}', "bad_option", "sample_rate"),
        ('{"type":"open","sample_rate":44100.5}', "bad_option", "sample_rate"),
        ('{"type":"open","channels":0}', "bad_option", "channels"),
        ('{"type":"open","model":"whisper-1"}', "bad_option", "model"),
        ('{"type":"open","decoder":"magic"}', "bad_option", "decoder"),
        ('{"type":"levitate"}', "bad_input", "type"),
        ("[" * 100_000, "bad_input", None),
    ],
)
async def test_what_a_client_does_wrong_is_told_by_its_type_and_closes_with_1008(server: Server, first, code, field):
    async with server.socket() as socket:
        await socket.send(first)
        (error,) = await said(socket)
        assert (error["type"], error["code"], error.get("field")) == ("error", code, field)
        close_code, reason = await closed(socket)
        assert close_code == 1008
        assert reason.startswith(f"{code}: ")
    assert server.counted(f"earloop_failures_total{{code={code}}}") == 1
    await server.empty()


async def test_an_unknown_option_in_the_query_is_told_at_once(server: Server):
    async with server.socket("/v1/stream?samplerate=8000") as socket:
        (error,) = await said(socket)
        assert (error["code"], error["field"]) == ("bad_option", "samplerate")


async def test_samples_that_cannot_be_are_bad_audio(server: Server):
    async with server.socket("/v1/stream?encoding=f32le") as socket:
        await socket.send(struct.pack("<4f", 0.0, float("nan"), 0.0, 0.0) * 2000)
        assert (await said(socket))[-1]["code"] == "bad_audio"
        assert (await closed(socket))[0] == 1008


async def test_a_message_of_a_mebibyte_is_taken_and_a_longer_one_closes_with_1009(server: Server):
    async with server.socket() as socket:
        await socket.send(bytes(1 << 20))
        assert (await heard(socket))["type"] == "ready"
        await socket.send(bytes((1 << 20) + 1))
        await said(socket)
        assert (await closed(socket))[0] == 1009
    await server.empty()
    assert server.counted("earloop_failures_total{code=too_large}") == 1


async def test_a_silent_connection_is_closed_and_told_why(start: Start):
    server = await start(idle_timeout_s=0.2)
    async with server.socket() as socket:
        (error,) = await said(socket)
        assert error["code"] == "timed_out"
        assert (await closed(socket))[0] == 1008
    await server.empty()


async def test_an_endless_stream_gets_its_finals_and_then_the_error(start: Start):
    server = await start(max_stream_s=1.0)
    async with server.socket() as socket:
        await socket.send(SPEECH)
        sending = asyncio.create_task(_send_for_ever(socket))
        messages = await said(socket)
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        assert finals(messages) == ["la la la"]
        assert [message["type"] for message in messages[-2:]] == ["finished", "error"]
        assert messages[-1]["code"] == "too_large"
        assert (await closed(socket))[0] == 1009
    await server.empty()


async def _send_for_ever(socket) -> None:
    while True:
        await socket.send(quiet(0.5))
        await asyncio.sleep(0)


async def test_a_client_that_never_reads_is_cut_off_and_its_place_freed(start: Start):
    server = await start(write_timeout_s=0.3)
    _, writer = await _raw_upgrade(server)
    writer.write(_frame(quiet(1), opcode=2))
    with pytest.raises(ConnectionError):
        await asyncio.wait_for(_ping_for_ever(writer), 60)
    writer.close()
    await server.empty()
    assert server.counted("earloop_failures_total{code=timed_out}") >= 1


async def _ping_for_ever(writer: asyncio.StreamWriter) -> None:
    """The answers pile up in the buffers between us until the server cannot write."""
    ping = _frame(command("ping", id="x" * 60_000).encode(), opcode=1)
    while True:
        writer.write(ping)
        await writer.drain()


async def test_an_abrupt_close_frees_the_place_at_once(start: Start):
    server = await start(max_streams=1)
    for _ in range(3):
        reader, writer = await _raw_upgrade(server)
        writer.write(_frame(loud(2), opcode=2))
        assert await reader.readexactly(2)  # `ready`: the stream is open
        assert server.streams == 1
        writer.get_extra_info("socket").setsockopt(sockets.SOL_SOCKET, sockets.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()  # a reset instead of a goodbye
        await server.empty()


async def test_a_client_that_leaves_without_finishing_is_no_error(server: Server, caplog):
    async with server.socket() as socket:
        await socket.send(loud(2))
        await heard_until(socket, "partial")
    await server.empty()
    assert [record for record in caplog.records if record.levelname in {"ERROR", "WARNING"}] == []


async def test_a_full_server_refuses_before_the_upgrade_and_says_when_to_come_back(start: Start):
    server = await start(max_streams=1)
    async with server.socket():
        with pytest.raises(InvalidStatus) as refused:
            await server.socket()
        response = refused.value.response
        assert response.status_code == 503
        assert int(response.headers["Retry-After"]) >= 1
        assert json.loads(response.body)["error"]["code"] == "busy"
        assert response.headers["Content-Type"].startswith("application/json")
    await asyncio.sleep(0)
    assert server.counted("earloop_refused_total{reason=full}") == 1


async def test_a_place_that_was_left_can_be_taken_again(start: Start):
    server = await start(max_streams=1)
    for _ in range(3):
        assert finals(await spoken(server)) == ["la la la"]
        await server.empty()


async def test_draining_lets_an_open_stream_say_its_finals_and_refuses_new_ones(server: Server):
    async with server.socket() as socket:
        await socket.send(loud(2))
        await heard_until(socket, "partial")
        draining = asyncio.create_task(server.services.engines.drain(10))
        messages = await said(socket)
        assert finals(messages) == ["la la"]
        assert messages[-1]["type"] == "finished"
        await draining
    with pytest.raises(InvalidStatus) as refused:
        await server.socket()
    assert refused.value.response.status_code == 503
    assert json.loads(refused.value.response.body)["error"]["code"] == "unavailable"


async def test_a_stream_whose_step_fails_is_told_an_id_and_its_neighbour_goes_on(server: Server, caplog):
    async with server.socket("/v1/stream?hotwords=poison") as poison:
        good = asyncio.create_task(spoken(server))
        await poison.send(loud(2))
        error = (await said(poison))[-1]
        assert (error["code"], (await closed(poison))[0]) == ("internal", 1011)
        assert finals(await good) == ["la la la"]
    assert "RuntimeError: poison" in caplog.text


async def test_a_plain_get_of_the_stream_is_told_to_upgrade(server: Server, http):
    async with http.get(f"{server.url}/v1/stream") as answer:
        assert answer.status == 400
        assert (await answer.json())["error"]["code"] == "bad_input"


async def test_after_the_end_nothing_more_can_be_sent(server: Server):
    async with server.socket() as socket:
        await socket.send(command("finish"))
        await said(socket)
        with pytest.raises(ConnectionClosedOK):
            await socket.send(b"")


# ------------------------------------------------------------------------------- raw sockets, for what no client does


async def _raw_upgrade(server: Server, path: str = "/v1/stream"):
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(
        f"GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    head = await reader.readuntil(b"\r\n\r\n")
    assert b"101" in head.split(b"\r\n")[0]
    return reader, writer


def _frame(payload: bytes, *, opcode: int) -> bytes:
    """A client's frame, masked with zeros."""
    length = len(payload)
    size = bytes([0x80 | length]) if length < 126 else b"\xfe" + struct.pack(">H", length)
    return bytes([0x80 | opcode]) + size + bytes(4) + payload
