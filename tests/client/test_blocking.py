import asyncio
import threading

import pytest

from stt_server.client import Pong, open_stream
from stt_server.client.blocking import LoopThread
from stt_server.errors import BadInput, Conflict, Unavailable
from stt_server.messages import Finished
from tests.client.scripted import LAST, SAID, Scripted, serving


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


def test_what_a_thread_waits_for_when_another_ends_the_loop_is_a_conflict_and_no_endless_wait():
    thread, waiting = LoopThread(), threading.Event()
    faults: list[Exception] = []

    async def for_ever() -> None:
        waiting.set()
        await asyncio.Event().wait()

    def ask() -> None:
        try:
            thread.run(for_ever())
        except Conflict as error:
            faults.append(error)

    asking = threading.Thread(target=ask)
    asking.start()
    assert waiting.wait(60)
    thread.stop()
    asking.join(60)
    assert len(faults) == 1
    with pytest.raises(Conflict, match="closed"):
        thread.run(for_ever())


def test_a_thread_that_finds_no_server_leaves_none_behind(unused_tcp_port):
    before = threading.active_count()
    with pytest.raises(Unavailable, match="earloop serve"):
        open_stream(f"127.0.0.1:{unused_tcp_port}")
    assert threading.active_count() == before
