"""Rounds: looks that come by themselves, sooner for whoever asks, and one more at the end where that is wanted."""

import asyncio

import pytest

from stt_server.tasks import Rounds

PATIENCE_S = 60.0
NEVER_S = 3600.0


class Looker:
    """Counts looks; holds them up while `gate` is shut."""

    def __init__(self) -> None:
        self.looks = 0
        self.ended = 0
        self.gate = asyncio.Event()
        self.gate.set()

    async def look(self) -> None:
        self.looks += 1
        await self.gate.wait()
        self.ended += 1

    async def until(self, looks: int) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while self.looks < looks:  # noqa: ASYNC110 - what is waited for sets no event
                await asyncio.sleep(0.001)


@pytest.fixture
async def looker() -> Looker:
    return Looker()


async def test_looks_come_by_themselves(looker):
    rounds = Rounds(looker.look, 0.001)
    await looker.until(3)
    await rounds.close(PATIENCE_S)
    assert not rounds.going_on


async def test_whoever_asks_need_not_wait_for_the_next_one(looker):
    rounds = Rounds(looker.look, NEVER_S)
    assert await rounds.another(PATIENCE_S)
    assert looker.ended == 1
    await rounds.close(PATIENCE_S)


async def test_a_look_that_had_begun_before_does_not_count(looker):
    rounds = Rounds(looker.look, NEVER_S)
    looker.gate.clear()
    first = asyncio.create_task(rounds.another(PATIENCE_S))
    await looker.until(1)
    second = asyncio.create_task(rounds.another(PATIENCE_S))
    await asyncio.sleep(0)  # it has asked
    looker.gate.set()
    assert all(await asyncio.gather(first, second))
    assert looker.ended == 2
    await rounds.close(PATIENCE_S)


async def test_nobody_waits_for_ever_for_a_look_that_does_not_end(looker):
    rounds = Rounds(looker.look, NEVER_S)
    looker.gate.clear()
    assert not await rounds.another(0.01)
    looker.gate.set()
    await rounds.close(PATIENCE_S)


async def test_looks_that_all_ask_for_are_apart(looker):
    rounds = Rounds(looker.look, NEVER_S, apart_s=0.05)
    begin = asyncio.get_running_loop().time()
    for _ in range(3):
        assert await rounds.another(PATIENCE_S)
    assert asyncio.get_running_loop().time() - begin >= 3 * 0.05 * 0.9  # clocks tick
    await rounds.close(PATIENCE_S)


@pytest.mark.parametrize("begun", [False, True])
@pytest.mark.parametrize(("last", "looks"), [(False, 0), (True, 1)])
async def test_the_last_look_is_made_where_it_is_wanted(looker, last, looks, begun):
    rounds = Rounds(looker.look, NEVER_S, apart_s=NEVER_S / 2, last=last)
    if begun:
        await asyncio.sleep(0)
    await rounds.close(PATIENCE_S)
    assert looker.ended == looks


async def test_a_look_that_raises_ends_the_rounds_and_closing_tells():
    async def look() -> None:
        raise OSError("no more")

    rounds = Rounds(look, NEVER_S)
    assert not await rounds.another(PATIENCE_S / 600)
    assert not rounds.going_on
    with pytest.raises(OSError, match="no more"):
        await rounds.close(PATIENCE_S)
