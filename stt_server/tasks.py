"""Tasks that run beside everything else for as long as a server does: how they wait, and how they end.

    closing = asyncio.Event()
    task = asyncio.create_task(every(EVERY_S, closing, work, told))
    …
    closing.set()
    await ended(task, CLOSE_S)

`Rounds` are such a task from which others may want the next round sooner.

They are told to end and not cancelled: `asyncio.wait_for` of Python 3.11 passes a cancel over when the answer that it
waits for comes in that very moment.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from stt_server.errors import EarloopError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


async def wait_for(event: asyncio.Event, within_s: float) -> None:
    """Wait for the event, but no longer than that."""
    with suppress(TimeoutError):
        async with asyncio.timeout(within_s):
            await event.wait()


async def every(
    seconds: float,
    closing: asyncio.Event,
    work: Callable[[], Awaitable[object]],
    told: Callable[[EarloopError], None],
) -> None:
    """Do it at once and again so long after it was done, until the event; `told` hears what it raised of ours."""
    while not closing.is_set():
        try:
            await work()
        except EarloopError as error:
            told(error)
        await wait_for(closing, seconds)


class Rounds:
    """A task that looks into something every so often, and from which one may ask for a look sooner.

    Made on the event loop; the first look is `every_s` after that. Two looks begin `apart_s` after each other at least,
    however often they are asked for. With `last` one more is made as it closes, for what is still to be written.
    """

    def __init__(
        self, look: Callable[[], Awaitable[None]], every_s: float, apart_s: float = 0.0, *, last: bool = False
    ) -> None:
        self._look = look
        self._every_s, self._apart_s, self._last = every_s, apart_s, last
        self._loop = asyncio.get_running_loop()
        self._began = self._loop.time()
        self._wanted, self._turned, self._closing = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._task = asyncio.create_task(self._run())

    @property
    def going_on(self) -> bool:
        """False when a look has raised, which ends them all; `close` raises it again."""
        return not self._task.done()

    async def another(self, within_s: float) -> bool:
        """Wait for the end of a look that begins from now on; False where there was none in that time."""
        since = self._loop.time()
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                while self._began <= since and self.going_on:
                    self._wanted.set()
                    await self._turned.wait()
                return self.going_on
        return False

    async def close(self, within_s: float) -> None:
        self._closing.set()
        self._wanted.set()
        await ended(self._task, within_s)

    async def _run(self) -> None:
        while not self._closing.is_set():
            await wait_for(self._closing, self._apart_s)
            await wait_for(self._wanted, self._every_s - self._apart_s)
            if not self._closing.is_set():
                await self._round()
        if self._last:
            await self._round()

    async def _round(self) -> None:
        self._wanted.clear()
        self._began = self._loop.time()
        await self._look()
        turned, self._turned = self._turned, asyncio.Event()
        turned.set()


async def ended(task: asyncio.Task[None], within_s: float) -> None:
    """Wait for a task that was told to end, and cancel one that is late. Raises what ended it too early."""
    await asyncio.wait({task}, timeout=within_s)
    if not task.cancel():
        task.result()
