"""The tagging queue's rows: which clip somebody gets next, and the lease that keeps others from it meanwhile.

`leases` has one row per clip, by its primary key; taking a clip is one statement that writes the row unless there is
one that still runs. So a clip cannot be leased twice, whatever asks at once. On PostgreSQL those who look for a clip
step over those that others are looking at (`FOR UPDATE SKIP LOCKED`); SQLite has one writer at a time anyway.

Locks are taken in one order everywhere: the person, then the clip. An expired lease stays until somebody else takes the
clip: a vote that comes late still counts when nobody was kept from the clip by waiting for it.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sqlalchemy import and_, delete, exists, func, or_, select, update

from stt_server.errors import Busy, Conflict, Forbidden
from stt_server.store import clips, consents
from stt_server.store.rights import Purpose
from stt_server.store.tables import CLIPS, LEASES, PEOPLE, SKIPS, VOTES
from stt_server.store.upsert import insert_into

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from sqlalchemy import ColumnElement, Connection, Executable

    from stt_server.store.clips import KeptClip

ID_BYTES: Final = 16
ATTEMPTS: Final = 50  # each finds another clip, for the last one was taken while it was looked at
MOST_COUNTED: Final = 1000

_COPIES: Final = CLIPS.alias("copies")


@dataclass(frozen=True, slots=True)
class Lease:
    """One clip, for one person, until a moment. The vote that ends it takes its id."""

    id: str
    clip_id: str
    person_id: str
    leased: datetime
    expires: datetime


def lock_person(connection: Connection, person_id: str) -> None:
    """Let nobody else act for this person until the transaction ends. Raises Forbidden for who has withdrawn."""
    query = select(PEOPLE.c.withdrawn).where(PEOPLE.c.id == person_id).with_for_update(key_share=True)
    row = connection.execute(query).one_or_none()
    if row is None or row.withdrawn is not None:
        raise Forbidden("Who has withdrawn judges no clips; agree anew first, or come with another token.")


def lock_clip(connection: Connection, clip_id: str) -> KeptClip:
    """The clip, its judging locked until the transaction ends. Raises NotFound."""
    connection.execute(select(CLIPS.c.id).where(CLIPS.c.id == clip_id).with_for_update(key_share=True))
    return clips.get(connection, clip_id)


def lock_original(connection: Connection, clip_id: str) -> KeptClip:
    """The same for the clip that this one is judged with, where it is a duplicate. Raises NotFound."""
    clip = clips.get(connection, clip_id)
    return lock_clip(connection, clip.duplicate_of or clip.id)


def held(connection: Connection, person_id: str, now: datetime) -> Lease | None:
    """The lease that somebody has and that still runs; the newest, should there be several."""
    query = select(LEASES).where(LEASES.c.person_id == person_id, LEASES.c.expires > now)
    row = connection.execute(query.order_by(LEASES.c.leased.desc()).limit(1)).one_or_none()
    return None if row is None else Lease(row.id, row.clip_id, row.person_id, row.leased, row.expires)


def find(connection: Connection, lease_id: str, person_id: str) -> Lease | None:
    """A lease by its id, also one that has expired; None where somebody else has the clip now, or always had it."""
    query = select(LEASES).where(LEASES.c.id == lease_id, LEASES.c.person_id == person_id)
    row = connection.execute(query).one_or_none()
    return None if row is None else Lease(row.id, row.clip_id, row.person_id, row.leased, row.expires)


def take(
    connection: Connection, person_id: str, now: datetime, lasts: timedelta, *, gold: bool = False
) -> Lease | None:
    """Lease the clip whose judgement is worth most, or a gold one; None where nothing is left for this person."""
    for _ in range(ATTEMPTS):
        clip_id: str | None = connection.scalar(_next(person_id, now, gold=gold))
        if clip_id is None:
            return None
        if lease := take_clip(connection, clip_id, person_id, now, lasts):
            return lease
    raise Busy("Too many ask for clips at once; try again.")


def take_clip(connection: Connection, clip_id: str, person_id: str, now: datetime, lasts: timedelta) -> Lease | None:
    """Lease this clip; None where somebody else has it."""
    lease = Lease(secrets.token_hex(ID_BYTES), clip_id, person_id, now, now + lasts)
    row = {"id": lease.id, "person_id": person_id, "leased": now, "expires": lease.expires}
    free = or_(LEASES.c.expires <= now, LEASES.c.person_id == person_id)
    taking = insert_into(connection, LEASES).values(clip_id=clip_id, **row)
    taking = taking.on_conflict_do_update(index_elements=[LEASES.c.clip_id], set_=row, where=free)
    return lease if connection.scalar(taking.returning(LEASES.c.id)) else None


def extend(connection: Connection, lease_id: str, person_id: str, expires: datetime) -> None:
    """Let a lease run longer, also one that has expired. Raises Conflict where the clip is somebody else's now."""
    mine = and_(LEASES.c.id == lease_id, LEASES.c.person_id == person_id)
    if connection.execute(update(LEASES).where(mine).values(expires=expires)).rowcount != 1:
        raise ended()


