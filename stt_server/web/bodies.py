"""Request bodies read in pieces, with a bound and a deadline for each; never whole in the memory of Python."""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
from contextlib import contextmanager, suppress
from typing import IO, TYPE_CHECKING, Final, TypeVar

from aiohttp import ClientPayloadError, StreamReader, web
from aiohttp.http_exceptions import HttpProcessingError

from stt_server.errors import BadInput, TimedOut, TooLarge, Unavailable
from stt_server.logs import EventLog

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Iterator

    from aiohttp import BodyPartReader

T = TypeVar("T")

log = EventLog("web")

IN_MEMORY_BYTES: Final = 1 << 20  # a longer upload goes on to disk where there are no files in memory
PIECE_BYTES: Final = 1 << 16
SLOWEST_BYTES_S: Final = 4096  # half of raw speech at the lowest rate there is

# What aiohttp raises for a chunked coding or a multipart form that is none; the form's reader asserts, too.
_MALFORMED: Final = (
    ClientPayloadError,
    web.RequestPayloadError,
    HttpProcessingError,
    AssertionError,
    RuntimeError,
    ValueError,
)


class Pace:
    """How slowly a request's body may come: nothing for `wait_s`, and in all as long as it takes at `SLOWEST_BYTES_S`.

    Without the second a byte now and then would hold the place of an upload for hours. Only what the client lets us
    wait counts, not what we let it wait.
    """

    def __init__(self, content: StreamReader, wait_s: float) -> None:
        self._content = content
        self._wait_s = wait_s
        self._waited_s = 0.0

    async def before(self, reading: Awaitable[T]) -> T:
        """What is read from the body, if it comes in time and is well formed. Raises TimedOut and BadInput."""
        loop = asyncio.get_running_loop()
        since = loop.time()
        try:
            async with asyncio.timeout(self._wait_s):
                read = await reading
        except TimeoutError:
            raise TimedOut(f"The body stopped coming for {self._wait_s:g} s; send it again.") from None
        except _MALFORMED as error:
            raise BadInput(f"The body is malformed in transfer: {type(error).__name__}; send it again.") from error
        self._waited_s += loop.time() - since
        if self._waited_s > self._wait_s + self._content.total_bytes / SLOWEST_BYTES_S:
            raise TimedOut(f"The body comes too slowly; send at least {SLOWEST_BYTES_S} bytes a second.")
        return read


class Body:
    """A body, or a part of one. Raises TooLarge beyond `bound` bytes, and as `Pace.before` does."""

    def __init__(self, source: StreamReader | BodyPartReader, bound: int, pace: Pace) -> None:
        self._source = source
        self._bound = bound
        self._pace = pace
        self._read = 0
        self._head = b""

    async def head(self, size: int) -> bytes:
        """The first bytes, which `pieces` will give again; fewer only where the body is shorter."""
        while len(self._head) < size and (piece := await self._next()):
            self._head += piece
        return self._head[:size]

    async def pieces(self) -> AsyncIterator[bytes]:
        head, self._head = self._head, b""
        if head:
            yield head
        while piece := await self._next():
            yield piece

    async def spooled(self) -> IO[bytes]:
        """All of it in a file without a name, at its beginning. The caller closes it.

        Raises Unavailable where there is no room for it.
        """
        file = _nameless()
        try:
            async for piece in self.pieces():
                with _with_room():
                    if self._read <= IN_MEMORY_BYTES:
                        file.write(piece)
                    else:  # where it goes to a disk that may be slow
                        await asyncio.to_thread(file.write, piece)
            with _with_room():
                file.seek(0)
        except BaseException:
            with suppress(OSError):  # what could not be written cannot be written now
                file.close()
            raise
        return file

    async def _next(self) -> bytes:
        piece = await self._pace.before(_some_of(self._source))
        self._read += len(piece)
        if self._read > self._bound:
            raise too_large(self._bound)
        return piece


def _nameless() -> IO[bytes]:
    """A file in memory alone, since what somebody says who agreed to nothing may not reach a disk.

    Linux has such files. Elsewhere a long upload lies in the folder for temporary files, without a name.
    """
    if sys.platform == "linux":
        return os.fdopen(os.memfd_create("earloop-upload"), "w+b")
    return tempfile.SpooledTemporaryFile(max_size=IN_MEMORY_BYTES)


@contextmanager
def _with_room() -> Iterator[None]:
    """That there is no room for an upload is our fault and may pass. Raises Unavailable."""
    try:
        yield
    except OSError as error:
        log.error("no_room_for_upload", why=error.strerror)
        raise Unavailable(
            f"The server has no room for more of the upload ({error.strerror}); send a shorter one, or try again later."
        ) from error


def check_length(stated: int | None, bound: int) -> None:
    """Refuse a body that says it is too large before any of it is read. Raises TooLarge."""
    if stated is not None and stated > bound:
        raise too_large(bound)


def too_large(bound: int) -> TooLarge:
    """The error for a body of more than `bound` bytes."""
    allowed = f"{bound >> 20} MiB" if bound >> 20 else f"{bound >> 10} KiB"
    return TooLarge(f"The body, or a part of it, is larger than the {allowed} allowed; send it in parts, or as flac.")


async def _some_of(source: StreamReader | BodyPartReader) -> bytes:
    """Some bytes; none at the end."""
    if isinstance(source, StreamReader):
        return await source.readany()
    piece = b""
    while not piece and not source.at_eof():
        piece = bytes(await source.read_chunk(PIECE_BYTES))
    return piece
