"""Changing one's mind: the one function through which everything of somebody goes, and what makes it certain.

    withdraw ──► consent and their own models end ──► clips leave, a batch a transaction ──► bytes are deleted
                                                                                                  ▲
    erase_pending, every 15 s in a server ─── what a crash or an object store that was away has left ┘

Each step is written down before the next begins, so that one cut off anywhere is gone on with by the next
`erase_pending`, in whatever process. A row of `erasures` goes when its bytes are gone and SQLite's write-ahead log
holds nothing of the deleted rows any more.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from stt_server.catalog.lineage import heirs_of
from stt_server.catalog.promotion import retire
from stt_server.errors import EarloopError
from stt_server.logs import EventLog
from stt_server.store import audit, consents, erasures, people
from stt_server.store.ring import now
from stt_server.store.withdrawal import Removed, Why, remove_clips, remove_some, unfinished

if TYPE_CHECKING:
    from stt_server.store.database import Database
    from stt_server.store.objects import ObjectStore

PAGE: Final = 500  # objects deleted between two looks into the database
THREADS: Final = 8  # deleting waits for a disk or a network: 10 000 clips took 20 s one after the other, 4 s so

log = EventLog("consent")


@dataclass(frozen=True, slots=True)
class Report:
    """What a withdrawal took. `snapshots` are the ids of earlier snapshots that refuse those clips from now on.

    `models` are those that learned from one of these, directly or through a model they were tuned from: name@version.
    """

    clips: int
    votes: int
    snapshots: tuple[str, ...]
    models: tuple[str, ...]
    left: int  # objects whose bytes are still there, because the store was away; they are tried again


def withdraw(database: Database, objects: ObjectStore, person_id: str, actor: str) -> Report:
    """Take back all that somebody gave. Blocking; when it returns no row of theirs is left, and if `left` is 0 no byte.

    Raises NotFound for nobody, and Unavailable, after which `erase_pending` goes on with it.
    """
    with database.write() as connection:
        people.get(connection, person_id)
        people.set_withdrawn(connection, person_id, now())
        ended, own = consents.end(connection, person_id, now()), retire(connection, person_id, actor)
        audit.note(connection, now(), "consent_withdrawn", actor, person_id, consents=ended, models=own)
    removed = _remove_all(database, person_id, actor)
    log.info("withdrawn", person=person_id, clips=removed.clips, snapshots=len(removed.snapshots))
    return _report(database, objects, removed)


def take_back(database: Database, objects: ObjectStore, clip_ids: list[str], actor: str, why: Why) -> Report:
    """Let single clips leave, bytes and all. Blocking. Raises Unavailable."""
    with database.write() as connection:
        removed = remove_clips(connection, clip_ids, actor, why, actor if why is Why.OWNER else "clips")
    return _report(database, objects, removed)


def erase_pending(database: Database, objects: ObjectStore) -> int:
    """Finish what was cut off, delete the bytes that nothing points to any more; says how many objects that were.

    Blocking. Raises Unavailable where the database or the object store is away; the rest is done next time.
    """
    with database.read() as connection:
        cut_off = unfinished(connection)
    for person_id in cut_off:
        _remove_all(database, person_id, audit.SERVER)
    erased = _delete(database, objects)
    if not erased or not database.scrub():  # somebody reads: the rows stay, and with them the next attempt
        return 0
    for start in range(0, len(erased), PAGE):
        with database.write() as connection:
            erasures.done(connection, erased[start : start + PAGE])
    return len(erased)


def _delete(database: Database, objects: ObjectStore) -> list[str]:
    """Delete all bytes that must go; their keys."""
    erased: list[str] = []
    with ThreadPoolExecutor(THREADS, thread_name_prefix="earloop-erase") as threads:
        while keys := _next_page(database, erased[-1] if erased else ""):
            list(threads.map(objects.delete, keys))  # raises what one of them raised
            erased += keys
    return erased


def _remove_all(database: Database, person_id: str, actor: str) -> Removed:
    total = Removed()
    while True:
        with database.write() as connection:
            removed = remove_some(connection, person_id, actor)
            if not removed.clips:
                told = {"clips": total.clips, "votes": total.votes, "snapshots": len(total.snapshots)}
                audit.note(connection, now(), "withdrawal_done", actor, person_id, **told)
                return total
        total += removed


def _report(database: Database, objects: ObjectStore, removed: Removed) -> Report:
    try:
        erase_pending(database, objects)
    except EarloopError as error:  # the rows are gone and cannot come back; the bytes are tried again
        log.warning("bytes_not_erased", why=error.message)
    with database.read() as connection:
        left = erasures.count(connection)
        learned = tuple(model.ref for model in heirs_of(connection, removed.snapshots))
    return Report(removed.clips, removed.votes, tuple(sorted(removed.snapshots)), learned, left)


def _next_page(database: Database, after: str) -> list[str]:
    with database.read() as connection:
        return erasures.pending(connection, PAGE, after)
