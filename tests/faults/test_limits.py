"""Clients that never end: they ask nothing, read nothing, or say as little as keeps them alive."""

import asyncio
import json
import signal
import socket as sockets

import pytest
from aiohttp import web

from stt_server.metrics import Metrics
from stt_server.settings import load_settings
from stt_server.web import connections
from tests.engine.toy import loud, quiet
from tests.faults.process import TOY, process
from tests.web.conftest import PATIENCE_S, Server, Start, closed, finals, heard_until, said, until, wav
from tests.web.test_native import _frame, _raw_upgrade

PING = '{"type":"ping"}'


async def drip(writer: asyncio.StreamWriter, data: bytes) -> None:
    """A byte now and then, for ever."""
    while True:
        for byte in data:
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(0.05)


async def is_cut(reader: asyncio.StreamReader) -> bytes:
    """What still came before the connection ended, which it must."""
    try:
        return await asyncio.wait_for(reader.read(), PATIENCE_S)
    except ConnectionError:
        return b""


# ------------------------------------------------------------------------------------------------- asking nothing


@pytest.mark.parametrize("request_begun", [b"", b"GET /v1/stream HTTP/1.1\r\nX-Slow: "], ids=["silent", "slow"])
async def test_who_does_not_ask_in_time_is_cut(start: Start, http, request_begun):
    server: Server = await start(idle_timeout_s=0.5)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(request_begun)
    dripping = asyncio.create_task(drip(writer, b"x")) if request_begun else None
    assert await is_cut(reader) == b""
    if dripping:
        dripping.cancel()
        await asyncio.gather(dripping, return_exceptions=True)
    writer.close()
    async with http.post(f"{server.url}/stt", data=wav()) as answer:
        assert await answer.text() == "la la la"


async def test_who_has_asked_once_may_keep_the_connection_for_the_next_request(start: Start):
    server: Server = await start(idle_timeout_s=0.3)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    for _ in range(2):
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE_S)
        assert head.startswith(b"HTTP/1.1 200 ")
        await reader.readexactly(len(b'{"status": "ok"}'))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(1), 1.0)
    writer.close()


async def test_one_connection_too_many_is_told_so_and_the_rest_go_on(start: Start, http):
    server: Server = await start(max_connections=3)
    async with server.socket() as speaking:
        await speaking.send(loud(3))
        await heard_until(speaking, "partial")
        held = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(2)]
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        answer = await is_cut(reader)
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"Retry-After: 2\r\n" in answer
        assert server.counted("earloop_refused_total{reason=connections}") == 1
        writer.close()
        held[0][1].close()
        async with asyncio.timeout(PATIENCE_S):
            while (await _status(server)) != 200:  # noqa: ASYNC110 - a place is free soon
                await asyncio.sleep(0.01)
        await speaking.send(quiet(3))
        await speaking.send('{"type":"finish"}')
        assert finals(await said(speaking)) == ["la la la"]
        held[1][1].close()


async def _status(server: Server) -> int:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
    head = (await is_cut(reader)).partition(b"\r\n")[0]
    writer.close()
    return int(head.split()[1])


# ------------------------------------------------------------------------------------------------ reading nothing


async def test_who_asks_and_asks_and_never_reads_is_cut(start: Start):
    server: Server = await start(write_timeout_s=0.5)
    _, writer = await asyncio.open_connection("127.0.0.1", server.port)
    with pytest.raises(ConnectionError):
        await asyncio.wait_for(
            _send_for_ever(writer, b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" * 20), PATIENCE_S
        )
    writer.close()


async def test_an_upload_whose_answer_is_never_read_holds_no_place(start: Start, http):
    server: Server = await start(max_uploads=1)
    body = wav()
    _, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"POST /stt HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    await until(lambda: server.counted("earloop_streams_total{protocol=stt}") == 1)
    await server.empty()
    async with http.post(f"{server.url}/stt", data=body) as answer:
        assert await answer.text() == "la la la"
    writer.close()


async def test_a_vosk_client_that_never_reads_is_cut_and_its_place_freed(start: Start):
    server: Server = await start(write_timeout_s=0.5)
    _, writer = await _raw_upgrade(server, "/")
    socket = writer.get_extra_info("socket")
    socket.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, 4096)  # or megabytes of short answers pile up first
    with pytest.raises(ConnectionError):
        await asyncio.wait_for(_send_for_ever(writer, _frame(loud(1), opcode=2) * 50), PATIENCE_S)
    writer.close()
    await server.empty()
    assert server.counted("earloop_failures_total{code=timed_out}") >= 1


