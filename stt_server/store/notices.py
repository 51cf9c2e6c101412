"""Notices: that a job ended, still to be told by webhook or e-mail. One row for a job and a channel.

The servers write the rows and tell them; whichever takes a row first moves its `next_try` on in the same transaction,
so that of several servers one tells, and another takes over where that one dies. A notice is told at least once.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from sqlalchemy import exists, func, select, update

from stt_server.store.ids import new_id
from stt_server.store.jobs import UNFINISHED, Job, get
from stt_server.store.tables import JOBS, NOTICES
from stt_server.store.upsert import insert_into

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy import Connection

FRESH: Final = timedelta(days=1)  # what ended longer ago than that is not told any more
LEASE: Final = timedelta(minutes=2)  # longer than telling takes; then another server may try
MOST_TAKEN: Final = 10


class Channel(StrEnum):
    """A way to tell."""

    WEBHOOK = "webhook"
    MAIL = "mail"


@dataclass(frozen=True, slots=True)
class Notice:
    """A row of `notices` that was taken to be told, with the job it is about."""

    id: str
    job: Job
    channel: Channel
    attempt: int  # 1 for the first


def open_for(connection: Connection, channels: Sequence[Channel], now: datetime) -> int:
    """Make a notice of every job that ended lately, for each channel that has none yet; says how many."""
    made = 0
    for channel in channels:
        told = exists().where(NOTICES.c.job_id == JOBS.c.id, NOTICES.c.channel == channel)
        query = select(JOBS.c.id).where(JOBS.c.status.not_in(UNFINISHED), JOBS.c.finished > now - FRESH, ~told)
        for job_id in connection.scalars(query.limit(MOST_TAKEN)).all():
            row = {"id": new_id(), "job_id": job_id, "channel": channel, "attempt": 0, "error": ""}
            adding = insert_into(connection, NOTICES).values(row | {"next_try": now, "told": None})
            made += connection.execute(adding.on_conflict_do_nothing(index_elements=["job_id", "channel"])).rowcount
    return made


def any_due(connection: Connection, channels: Sequence[Channel], now: datetime) -> bool:
    """Whether there is something to do: looked at before anything is written."""
    if not channels:
        return False
    due = select(NOTICES.c.id).where(NOTICES.c.next_try <= now, NOTICES.c.channel.in_(channels)).limit(1)
    ended = select(JOBS.c.id).where(JOBS.c.status.not_in(UNFINISHED), JOBS.c.finished > now - FRESH)
    known = select(func.count()).where(NOTICES.c.job_id == JOBS.c.id, NOTICES.c.channel.in_(channels))
    untold = ended.where(known.scalar_subquery() < len(channels)).limit(1)
    return connection.scalar(due) is not None or connection.scalar(untold) is not None


def take(connection: Connection, channels: Sequence[Channel], now: datetime) -> list[Notice]:
    """Notices whose time has come; whoever takes them has `LEASE` to tell them. The caller writes."""
    due = select(NOTICES).where(NOTICES.c.next_try <= now, NOTICES.c.channel.in_(channels))
    rows = connection.execute(due.order_by(NOTICES.c.next_try).limit(MOST_TAKEN).with_for_update(skip_locked=True))
    taken = []
    for row in rows.all():
        values = {"attempt": row.attempt + 1, "next_try": now + LEASE}
        connection.execute(update(NOTICES).where(NOTICES.c.id == row.id).values(values))
        taken.append(Notice(row.id, get(connection, row.job_id), Channel(row.channel), row.attempt + 1))
    return taken


def set_told(connection: Connection, notice: Notice, now: datetime) -> None:
    """It arrived."""
    _set(connection, notice, {"told": now, "next_try": None, "error": ""})


def set_failed(connection: Connection, notice: Notice, error: str, again: datetime | None) -> None:
    """It did not arrive; it is tried again from then on, or, with None, given up."""
    _set(connection, notice, {"next_try": again, "error": error[:1000]})


def _set(connection: Connection, notice: Notice, values: dict[str, object]) -> None:
    """Only by who took it last: a slow server does not undo what another has done."""
    mine = (NOTICES.c.id == notice.id, NOTICES.c.attempt == notice.attempt)
    connection.execute(update(NOTICES).where(*mine).values(values))
