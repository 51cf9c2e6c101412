"""Bodies that become rows of the catalog: written to a disk, looked at in a thread beside the live streams."""

from __future__ import annotations

import asyncio
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from stt_server.errors import BadBundle, Unavailable
from stt_server.logs import EventLog
from stt_server.web.bodies import Body, Pace, check_length
from stt_server.web.context import services_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiohttp import web

T = TypeVar("T")

IMPORTING_S: Final = 120.0  # how long an answer waits; the importing does not stop with it
_FOLDERS: Final = re.compile(r"(?<!\S)/(?:[^\s/]+/)*")  # what a message says of where a body lay on our disk

log = EventLog("catalog")


async def imported(request: web.Request, name: str, keep: Callable[[Path], T], bound: int = 0) -> T:
    """What `keep` makes of the body, a file of this name that is gone afterwards; its errors do not tell where it lay.

    `bound` is in bytes, that of the settings where there is none. Raises what `keep` raises, TooLarge, TimedOut, and
    Unavailable where the disk is full or it takes long.
    """
    settings = services_of(request).settings
    bound = bound or settings.max_body_mb << 20
    check_length(request.content_length, bound)
    body = Body(request.content, bound, Pace(request.content, settings.idle_timeout_s))
    folder = tempfile.TemporaryDirectory(prefix="earloop-import-")  # closed by the thread that reads it
    try:
        path = Path(folder.name) / name
        await _write(body, path)
    except BaseException:
        await asyncio.to_thread(folder.cleanup)
        raise
    return await _kept(folder, path, keep)


async def _write(body: Body, path: Path) -> None:
    try:
        with path.open("wb") as file:
            async for piece in body.pieces():
                await asyncio.to_thread(file.write, piece)
    except OSError as error:
        raise Unavailable(f"The server has no room for the file ({error.strerror}); try again later.") from error


async def _kept(folder: tempfile.TemporaryDirectory[str], path: Path, keep: Callable[[Path], T]) -> T:
    def work() -> T:
        with folder:
            return keep(path)

    importing = asyncio.ensure_future(asyncio.to_thread(work))
    importing.add_done_callback(_note)
    try:
        return await asyncio.wait_for(asyncio.shield(importing), IMPORTING_S)
    except TimeoutError:
        raise Unavailable("The file is still being looked at; look for what came of it in a while.") from None
    except BadBundle as error:
        raise BadBundle(_FOLDERS.sub("", error.message), field=error.field) from error


def _note(importing: asyncio.Future[T]) -> None:
    """Somebody may not have waited for it."""
    if not importing.cancelled() and (error := importing.exception()):
        log.info("not_imported", why=type(error).__name__)
