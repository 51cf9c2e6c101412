"""Two thousand streams over real sockets, ended in every way there is: nothing of them may stay."""

import asyncio
import gc
import json
import os
import threading
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed

from stt_server.engine.inbox import Lane
from stt_server.engine.session import Session
from stt_server.store.database import THREADS
from tests.engine.toy import ToyStream, loud
from tests.web.conftest import PATIENCE_S, until

STREAMS = 2000
TOGETHER = 20
KINDS = (Lane, Session, ToyStream)
PIECE = loud(1.5)
DESCRIPTORS = Path("/proc/self/fd")


@pytest.mark.slow
@pytest.mark.skipif(not DESCRIPTORS.is_dir(), reason="descriptors are counted in /proc")
async def test_two_thousand_streams_leave_no_object_task_thread_or_descriptor(start):
    strangers = streams_of([])  # what tests before this one have left; kept, so that no new object gets their identity
    server = await start(max_streams=4 * TOGETHER)
    await visit_all(server, 10 * TOGETHER)  # what is made once, on first use
    await fill_pools(server)
    before = await settled(server, strangers)
    series = server.services.metrics.render().count(b"\n")
    await visit_all(server, STREAMS)
    await come_down(strangers, before)
    assert server.services.metrics.render().count(b"\n") == series
    assert server.counted("earloop_streams_total{protocol=native}") >= STREAMS / 2


async def fill_pools(server):
    """Make all the threads that bounded pools make when several are wanted at once."""
    together = threading.Barrier(THREADS)
    await asyncio.gather(*(server.services.store.run(_hold, together) for _ in range(THREADS)))
    workers = min(32, (os.cpu_count() or 1) + 4)  # of the event loop's own pool
    all_there = threading.Barrier(workers)
    await asyncio.gather(*(asyncio.to_thread(all_there.wait, PATIENCE_S) for _ in range(workers)))


def _hold(database, together):
    with database.read():
        together.wait(PATIENCE_S)


async def visit_all(server, streams):
    """`TOGETHER` clients at a time, each ending its streams in another way."""

    async def visit_again(first):
        for number in range(first, streams, TOGETHER):
            with suppress(ConnectionClosed):
                await WAYS[number % len(WAYS)](server)

    await asyncio.gather(*(visit_again(first) for first in range(TOGETHER)))


async def finishes(server):
    async with server.socket() as socket:
        await socket.send(json.dumps({"type": "open"}))
        await socket.send(PIECE)
        await socket.send(json.dumps({"type": "finish"}))
        async for _ in socket:
            pass


async def speaks_vosk(server):
    async with server.socket("/") as socket:
        await socket.send(PIECE)
        await socket.send('{"eof" : 1}')
        async for _ in socket:
            pass


async def leaves(server):
    async with server.socket() as socket:
        await socket.send(json.dumps({"type": "open"}))
        await socket.send(PIECE)


async def vanishes(server):
    async with server.socket() as socket:
        await socket.send(json.dumps({"type": "open"}))
        await socket.send(PIECE)
        await socket.recv()
        socket.transport.abort()


async def errs(server):
    async with server.socket() as socket:
        await socket.send(json.dumps({"type": "open", "sample_rate": 1}))
        async for _ in socket:
            pass


WAYS = (finishes, speaks_vosk, leaves, vanishes, errs)


def streams_of(strangers: list[object]) -> list[object]:
    """Every object of a stream that there is, but for strangers."""
    gc.collect()
    known = {id(each) for each in strangers}
    # By type(): to be asked for its class by isinstance wakes a deprecated stand-in of torch's, which then warns.
    return [each for each in gc.get_objects() if type(each) in KINDS and id(each) not in known]


def held(strangers: list[object]) -> Counter[str]:
    kinds = Counter(type(each).__name__ for each in streams_of(strangers))
    kinds["tasks"] = len(asyncio.all_tasks())
    kinds["threads"] = threading.active_count()
    kinds["descriptors"] = sum(1 for _ in DESCRIPTORS.iterdir())
    return kinds


async def come_down(strangers: list[object], before: Counter[str]) -> None:
    """Return as soon as no more is held than before; fail with what is too much."""
    end = asyncio.get_running_loop().time() + PATIENCE_S
    while more := held(strangers) - before:
        assert asyncio.get_running_loop().time() < end, f"more than before: {dict(more)}, in all {names()}"
        await asyncio.sleep(0.1)


def names() -> dict[str, list[str]]:
    """What tasks, threads and descriptors there are, for whoever reads a failure."""
    return {
        "tasks": sorted(str(task.get_coro()) for task in asyncio.all_tasks()),
        "threads": sorted(thread.name for thread in threading.enumerate()),
        "descriptors": sorted(str(each.readlink()) for each in DESCRIPTORS.iterdir() if each.is_symlink()),
    }


async def settled(server, strangers: list[object]) -> Counter[str]:
    """What is held when the last stream is gone and its connection closed."""
    await server.empty()
    await until(lambda: not streams_of(strangers))
    return held(strangers)