async def test_a_connection_that_was_closed_with_an_answer_unread_is_cut():
    """Once aiohttp has closed it, it knows its transport no more, and the transport waits for ever to be read."""

    async def answer_and_close(request: web.Request) -> web.Response:
        assert request.transport is not None
        request.transport.write(bytes(32 << 20))
        request.protocol.force_close()
        return web.Response()

    all_of_them = connections.Connections(load_settings(write_timeout_s=0.5), Metrics())
    app = web.Application(middlewares=[all_of_them.note])
    app.router.add_get("/", answer_and_close)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    server = runner.server
    assert server is not None
    await connections.Site(runner, "127.0.0.1", 0, all_of_them.of(server), None).start()
    async with all_of_them.watched(server):
        _, writer = await asyncio.open_connection(*runner.addresses[0])
        assert isinstance(writer.transport, asyncio.Transport)
        writer.transport.pause_reading()
        writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await until(lambda: len(server.connections) == 1)
        await until(lambda: not server.connections)
        writer.close()
    await runner.cleanup()


async def _send_for_ever(writer: asyncio.StreamWriter, data: bytes) -> None:
    while True:
        writer.write(data)
        await writer.drain()


# ---------------------------------------------------------------------------------------------------- never ending


async def test_a_stream_that_is_only_kept_alive_ends_with_its_last_words(start: Start):
    server: Server = await start(max_session_s=1.0)
    async with server.socket() as socket:
        await socket.send(loud(3))
        pinging = asyncio.create_task(_ping(socket))
        messages = await said(socket)
        pinging.cancel()
        await asyncio.gather(pinging, return_exceptions=True)
        assert finals(messages) == ["la la la"]
        assert [message["type"] for message in messages[-2:]] == ["finished", "error"]
        assert (messages[-1]["code"], "1 s" in messages[-1]["message"]) == ("timed_out", True)
        assert (await closed(socket))[0] == 1008
    await server.empty()


async def test_a_connection_that_never_opens_a_stream_ends_too(start: Start):
    server: Server = await start(max_session_s=0.5)
    async with server.socket() as socket:
        pinging = asyncio.create_task(_ping(socket))
        assert (await said(socket))[-1]["code"] == "timed_out"
        pinging.cancel()
        await asyncio.gather(pinging, return_exceptions=True)


async def _ping(socket) -> None:
    while True:
        await socket.send(PING)
        await asyncio.sleep(0.02)


async def test_an_upload_that_comes_a_byte_at_a_time_is_cut_in_the_end(start: Start, monkeypatch):
    monkeypatch.setattr(connections, "GRACE_S", 0.2)
    server: Server = await start(max_session_s=0.8, max_uploads=1)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"POST /stt HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 9999\r\n\r\n" + wav()[:100])
    dripping = asyncio.create_task(drip(writer, b"x"))
    await is_cut(reader)
    dripping.cancel()
    await asyncio.gather(dripping, return_exceptions=True)
    writer.close()
    await server.empty()


@pytest.mark.parametrize("is_form", [False, True], ids=["stt", "form"])
async def test_an_upload_that_comes_a_byte_at_a_time_is_refused_long_before(start: Start, http, is_form):
    server: Server = await start(idle_timeout_s=0.5, max_uploads=1)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    if is_form:
        head = b"POST /v1/audio/transcriptions HTTP/1.1\r\nContent-Type: multipart/form-data; boundary=x\r\n"
        begun = b'--x\r\nContent-Disposition: form-data; name="file"\r\n\r\n' + wav()[:100]
    else:
        head, begun = b"POST /stt HTTP/1.1\r\n", wav()[:100]
    writer.write(head + b"Host: localhost\r\nContent-Length: 9999\r\n\r\n" + begun)
    dripping = asyncio.create_task(drip(writer, b"x"))
    assert b" 408 " in await asyncio.wait_for(reader.readline(), PATIENCE_S)
    dripping.cancel()
    await asyncio.gather(dripping, return_exceptions=True)
    writer.close()
    async with http.post(f"{server.url}/stt", data=wav()) as answer:
        assert await answer.text() == "la la la"


# ------------------------------------------------------------------------------------------------------- leaving


async def test_a_connection_that_opened_no_stream_does_not_hold_up_the_leaving():
    async with process(module=TOY) as server, server.socket() as idle:
        await idle.send(PING)
        assert json.loads(await idle.recv())["type"] == "pong"
        server.process.send_signal(signal.SIGTERM)
        assert [message["code"] for message in await said(idle)] == ["unavailable"]  # and is not just cut
        assert idle.close_code == 1013
        assert await asyncio.wait_for(server.process.wait(), PATIENCE_S) == 0
