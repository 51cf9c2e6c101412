"""The event loop's side of audio that is decoded in a thread while it arrives; the thread's is `speech/arriving.py`."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

from stt_server.errors import TimedOut
from stt_server.speech.arriving import Pipe, arriving, as_bytes
from stt_server.tasks import wait_for

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator

    from stt_server.messages import Coded

STALL_S: Final = 30.0  # without any of a message being heard; sessions that are full give up earlier


class Decoding:
    """One connection's audio; `coded`, `channels` and `apart` as in `messages.Open`.

    One task reads `blocks`, one gives. At most one message waits. A mebibyte may hold many minutes, so whoever waits
    does so for as long as `heard`, a number that grows with what was taken of `blocks`, goes on growing.
    """

    def __init__(self, coded: Coded, channels: int, *, apart: bool, heard: Callable[[], int]) -> None:
        self._loop = asyncio.get_running_loop()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="decoding")
        self._hungry = asyncio.Event()  # all that came is decoded, and what came out was taken
        self._over = asyncio.Event()
        self._heard = heard
        self._pipe = Pipe(self._wants_more)
        self._blocks = self._encoded(coded, channels, apart=apart)

    async def take(self, data: bytes) -> None:
        """Give it the next message; waits until the one before is decoded. Raises TimedOut."""
        await self.drained()
        if data and not self._over.is_set():
            self._hungry.clear()
            self._pipe.put(data)

    async def drained(self) -> None:
        """Wait until everything that was given has come out of `blocks`, as far as it can yet. Raises TimedOut."""
        await self._wait_for(self._hungry)

    async def end(self) -> None:
        """Nothing more comes; wait until all of it has come out. Raises TimedOut."""
        self._pipe.end()
        await self._wait_for(self._over)

    def abandon(self) -> None:
        """Nobody wants what is left, and whoever waits need not."""
        self._over.set()
        self._pipe.abandon()
        self._hungry.set()

    async def _wait_for(self, event: asyncio.Event) -> None:
        while not event.is_set():
            before = self._heard()
            await wait_for(event, STALL_S)
            if not event.is_set() and self._heard() == before:
                raise TimedOut(f"No audio was decoded for {STALL_S:g} s; the server is overloaded.")

    async def blocks(self) -> AsyncGenerator[list[bytes], None]:
        """16 kHz floats as bytes, of each channel or of all mixed. Raises BadAudio, Unsupported, BadOption."""
        try:
            while (block := await self._loop.run_in_executor(self._thread, next, self._blocks, None)) is not None:
                yield block
        finally:
            self.abandon()
            self._thread.submit(self._blocks.close)  # behind whatever it still does
            self._thread.shutdown(wait=False)

    def _encoded(self, coded: Coded, channels: int, *, apart: bool) -> Generator[list[bytes], None, None]:
        for block in arriving(self._pipe, coded, channels, apart=apart):
            yield [as_bytes(samples) for samples in block]

    def _wants_more(self) -> None:
        """Called in the thread, before it waits."""
        self._loop.call_soon_threadsafe(self._hungry.set)
