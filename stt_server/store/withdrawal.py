"""How a clip leaves: the one way, whoever asks for it and why.

    rows of leases, votes, skips and datasets     deleted
    rows of snapshots made before                 tombstones: no text, and a moment from which they must not be used
    the clip's own row                            deleted, with all its texts
    gate reports that showed it                   no utterance of it, and their pages erased (`reports.py`)
    its bytes                                     asked to be erased (`erasures.py`), deleted after the commit
    the audit log                                 how many of each, by whom, why

All in the caller's transaction. Clips are locked first, so that a vote or a lease comes before and goes too, or comes
after and finds no clip.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from itertools import groupby
from typing import TYPE_CHECKING, Final

from sqlalchemy import and_, delete, select, update

from stt_server.store import audit, erasures, reports
from stt_server.store.rights import Purpose
from stt_server.store.ring import now
from stt_server.store.tables import CLIPS, DATASET_CLIPS, LEASES, PEOPLE, SKIPS, SNAPSHOT_CLIPS, SNAPSHOTS, VOTES

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from sqlalchemy import ColumnElement, Connection

BATCH: Final = 500  # clips in one statement; databases bound the parameters of one


class Why(StrEnum):
    """Why clips leave."""

    WITHDRAWAL = "withdrawal"  # their person takes back all
    OWNER = "owner"  # their person takes back these
    CURATOR = "curator"
    EXPIRY = "expiry"  # nobody judged them in time
    LOST = "lost"  # their bytes are gone from the object store


@dataclass(frozen=True, slots=True)
class Removed:
    """What went. `snapshots` are ids of those that have tombstones now; what learned from one is known by its id."""

    clips: int = 0
    votes: int = 0
    snapshots: frozenset[str] = frozenset()

    def __add__(self, other: Removed) -> Removed:
        return Removed(self.clips + other.clips, self.votes + other.votes, self.snapshots | other.snapshots)


def remove_clips(
    connection: Connection, clip_ids: Iterable[str], actor: str, why: Why, subject: str = "clips"
) -> Removed:
    """Let clips leave; those that are gone already are not counted. `subject` is whose they are, for the audit log."""
    moment, removed, asked = now(), Removed(), list(dict.fromkeys(clip_ids))
    for start in range(0, len(asked), BATCH):
        removed += _remove(connection, asked[start : start + BATCH], moment)
    if removed.clips:
        told = {"clips": removed.clips, "votes": removed.votes, "snapshots": len(removed.snapshots)}
        audit.note(connection, moment, "clips_removed", actor, subject, why=why.value, **told)
    return removed


def remove_some(connection: Connection, person_id: str, actor: str, limit: int = BATCH) -> Removed:
    """Let some of the clips of somebody who withdrew leave; nothing removed means that none is left."""
    theirs = select(CLIPS.c.id).where(CLIPS.c.person_id == person_id).order_by(CLIPS.c.id).limit(limit)
    return remove_clips(connection, connection.scalars(theirs).all(), actor, Why.WITHDRAWAL, person_id)


def unfinished(connection: Connection) -> list[str]:
    """The ids of people who withdrew and of whom there still are clips: a withdrawal was cut off."""
    query = select(CLIPS.c.person_id).join(PEOPLE, PEOPLE.c.id == CLIPS.c.person_id)
    return list(connection.scalars(query.where(PEOPLE.c.withdrawn.is_not(None)).distinct()))


def narrow(connection: Connection, person_id: str, purposes: frozenset[Purpose]) -> int:
    """Take all other purposes from somebody's clips that were kept by consent; says how many snapshots that changed.

    Training is not among what can be taken back here: without it a clip has no purpose and must leave.
    """
    theirs = and_(CLIPS.c.person_id == person_id, CLIPS.c.consent_id.is_not(None))
    for known in connection.scalars(select(CLIPS.c.purposes).where(theirs).distinct()).all():
        left = " ".join(sorted(set(known.split()) & purposes))
        connection.execute(update(CLIPS).where(theirs, CLIPS.c.purposes == known).values(purposes=left))
    if Purpose.RELEASE in purposes:
        return 0
    public = SNAPSHOT_CLIPS.c.snapshot_id.in_(select(SNAPSHOTS.c.id).where(SNAPSHOTS.c.purpose == Purpose.RELEASE))
    return len(_bury(connection, and_(SNAPSHOT_CLIPS.c.clip_id.in_(select(CLIPS.c.id).where(theirs)), public), now()))


def _remove(connection: Connection, clip_ids: Sequence[str], moment: datetime) -> Removed:
    """At most BATCH clips."""
    query = select(CLIPS.c.id, CLIPS.c.object_key).where(CLIPS.c.id.in_(clip_ids)).order_by(CLIPS.c.id)
    rows = connection.execute(query.with_for_update()).all()
    ids = [row.id for row in rows]
    if not ids:
        return Removed()
    _free_duplicates(connection, ids)
    votes = connection.execute(delete(VOTES).where(VOTES.c.clip_id.in_(ids))).rowcount
    for table in (LEASES, SKIPS, DATASET_CLIPS):
        connection.execute(delete(table).where(table.c.clip_id.in_(ids)))
    snapshots = _bury(connection, SNAPSHOT_CLIPS.c.clip_id.in_(ids), moment)
    reports.forget(connection, ids, moment)
    erasures.ask(connection, [row.object_key for row in rows], moment)
    connection.execute(delete(CLIPS).where(CLIPS.c.id.in_(ids)))
    return Removed(len(ids), votes, snapshots)


def _bury(connection: Connection, which: ColumnElement[bool], moment: datetime) -> frozenset[str]:
    """Make tombstones of rows of snapshots; says of which snapshots."""
    alive = and_(which, SNAPSHOT_CLIPS.c.withdrawn.is_(None))
    found = frozenset(connection.scalars(select(SNAPSHOT_CLIPS.c.snapshot_id).where(alive).distinct()))
    connection.execute(update(SNAPSHOT_CLIPS).where(alive).values(text=None, withdrawn=moment))
    return found


def _free_duplicates(connection: Connection, leaving: Sequence[str]) -> None:
    """What was judged together with a clip that leaves is judged with the oldest of its duplicates instead."""
    staying = and_(CLIPS.c.duplicate_of.in_(leaving), CLIPS.c.id.not_in(leaving))
    query = select(CLIPS.c.id, CLIPS.c.duplicate_of).where(staying)
    rows = connection.execute(query.order_by(CLIPS.c.duplicate_of, CLIPS.c.created, CLIPS.c.id)).all()
    for _, group in groupby(rows, key=lambda row: row.duplicate_of):
        first, *others = [row.id for row in group]
        connection.execute(update(CLIPS).where(CLIPS.c.id.in_(others)).values(duplicate_of=first))
        connection.execute(update(CLIPS).where(CLIPS.c.id == first).values(duplicate_of=None))
    connection.execute(update(CLIPS).where(CLIPS.c.id.in_(leaving)).values(duplicate_of=None))
