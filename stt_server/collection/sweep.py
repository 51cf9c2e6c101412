"""What puts the object store and the rows in order again, whatever a crash has left.

| found | done |
| --- | --- |
| bytes without a row, older than `GRACE` | deleted: the clip was never kept |
| what was being written, as old | deleted |
| a model's bundle, a language model or a gate report's page without a row, as old | deleted |
| a row without bytes, as old | the clip leaves, by the one way clips leave |
| a clip that nobody judged until it expired | leaves |
| on this machine, the unpacked bundle of a model that was removed | deleted (`catalog.places`) |
| bytes that were asked to be erased and are still there | deleted (`withdrawal.erase_pending`) |

A folder that is not mounted, or another bucket, looks like a store that has lost all: so the store holds a mark of the
database that it belongs to, and without it nothing is touched. The store is gone through in 256 parts by the keys'
first letters, so that memory holds one of them only.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from stt_server.catalog.places import drop_removed
from stt_server.collection.withdrawal import erase_pending
from stt_server.errors import EarloopError, NotFound, Unavailable
from stt_server.logs import EventLog
from stt_server.store import audit, clips, language_models, models, reports
from stt_server.store.objects import CLIPS, INCOMING
from stt_server.store.withdrawal import Why, remove_clips
from stt_server.tasks import ended, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from stt_server.metrics import Metrics
    from stt_server.store.database import Database
    from stt_server.store.objects import ObjectStore

MARK: Final = "earloop.txt"
GRACE: Final = timedelta(seconds=60)  # from bytes to row it is 35 s at the most: what stores and databases wait
ERASE_S: Final = 15.0  # how often what was asked to go is looked for: a withdrawal is through within a minute
SWEEP_S: Final = 600.0
FIRST_S: Final = 65.0  # after the start, when what a crash has left is older than GRACE
CLOSE_S: Final = 10.0
PARTS: Final = tuple(f"{part:02x}" for part in range(256))

log = EventLog("sweep")


@dataclass(frozen=True, slots=True)
class Swept:
    """What a sweep found and put right."""

    bytes_without_row: int = 0
    rows_without_bytes: int = 0
    expired: int = 0


def sweep(database: Database, objects: ObjectStore, grace: timedelta = GRACE) -> Swept:
    """Put all in order. Blocking. Raises Unavailable where a store is away or is not the database's."""
    moment = datetime.now(UTC)
    _check_mark(database, objects)
    erase_pending(database, objects)
    loose = _drop(objects, _old(objects, INCOMING, moment - grace))
    loose += _drop(objects, _models_without_row(database, objects, moment - grace))
    torn = 0
    for part in PARTS:
        more_loose, more_torn = _sweep_part(database, objects, part, moment - grace)
        loose, torn = loose + more_loose, torn + more_torn
    expired = expire(database, moment)
    erase_pending(database, objects)
    return Swept(loose, torn, expired)


def expire(database: Database, moment: datetime) -> int:
    """Let clips leave that nobody judged in time; says how many."""
    with database.write() as connection:
        return remove_clips(connection, clips.expired(connection, moment), audit.SERVER, Why.EXPIRY).clips


def _check_mark(database: Database, objects: ObjectStore) -> None:
    """Raises Unavailable for a store without the mark where clips are expected in it."""
    try:
        objects.size(MARK)
    except NotFound:
        with database.read() as connection:
            expected = clips.any_at_all(connection)
        if expected and next(iter(objects.each(CLIPS)), None) is None:
            raise Unavailable(
                f"The object store {objects.place} holds none of the clips that the database knows; is it mounted?"
            ) from None
        objects.put(MARK, b"Audio of Earloop's clips. Their database says what each is; do not change them by hand.\n")


def _sweep_part(database: Database, objects: ObjectStore, part: str, before: datetime) -> tuple[int, int]:
    """How many objects without a row and rows without an object were put right, of ids that begin with `part`."""
    there = dict(objects.each(f"{CLIPS}{part}/"))
    with database.read() as connection:  # after the listing: whoever has a row by now had bytes before
        known = clips.objects_of(connection, part)
    loose = _drop(objects, (key for key, written in there.items() if key not in known and written < before))
    lost = [ident for key, (ident, created) in known.items() if key not in there and created < before]
    torn = [ident for ident in lost if not _is_there(database, objects, ident)]
    if torn:
        with database.write() as connection:
            remove_clips(connection, torn, audit.SERVER, Why.LOST)
        log.error("clips_without_bytes", clips=len(torn), store=objects.place)
    return loose, len(torn)


def _models_without_row(database: Database, objects: ObjectStore, before: datetime) -> Iterator[str]:
    """Bundles, language models and pages of reports whose rows a crash has prevented; what was asked to be erased is
    among them.
    """
    prefixes = (models.PREFIX, reports.PREFIX, language_models.PREFIX)
    there = [key for prefix in prefixes for key in _old(objects, prefix, before)]
    with database.read() as connection:
        known = frozenset(models.objects_of(connection) + language_models.objects_of(connection))
    return (key for key in there if key not in known)


def _is_there(database: Database, objects: ObjectStore, clip_id: str) -> bool:
    """A second look, by the key itself: a listing may be old, and the clip may have left meanwhile."""
    with database.read() as connection, suppress(NotFound):
        objects.size(clips.get(connection, clip_id).object_key)
        return True
    return False


def _old(objects: ObjectStore, prefix: str, before: datetime) -> Iterator[str]:
    return (key for key, written in objects.each(prefix) if written < before)


def _drop(objects: ObjectStore, keys: Iterable[str]) -> int:
    dropped = 0
    for key in list(keys):
        objects.delete(key)
        dropped += 1
    return dropped


class Sweeping:
    """A server's task that sweeps now and then; made on its event loop."""

    def __init__(self, database: Database, objects: ObjectStore, metrics: Metrics, data: Path) -> None:
        self._database, self._objects, self._metrics, self._data = database, objects, metrics, data
        self._closing = asyncio.Event()
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        self._closing.set()
        await ended(self._task, CLOSE_S)

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time() + FIRST_S
        while not self._closing.is_set():
            if is_due := loop.time() >= due:
                due = loop.time() + SWEEP_S
            await self._once(all_of_it=is_due)
            await wait_for(self._closing, ERASE_S)

    async def _once(self, *, all_of_it: bool) -> None:
        try:
            await asyncio.to_thread(drop_removed, self._database, self._data)
            if all_of_it:
                swept = await asyncio.to_thread(sweep, self._database, self._objects)
                log.info("swept", loose=swept.bytes_without_row, torn=swept.rows_without_bytes, expired=swept.expired)
            else:
                await asyncio.to_thread(erase_pending, self._database, self._objects)
        except EarloopError as error:
            self._metrics.store_failed()
            log.warning("not_swept", why=error.message)
