"""A thread that hangs is told from one that waits, works, or was stopped together with the whole process."""

import asyncio

import pytest

from stt_server.engine.watch import EVERY_S, Watch


class Thread:
    """Says what a batcher would."""

    def __init__(self) -> None:
        self.ended, self.in_turn, self.hung, self.looks = 0, False, 0, 0

    def turns(self) -> tuple[int, bool]:
        return self.ended, self.in_turn

    def saw_hang(self) -> None:
        self.hung += 1

    def look(self) -> None:
        self.looks += 1


@pytest.fixture
async def watched():
    thread = Thread()
    watch = Watch(thread.turns, 5 * EVERY_S, look=thread.look, hung=thread.saw_hang)
    watch.start()
    yield thread, watch
    watch.stop()


async def looks(thread: Thread, count: int) -> None:
    """Wait for so many looks."""
    async with asyncio.timeout(60 + count * EVERY_S):
        until = thread.looks + count
        while thread.looks < until:  # noqa: ASYNC110 - looks set no event
            await asyncio.sleep(0.01)


async def test_a_thread_that_waits_for_work_does_not_hang(watched):
    thread, watch = watched
    await looks(thread, 8)
    assert (watch.hangs, thread.hung) == (False, 0)


async def test_a_turn_that_does_not_end_is_a_hang_said_once_until_it_ends_after_all(watched):
    thread, watch = watched
    thread.in_turn = True
    await looks(thread, 12)
    assert (watch.hangs, thread.hung) == (True, 1)
    thread.ended += 1
    assert not watch.hangs
    await looks(thread, 3)
    assert (watch.hangs, thread.hung) == (False, 1)


async def test_a_thread_that_ends_turn_after_turn_is_only_busy(watched):
    thread, watch = watched
    thread.in_turn = True
    for _ in range(12):
        thread.ended += 1
        await looks(thread, 1)
    assert (watch.hangs, thread.hung) == (False, 0)
