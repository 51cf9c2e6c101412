"""Tasks that run beside everything else for as long as a server does: how they wait, and how they end.

    closing = asyncio.Event()
    task = asyncio.create_task(work(closing))        while not closing.is_set(): …; await wait_for(closing, EVERY_S)
    …
    closing.set()
    await ended(task, CLOSE_S)

They are told to end and not cancelled: `asyncio.wait_for` of Python 3.11 passes a cancel over when the answer that it
waits for comes in that very moment.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress


async def wait_for(event: asyncio.Event, within_s: float) -> None:
    """Wait for the event, but no longer than that."""
    with suppress(TimeoutError):
        async with asyncio.timeout(within_s):
            await event.wait()


async def ended(task: asyncio.Task[None], within_s: float) -> None:
    """Wait for a task that was told to end, and cancel one that is late. Raises what ended it too early."""
    await asyncio.wait({task}, timeout=within_s)
    if not task.cancel():
        task.result()