def ended() -> Conflict:
    """What to say of a lease that is not there any more."""
    return Conflict("This lease has ended: the clip was judged or went to somebody else. Ask for the next one.")


def release(connection: Connection, clip_id: str) -> None:
    """End the lease of a clip, whoever has it."""
    connection.execute(delete(LEASES).where(LEASES.c.clip_id == clip_id))


def left(connection: Connection, person_id: str, now: datetime) -> int:
    """How many clips wait that this person may get; counted up to `MOST_COUNTED`."""
    waiting = select(CLIPS.c.id).where(*_waiting(person_id, now)).limit(MOST_COUNTED)
    return connection.scalar(select(func.count()).select_from(waiting.subquery())) or 0


def _next(person_id: str, now: datetime, *, gold: bool) -> Executable:
    conditions = _gold(person_id, now) if gold else _waiting(person_id, now)
    query = select(CLIPS.c.id).where(*conditions).order_by(CLIPS.c.value.desc(), CLIPS.c.created, CLIPS.c.id)
    return query.limit(1).with_for_update(of=CLIPS, key_share=True, skip_locked=True)


def _waiting(person_id: str, now: datetime) -> list[ColumnElement[bool]]:
    """Somebody's own clips come when another has judged them, so that nobody decides on them alone."""
    return [
        CLIPS.c.status == "waiting",
        CLIPS.c.duplicate_of.is_(None),
        ~clips.has_expired(now),
        or_(_by_others(person_id), _judged_by_another(person_id)),
        *_free(person_id, now),
    ]


def _gold(person_id: str, now: datetime) -> list[ColumnElement[bool]]:
    return [CLIPS.c.status == "decided", CLIPS.c.gold, _by_others(person_id), *_free(person_id, now)]


def _free(person_id: str, now: datetime) -> list[ColumnElement[bool]]:
    """Its giver agrees still, nobody has it now, this person has neither judged it in this round nor passed it over."""
    leased = exists().where(LEASES.c.clip_id == CLIPS.c.id, LEASES.c.expires > now)
    skipped = exists().where(SKIPS.c.clip_id == CLIPS.c.id, SKIPS.c.person_id == person_id)
    return [consents.covers(Purpose.TRAINING, now), ~leased, ~_has_vote(VOTES.c.person_id == person_id), ~skipped]


def _by_others(person_id: str) -> ColumnElement[bool]:
    """Given by others, and its duplicates too."""
    copies = exists().where(_COPIES.c.duplicate_of == CLIPS.c.id, _COPIES.c.person_id == person_id)
    return and_(or_(CLIPS.c.person_id.is_(None), CLIPS.c.person_id != person_id), ~copies)


def _judged_by_another(person_id: str) -> ColumnElement[bool]:
    return _has_vote(VOTES.c.person_id != person_id)


def _has_vote(by: ColumnElement[bool]) -> ColumnElement[bool]:
    return exists().where(VOTES.c.clip_id == CLIPS.c.id, VOTES.c.round == CLIPS.c.round, by)
