"""The client library over a network that breaks: what arrives is what would have arrived, once."""

import asyncio
import random
import threading

import numpy as np
import pytest

from stt_server.client import Deadlines, Reconnected, connect, open_stream
from stt_server.errors import TimedOut, Unavailable
from stt_server.messages import Behind, Final, Finished, Flush, Open, Partial
from stt_server.speech.files import read_audio
from stt_server.speech.pcm import to_int16
from tests.client.proxy import Break, Proxy, proxied
from tests.engine.toy import loud, quiet
from tests.web.conftest import SPEECH, Server, Start, until

PLAIN = Open("native")
RESUMABLE = Open("native", resumable=True)
QUICK = Deadlines(connect_s=20, send_s=20, finish_s=60, stall_s=1)
OPENED = {"up": 1500, "down": 900}  # by then both sides of a first connection have said what opens the stream


@pytest.fixture
async def proxy(server: Server):
    async with proxied(server.port) as proxy:
        yield proxy


def plan(dice: random.Random) -> list[Break]:
    """Five breaks; the first not before the stream is open, the others also in the middle of opening or resuming."""
    breaks = [
        Break("up", dice.randrange(20_000)) if dice.random() < 0.6 else Break("down", dice.randrange(600))
        for _ in range(5)
    ]
    return [Break(breaks[0].way, breaks[0].after + OPENED[breaks[0].way]), *breaks[1:]]


async def said(pieces, frame: int):
    """Audio in frames, commands between."""
    for piece in pieces:
        if isinstance(piece, Flush):
            yield piece
        else:
            for at in range(0, len(piece), frame):
                yield piece[at : at + frame]


async def heard(url: str, pieces, frame: int = 3201, options: Open = RESUMABLE, deadlines: Deadlines = QUICK) -> list:
    """All that is told of a stream, without what depends on the time."""
    async with await connect(url, options, deadlines=deadlines) as stream:
        told = [event async for event in stream.converse(said(pieces, frame))]
    return [event for event in told if not isinstance(event, Partial | Behind)]


def audio_s(told: list) -> float:
    return next(event.audio_s for event in told if isinstance(event, Finished))


def without_breaks(told: list) -> list:
    return [event for event in told if not isinstance(event, Reconnected)]


@pytest.mark.parametrize("seed", range(4))
async def test_real_speech_over_five_breaks_is_the_speech_without_them(start: Start, recognizer, seed):
    """Every event, text, word and time; the breaks fall into frames, handshakes, finals and `resumed` messages."""
    golden = read_audio(recognizer.bundle.path(recognizer.bundle.manifest.golden))
    hush = np.zeros(16_000, np.float32)
    pcm = to_int16(np.concatenate([hush, *[golden, hush] * 5])).astype("<i2").tobytes()
    server = await start(recognizer)
    whole = await heard(server.url, [pcm], options=PLAIN)
    assert sum(isinstance(event, Final) and event.text != "" for event in whole) >= 5
    async with proxied(server.port) as proxy:
        proxy.plan = plan(random.Random(seed))
        told = await heard(proxy.url, [pcm])
        assert not proxy.plan
    assert without_breaks(told) == whole
    assert any(isinstance(event, Reconnected) for event in told)
    await server.empty()


@pytest.mark.parametrize("seed", range(12))
async def test_no_flush_is_lost_or_done_twice_wherever_the_connection_breaks(server: Server, proxy: Proxy, seed):
    dice = random.Random(seed)
    pieces = [
        Flush() if dice.random() < 0.4 else dice.choice([loud, quiet])(dice.choice([0.5, 1, 2, 3])) for _ in range(100)
    ]
    whole = await heard(server.url, pieces, options=PLAIN)
    proxy.plan = plan(dice)
    told = await heard(proxy.url, pieces, dice.choice([1000, 3201, 40_000]))
    assert not proxy.plan
    assert without_breaks(told) == whole
    await server.empty()


async def test_a_connection_that_swallows_everything_is_given_up_for_a_new_one(server: Server, proxy: Proxy):
    async with await connect(proxy.url, RESUMABLE, deadlines=QUICK) as stream:
        events = aiter(stream)
        await stream.send(loud(2))
        while not isinstance(await anext(events), Partial):
            pass
        proxy.stall()
        await stream.send(loud(1) + quiet(3))
        await stream.finish()
        rest = [event async for event in events]
    assert [event.text for event in rest if isinstance(event, Final) and event.text] == ["la la la"]
    assert stream.reconnects >= 1  # on a busy machine a living connection may seem dead, too
    assert server.counted("earloop_streams_resumed_total") >= stream.reconnects
    await server.empty()


async def test_a_connection_that_takes_nothing_is_given_up_too(server: Server, proxy: Proxy):
    """More than the buffers between us hold: not even a ping gets out."""
    pcm = (SPEECH + quiet(30)) * 40
    async with await connect(proxy.url, RESUMABLE, deadlines=QUICK) as stream:
        proxy.stall()
        told = [event async for event in stream.converse(said([pcm], 1 << 16))]
    assert sum(isinstance(event, Final) and event.text == "la la la" for event in told) == 40
    assert audio_s(told) == pytest.approx(len(pcm) / 32_000)


