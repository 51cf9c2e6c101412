import json
from contextlib import suppress

import pytest
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from stt_server.client import connect
from stt_server.client.unread import EVENTS
from stt_server.errors import Internal, TimedOut
from stt_server.messages import AudioSpec, Event, Final, Finish, Finished, Flush, Open, Partial, Ready, SpeechStarted
from stt_server.protocols.native import NativeCodec
from tests.client.scripted import LAST, serving
from tests.client.test_stream import all_of
from tests.web.conftest import until


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
        assert [await anext(events) for _ in range(EVENTS)] == [SpeechStarted(number) for number in range(EVENTS)]
        with pytest.raises(TimedOut, match="iterate while you send"):
            await anext(events)


async def test_a_reader_who_is_behind_gets_the_newest_partial_and_every_final():
    async def speak(connection: ServerConnection) -> None:
        await connection.recv()
        codec = NativeCodec()
        partials = [Partial(0, "x" * length) for length in range(9)]
        said: list[Event] = [*partials, LAST[Flush], Partial(1, "y"), LAST[Finish], Finished(1, "first")]
        for event in (Ready("s1", "first", "en", AudioSpec()), *said):
            await connection.send(codec.send(event)[0])

    async with serving(speak) as url, await connect(url) as stream:
        await until(lambda: stream._link.unread.ended)
        told = await all_of(stream)
    assert told == [Partial(0, "x" * 8), LAST[Flush], Partial(1, "y"), LAST[Finish], Finished(1, "first")]
