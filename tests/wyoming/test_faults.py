"""What is refused, bounded and cut off."""

import asyncio
import json

import pytest
from wyoming.asr import Transcribe
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.info import Describe
from wyoming.ping import Ping

from tests.engine.toy import loud
from tests.web.listener import Broken
from tests.wyoming.conftest import PATIENCE_S, SAID, SPEECH, until


async def ends(served, sent: bytes) -> dict:
    """What is answered to these bytes before the server closes."""
    reader, writer = await served.socket()
    writer.write(sent)
    async with asyncio.timeout(PATIENCE_S):
        answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return json.loads(answer.partition(b"\n")[2])


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (b"POST / HTTP/1.1\r\nHost: 127.0.0.1:10300\r\n\r\n", "bad_input"),  # a browser that was told to
        (b"{}\n", "bad_input"),
        (b'{"type":"a","data_length":3}\nabc', "bad_input"),
        (b"x" * 70_000, "too_large"),
        (b'{"type":"audio-chunk","payload_length":99999999}\n', "too_large"),
        (b'{"type":"transcribe","data":{"vad_sensitivity":"asleep"}}\n', "bad_option"),
        (b'{"type":"audio-start","data":{"rate":16000,"width":1,"channels":1}}\n', "unsupported"),
        (
            b'{"type":"audio-chunk","data":{"rate":100,"width":2,"channels":1},"payload_length":2}\n\x00\x00',
            "bad_option",
        ),
    ],
)
async def test_a_fault_is_an_error_then_the_end(start, sent, code):
    served = await start()
    assert (await ends(served, sent))["code"] == code
    await until(lambda: served.counted("earloop_failures_total", code=code) == 1)
    await served.empty()


async def test_a_model_that_is_not_there_is_an_error(start):
    served = await start()
    async with served.client() as client:
        await client.send(Transcribe(name="nothing"))
        await client.speak(loud(1))
        assert await client.fault() == "bad_option"


async def test_when_all_streams_are_taken_the_next_is_told_so_and_may_come_again(start):
    served = await start(max_streams=1)
    async with served.client() as first, served.client() as second:
        await first.speak(loud(2))
        await until(lambda: served.services.engines.open_streams == 1)
        await second.speak(loud(2))
        assert await second.fault() == "busy"
        await first.send(AudioStop())
        assert await first.transcript() == "la la"
        async with served.client() as third:
            assert await third.request(loud(2)) == "la la"


async def test_an_error_arrives_at_a_client_that_writes_all_before_it_reads(start):
    served = await start(max_streams=1)
    async with served.client() as first, served.client() as second:
        await first.speak(loud(2))
        await until(lambda: served.services.engines.open_streams == 1)
        await second.speak(loud(100))
        await second.send(AudioStop())
        assert await second.fault() == "busy"


async def test_one_connection_too_many_is_told_so(start):
    served = await start(max_connections=1)
    async with served.client() as first, served.client() as second:
        await first.send(Ping("a"))
        await first.until("pong")
        assert await second.fault() == "busy"
        assert served.counted("earloop_refused_total", reason="connections") == 1


async def test_a_client_that_says_nothing_is_told_and_left(start):
    served = await start(idle_timeout_s=0.2)
    async with served.client() as client:
        assert await client.fault() == "timed_out"


async def test_a_connection_has_an_end(start):
    served = await start(max_session_s=0.2)
    async with served.client() as client:
        assert await client.fault() == "timed_out"


async def test_a_client_that_reads_nothing_is_cut_off(start):
    served = await start(write_timeout_s=0.2)
    _, writer = await served.socket()
    writer.transport.set_write_buffer_limits(high=1 << 30)
    writer.write(b'{"type":"describe"}\n' * 20_000)
    await until(lambda: served.counted("earloop_failures_total", code="timed_out") == 1)
    await until(lambda: not served.door._connections)
    writer.transport.abort()


@pytest.mark.parametrize(
    "when", ["at once", "after a header", "inside a chunk", "while it is heard", "after audio-stop"]
)
async def test_a_client_that_goes_away_leaves_nothing_behind(start, when):
    served = await start()
    _, writer = await served.socket()
    chunk = b'{"type":"audio-chunk","data":{"rate":16000,"width":2,"channels":1},"payload_length":10240}\n' + loud(2)
    sent = {
        "at once": b"",
        "after a header": chunk[:95],
        "inside a chunk": chunk[:5000],
        "while it is heard": chunk,
        "after audio-stop": chunk + b'{"type":"audio-stop"}\n',
    }[when]
    writer.write(sent)
    if when == "while it is heard":
        await until(lambda: served.services.engines.open_streams == 1)
    writer.close()
    await writer.wait_closed()
    await until(lambda: not served.door._connections)
    await served.empty()
    assert served.counted("earloop_failures_total", code="internal") == 0
    async with served.client() as client:
        assert await client.request(loud(1)) == "la"


async def test_a_fault_of_our_own_has_an_id_and_hurts_nobody_else(start):
    served = await start(Broken())
    async with served.client() as client:
        await client.speak(loud(1))
        assert await client.fault() == "internal"


async def test_audio_that_cannot_be_heard_is_an_error(start):
    served = await start()
    async with served.client() as client:
        await client.send(AudioStart(16000, 2, 1), AudioChunk(16000, 2, 1, b"\x00\x01" * 8), AudioStop())
        assert await client.transcript() == ""


async def test_describe_is_answered_while_the_engine_is_busy(start):
    served = await start()
    served.toy.gate.clear()
    async with served.client() as busy, served.client() as asking:
        await busy.speak(SPEECH)
        assert await asyncio.to_thread(served.toy.inside.wait, PATIENCE_S)
        await asking.send(Describe())
        assert await asking.until("info")
        served.toy.gate.set()
        assert await busy.transcript() == SAID
