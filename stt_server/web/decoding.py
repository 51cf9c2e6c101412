"""The event loop's side of audio that is decoded in a thread while it arrives; the thread's is `speech/arriving.py`."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

from stt_server.errors import TimedOut
from stt_server.speech.arriving import Pipe, arriving, as_bytes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Generator

    from stt_server.messages import Coded

TAKE_S: Final = 30.0  # for a message to be decoded and heard; sessions that are full give up earlier


class Decoding:
    """One connection's audio; `coded`, `channels` and `apart` as in `messages.Open`.

    One task reads `blocks`, one gives. At most one message waits.
    """

    def __init__(self, coded: Coded, channels: int, *, apart: bool) -> None:
        self._loop = asyncio.get_running_loop()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="decoding")
        self._hungry = asyncio.Event()  # all that came is decoded, and what came out was taken
        self._over = False
        self._pipe = Pipe(self._wants_more)
        self._blocks = self._encoded(coded, channels, apart=apart)

    async def take(self, data: bytes) -> None:
        """Give it the next message; waits until the one before is decoded. Raises TimedOut."""
        await self.drained()
        if data and not self._over:
            self._hungry.clear()
            self._pipe.put(data)

    async def drained(self) -> None:
        """Wait until everything that was given has come out of `blocks`, as far as it can yet. Raises TimedOut."""
        try:
            async with asyncio.timeout(TAKE_S):
                await self._hungry.wait()
        except TimeoutError:
            raise TimedOut(f"The audio was not decoded within {TAKE_S:g} s; the server is overloaded.") from None

    def end(self) -> None:
        """Nothing more comes."""
        self._pipe.end()

    def abandon(self) -> None:
        """Nobody wants what is left, and whoever waits need not."""
        self._over = True
        self._pipe.abandon()
        self._hungry.set()

    async def blocks(self) -> AsyncIterator[list[bytes]]:
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