async def test_a_slow_network_is_no_broken_one(server: Server, proxy: Proxy):
    proxy.delay_s = 0.05
    told = await heard(proxy.url, [SPEECH], deadlines=Deadlines())
    assert [event.text for event in told if isinstance(event, Final) and event.text] == ["la la la"]
    assert not any(isinstance(event, Reconnected) for event in told)


async def test_a_network_that_is_away_for_a_moment_is_waited_for(server: Server, proxy: Proxy):
    async with await connect(proxy.url, RESUMABLE, deadlines=QUICK) as stream:
        proxy.away = True
        proxy.cut()
        await stream.send(SPEECH)  # is kept
        await until(lambda: server.counted("earloop_streams_parked_total") == 1)
        proxy.away = False
        await stream.finish()
        told = [event async for event in stream]
    assert [event.text for event in told if isinstance(event, Final) and event.text] == ["la la la"]
    assert stream.reconnects >= 1


async def test_after_a_restart_of_the_server_the_loss_is_said(start: Start, server: Server, proxy: Proxy):
    async with await connect(proxy.url, RESUMABLE, deadlines=QUICK) as stream:
        await stream.send(loud(2))
        proxy.target = (await start()).port
        proxy.cut()
        with pytest.raises(Unavailable, match="words since the last final are lost"):
            [event async for event in stream]
        await stream.send(b"nobody")  # the reader has said why


async def test_a_network_that_stays_away_ends_the_stream_when_the_server_gives_it_up(start: Start):
    server = await start(resume_s=0.5)
    async with proxied(server.port) as proxy, await connect(proxy.url, RESUMABLE, deadlines=QUICK) as stream:
        proxy.away = True
        proxy.cut()
        async with asyncio.timeout(60):
            with pytest.raises(Unavailable, match="words since the last final are lost"):
                [event async for event in stream]
    await server.empty()


async def test_what_has_not_arrived_is_bounded_and_the_speaker_waits_then_is_told(server: Server, proxy: Proxy):
    impatient = Deadlines(send_s=0.3, stall_s=3)
    async with await connect(proxy.url, RESUMABLE, deadlines=impatient, backlog_bytes=20_000) as stream:
        proxy.away = True
        proxy.cut()
        with pytest.raises(TimedOut, match="took no audio"):
            await too_much(stream)
        proxy.away = False
        await until(lambda: stream.reconnects >= 1)
        await stream.finish()
        told = [event async for event in stream]
    assert audio_s(told) == 20_000 / 32_000


async def too_much(stream) -> None:
    for _ in range(100):
        await stream.send(bytes(1000))


async def test_a_speaker_faster_than_the_server_is_slowed_not_buffered(start: Start):
    server = await start(max_queue_s=1)
    server.toy.gate.clear()
    sent = 0
    async with await connect(server.url, RESUMABLE, deadlines=QUICK, backlog_bytes=64_000) as stream:

        async def speak() -> None:
            nonlocal sent
            for _ in range(200):
                await stream.send(bytes(3200))
                sent += 3200
            await stream.finish()

        speaking = asyncio.create_task(speak())
        await asyncio.wait({speaking}, timeout=0.5)
        assert sent <= 64_000 + 2 * 32_000 + 3200  # the backlog, the queue, what the batcher has in hand
        server.toy.gate.set()
        told = [event async for event in stream]
        await speaking
    assert audio_s(told) == pytest.approx(20)


async def test_leaving_while_the_network_is_away_takes_no_time(server: Server, proxy: Proxy):
    stream = await connect(proxy.url, RESUMABLE, deadlines=QUICK)
    proxy.away = True
    proxy.cut()
    await until(lambda: server.counted("earloop_streams_parked_total") == 1)
    async with asyncio.timeout(5):  # half of the time for which the server would be waited for
        await stream.close()


async def test_a_stream_that_is_not_resumable_ends_with_its_connection(server: Server, proxy: Proxy):
    async with await connect(proxy.url, deadlines=QUICK) as stream:
        await stream.send(SPEECH)
        proxy.cut()
        with pytest.raises(Unavailable, match="the connection broke"):
            [event async for event in stream]
    await server.empty()


async def test_threads_have_the_same_one_sends_while_another_reads(server: Server, proxy: Proxy):
    proxy.plan = [Break("up", OPENED["up"] + 5000), Break("down", 900), Break("up", 300)]
    pieces = [SPEECH, Flush(), SPEECH]
    whole = await heard(server.url, pieces, options=PLAIN)
    assert await asyncio.to_thread(_in_threads, proxy.url, pieces) == whole


def _in_threads(url: str, pieces) -> list:
    with open_stream(url, RESUMABLE, deadlines=QUICK) as stream:

        def speak() -> None:
            for piece in pieces:
                stream.flush() if isinstance(piece, Flush) else stream.send(piece)
            stream.finish()

        speaker = threading.Thread(target=speak)
        speaker.start()
        told = [event for event in stream if not isinstance(event, Partial | Behind)]
        speaker.join(60)
        assert stream.ready.model == "toy"
        assert stream.reconnects == sum(isinstance(event, Reconnected) for event in told) > 0
    return without_breaks(told)
