"""Pools of threads that are there from the start: one that begins later looks like a leak to whoever counts them."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Final

START_S: Final = 60.0
SHARED: Final = min(32, (os.cpu_count() or 1) + 4)  # as many as asyncio allows itself


def pool(threads: int, name: str) -> ThreadPoolExecutor:
    """A pool of so many threads, which run already. Raises BrokenBarrierError where they do not begin in `START_S`."""
    executor = ThreadPoolExecutor(threads, thread_name_prefix=name)
    together = Barrier(threads)  # none is free for the work of the next, so each begins
    for each in [executor.submit(together.wait, START_S) for _ in range(threads)]:
        each.result()
    return executor
