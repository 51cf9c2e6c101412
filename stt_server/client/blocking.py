"""The same for programs without an event loop: the stream lives on a loop in a thread of its own.

with open_stream("http://127.0.0.1:2700", Open("native", resumable=True), key=KEY) as stream:
    threading.Thread(target=speak, args=[stream]).start()      # stream.send(…) …, stream.finish()
    for event in stream:
        …
"""

from __future__ import annotations

import asyncio
from concurrent.futures import CancelledError
from contextlib import suppress
from threading import Event as Signal
from threading import Lock, Thread
from typing import TYPE_CHECKING, Any, TypeVar

from stt_server.client.stream import StreamClient, connect
from stt_server.errors import Conflict
from stt_server.messages import Final, Finished, Open, Transcript

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine, Iterable, Iterator
    from types import TracebackType
    from typing import Self

    from stt_server.client.wire import Told
    from stt_server.messages import Ready

T = TypeVar("T")

CLOSED = "The stream was closed; open another one."
START_S = 10.0  # for the thread to begin or to end, which takes no time


class BlockingStream:
    """What `StreamClient` is, with methods that block. One thread may send while another iterates."""

    def __init__(self, stream: StreamClient, thread: LoopThread) -> None:
        self.ready: Ready = stream.ready
        self._stream = stream
        self._thread = thread

    @property
    def reconnects(self) -> int:
        return self._stream.reconnects

    def send(self, data: bytes) -> None:
        self._thread.run(self._stream.send(data))

    def flush(self) -> None:
        self._thread.run(self._stream.flush())

    def finish(self) -> None:
        self._thread.run(self._stream.finish())

    def ping(self, ident: object = None) -> None:
        self._thread.run(self._stream.ping(ident))

    def __iter__(self) -> Iterator[Told]:
        events = aiter(self._stream)
        while (event := self._thread.run(_next(events))) is not None:
            yield event

    def close(self) -> None:
        """Leave at once, and end the thread. May be called again."""
        with suppress(Conflict):  # another thread has closed it
            self._thread.run(self._stream.close())
        self._thread.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class LoopThread:
    """A thread with an event loop, until it is stopped; the program does not wait for it."""

    def __init__(self) -> None:
        self._started = Signal()
        self._order = Lock()  # what one thread asks for stands before another thread's end, or is refused
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None
        self._thread = Thread(target=lambda: asyncio.run(self._live()), name="earloop-client", daemon=True)
        self._thread.start()
        self._started.wait(START_S)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Its result or its error; every step of the client has a deadline of its own. Raises Conflict once stopped."""
        with self._order:
            asked = asyncio.run_coroutine_threadsafe(work, self._loop) if self._loop else None
        if asked is None:
            work.close()
            raise Conflict(CLOSED)
        try:
            return asked.result()
        except CancelledError as error:  # by the end of the loop
            raise Conflict(CLOSED) from error

    def stop(self) -> None:
        with self._order:
            loop, self._loop = self._loop, None
            if loop is not None and self._stopping is not None:
                loop.call_soon_threadsafe(self._stopping.set)
        if loop is not None:
            self._thread.join(START_S)

    async def _live(self) -> None:
        self._loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
        self._started.set()
        await self._stopping.wait()


def open_stream(url: str, options: Open | None = None, **how: Any) -> BlockingStream:
    """`connect`, for a program without an event loop: same arguments, same errors."""
    thread = LoopThread()
    try:
        return BlockingStream(thread.run(connect(url, options, **how)), thread)
    except BaseException:
        thread.stop()
        raise


def recognize(url: str, chunks: Iterable[bytes], options: Open | None = None, **how: Any) -> Transcript:
    """All that is said in `chunks`, for callers without an event loop. Raises what `connect` and iterating raise."""
    return asyncio.run(_recognize(url, chunks, options, how))


async def _recognize(url: str, chunks: Iterable[bytes], options: Open | None, how: dict[str, Any]) -> Transcript:
    async with await connect(url, options, **how) as stream:
        events = [event async for event in stream.converse(_each(chunks))]
    finals = tuple(event for event in events if isinstance(event, Final))
    audio_s = next(event.audio_s for event in events if isinstance(event, Finished))
    return Transcript(stream.ready.model, stream.ready.language, audio_s, finals, stream.ready.version)


async def _each(chunks: Iterable[bytes]) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


async def _next(events: AsyncIterator[Told]) -> Told | None:
    return await anext(events, None)
