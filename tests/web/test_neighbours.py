"""No stream is disturbed by what another does: a good one runs beside each kind of bad one and hears the same words."""

import asyncio
import json
import struct
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest
from websockets.exceptions import ConnectionClosed

from tests.engine.toy import loud, quiet
from tests.web.conftest import Server, Start, said, wav
from tests.web.test_native import _frame, _raw_upgrade, spoken

SONG = (loud(3) + quiet(3) + loud(5) + quiet(4)) * 4


async def wrong_rate(server: Server) -> None:
    async with server.socket("/v1/stream?sample_rate=100") as socket:
        assert (await said(socket))[0]["code"] == "bad_option"


async def text_for_audio(server: Server) -> None:
    async with server.socket("/") as socket:
        await socket.send("RIFF....WAVE")
        assert await said(socket) == []


async def malformed_json(server: Server) -> None:
    async with server.socket() as socket:
        await socket.send('{"type": "open", ')
        assert (await said(socket))[0]["code"] == "bad_input"


async def not_a_number(server: Server) -> None:
    async with server.socket("/v1/stream?encoding=f32le") as socket:
        await socket.send(struct.pack("<f", float("inf")) * 9000)
        assert (await said(socket))[-1]["code"] == "bad_audio"


async def huge_message(server: Server) -> None:
    async with server.socket() as socket:
        with suppress(ConnectionClosed):
            await socket.send(bytes(3 << 20))
        assert await said(socket) == []


async def abrupt_close(server: Server) -> None:
    async with server.socket() as socket:
        await socket.send(loud(20))
        socket.transport.abort()


async def flood(server: Server) -> None:
    async with server.socket() as socket:
        for _ in range(200):
            await socket.send(quiet(1))
        await socket.send(json.dumps({"type": "finish"}))
        assert (await said(socket))[-1]["type"] == "finished"


async def poisoned_step(server: Server) -> None:
    async with server.socket("/v1/stream?hotwords=poison") as socket:
        await socket.send(loud(3))
        assert (await said(socket))[-1]["code"] == "internal"


async def truncated_wav(server: Server) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"POST /stt HTTP/1.1\r\nHost: localhost\r\nContent-Length: 30\r\n\r\n" + wav()[:30])
    assert (await asyncio.wait_for(reader.readline(), 60)).startswith(b"HTTP/1.1 400")
    writer.close()


async def half_an_upload(server: Server) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"POST /stt HTTP/1.1\r\nHost: localhost\r\nContent-Length: 90000\r\n\r\n" + wav()[:9000])
    await writer.drain()
    writer.transport.abort()


async def unknown_option(server: Server) -> None:
    for path, message in (("/v1/stream?colour=red", None), ("/v1/stream", '{"type":"open","colour":"red"}')):
        async with server.socket(path) as socket:
            if message:
                await socket.send(message)
            assert (await said(socket))[-1]["code"] == "bad_option"


async def body_of_100_mb(server: Server) -> None:
    """Sent in chunks, so that its length is not said before: refused where it passes the bound."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"POST /stt HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
    chunk = wav(quiet(1))[:44] + bytes((1 << 20) - 44)
    with suppress(ConnectionError):
        for _ in range(100):
            writer.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))
            await writer.drain()
    assert (await asyncio.wait_for(reader.readline(), 60)).startswith(b"HTTP/1.1 413")
    writer.close()


async def endless_stream(server: Server) -> None:
    """It reads while it sends: who does neither finds the connection reset, and what was said before it is lost."""

    async def sending() -> None:
        with suppress(ConnectionClosed):
            while True:
                await socket.send(loud(5))

    async with server.socket() as socket, asyncio.TaskGroup() as tasks:
        tasks.create_task(sending())
        assert (await said(socket))[-1]["code"] == "too_large"


async def slow_reader(server: Server) -> None:
    _, writer = await _raw_upgrade(server)
    ping = _frame(json.dumps({"type": "ping", "id": "x" * 60_000}).encode(), opcode=1)
    with suppress(ConnectionError):
        while True:
            writer.write(ping)
            await writer.drain()
    writer.close()
    assert server.counted("earloop_failures_total{code=timed_out}") >= 1


SETTINGS: dict[str, dict[str, object]] = {
    "body_of_100_mb": {"max_body_mb": 64},
    "endless_stream": {"max_stream_s": 20},
    "slow_reader": {"write_timeout_s": 0.5},
}
BAD = [
    unknown_option,
    body_of_100_mb,
    endless_stream,
    slow_reader,
    wrong_rate,
    text_for_audio,
    malformed_json,
    not_a_number,
    huge_message,
    abrupt_close,
    flood,
    poisoned_step,
    truncated_wav,
    half_an_upload,
]


def words(messages: list[dict]) -> list[tuple]:
    """Everything about the finals but the session's name."""
    finals = [message for message in messages if message["type"] == "final"]
    return [(final["text"], final["start"], final["end"], final["reason"], str(final["words"])) for final in finals]


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: bad.__name__)
async def test_a_good_stream_hears_the_same_beside(start: Start, bad: Callable[[Server], Awaitable[None]]):
    server: Server = await start(**SETTINGS.get(bad.__name__, {}))
    alone = words(await spoken(server, SONG))
    good, *_ = await asyncio.gather(spoken(server, SONG), bad(server), bad(server), bad(server))
    assert words(good) == alone
    assert len(alone) == 9
    await server.empty()


async def test_a_slow_upload_does_not_keep_live_streams_waiting(start: Start, http):
    server = await start(max_uploads=2)

    async def trickle():
        for byte in wav()[:200]:
            yield bytes([byte])
            await asyncio.sleep(0)
        await held.wait()
        yield wav()[200:]

    held = asyncio.Event()
    upload = asyncio.create_task(http.post(f"{server.url}/stt", data=trickle()))
    assert len(words(await spoken(server, SONG))) == 9
    held.set()
    async with await upload as answer:
        assert await answer.text() == "la la la"
