"""How long somebody waits whose audio is being decoded, and for what."""

import asyncio
import itertools

import pytest

from stt_server.errors import TimedOut
from stt_server.web.decoding import Decoding
from tests.web.conftest import PATIENCE_S, until, wav

STALL = "stt_server.web.decoding.STALL_S"


@pytest.mark.parametrize("wait", [Decoding.drained, Decoding.end])
async def test_a_long_message_is_waited_for_as_long_as_something_of_it_is_heard(wait, monkeypatch):
    asked = itertools.count()
    decoding = Decoding("file", 1, apart=False, heard=lambda: next(asked))
    blocks = decoding.blocks()
    async with asyncio.timeout(PATIENCE_S):
        first, _ = await asyncio.gather(anext(blocks), decoding.take(wav()))
        assert first
        monkeypatch.setattr(STALL, 0.01)
        waiting = asyncio.create_task(wait(decoding))
        await until(lambda: next(asked) > 20)  # it has looked again and again, and goes on
        assert not waiting.done()
        rest = asyncio.create_task(_to_the_end(blocks))
        await waiting
        decoding.abandon()
        await rest


@pytest.mark.parametrize("wait", [Decoding.drained, Decoding.end])
async def test_a_message_of_which_nothing_is_heard_any_more_is_given_up(wait, monkeypatch):
    decoding = Decoding("file", 1, apart=False, heard=lambda: 7)
    blocks = decoding.blocks()
    async with asyncio.timeout(PATIENCE_S):
        await asyncio.gather(anext(blocks), decoding.take(wav()))
        monkeypatch.setattr(STALL, 0.01)
        with pytest.raises(TimedOut):
            await wait(decoding)
    decoding.abandon()
    await blocks.aclose()


async def _to_the_end(blocks) -> None:
    async for _ in blocks:
        pass
