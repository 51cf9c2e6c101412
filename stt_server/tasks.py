"""Tasks that run beside everything else for as long as a server does: how they wait, and how they end.

    closing = asyncio.Event()
    task = asyncio.create_task(every(EVERY_S, closing, work, told))
    …
    closing.set()
    await ended(task, CLOSE_S)

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


async def ended(task: asyncio.Task[None], within_s: float) -> None:
    """Wait for a task that was told to end, and cancel one that is late. Raises what ended it too early."""
    await asyncio.wait({task}, timeout=within_s)
    if not task.cancel():
        task.result()
