"""What happened day by day and how much there is of everything, counted where it lies: for the dashboard."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import func, select

from stt_server.store import votes
from stt_server.store.rights import Purpose
from stt_server.store.tables import CLIPS, CONSENTS, LEASES, PEOPLE

if TYPE_CHECKING:
    from sqlalchemy import Column, Connection

MOST_DAYS: Final = 92
_DAY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Day:
    """One day of UTC."""

    day: date
    clips: int  # that came and are still there
    opt_ins: int  # people who agreed to clips being kept
    withdrawals: int  # people who took everything back


@dataclass(frozen=True, slots=True)
class Queue:
    """How judging stands. Duplicates count as clips here."""

    waiting: int
    leased: int
    parked: int
    decided: int
    quarantined: int
    validated_s: float  # of speech whose words are agreed on


def days(connection: Connection, last: date, count: int) -> list[Day]:
    """So many days, oldest first, the last included. Raises ValueError for more than `MOST_DAYS`."""
    if not 0 < count <= MOST_DAYS:
        raise ValueError(f"{count} days are asked for")
    wanted = [last - _DAY * back for back in reversed(range(count))]
    clips = _by_day(connection, CLIPS.c.created, wanted)
    agreed = _by_day(connection, CONSENTS.c.given, wanted, CONSENTS.c.purposes.contains(Purpose.TRAINING.value))
    withdrawn = _by_day(connection, PEOPLE.c.withdrawn, wanted)
    return [Day(*each) for each in zip(wanted, clips, agreed, withdrawn, strict=True)]


def queue(connection: Connection) -> Queue:
    """How judging stands now."""
    rows = connection.execute(select(CLIPS.c.status, func.count().label("clips")).group_by(CLIPS.c.status))
    number: dict[str, int] = {row.status: row.clips for row in rows}
    leased = connection.scalar(select(func.count()).select_from(LEASES)) or 0
    statuses = {name: number.get(name, 0) for name in ("waiting", "parked", "decided", "quarantined")}
    return Queue(leased=leased, validated_s=votes.validated_s(connection), **statuses)


def _by_day(connection: Connection, moment: Column[Any], wanted: list[date], *only: Any) -> list[int]:
    """How many rows have that moment on each of the days. One column a day: databases cut days in ways of their own."""
    starts = [datetime.combine(day, time(), UTC) for day in [*wanted, wanted[-1] + _DAY]]
    each_day = [func.count().filter(moment >= start, moment < end) for start, end in pairwise(starts)]
    query = select(*each_day).where(moment >= starts[0], moment < starts[-1], *only)
    return list(connection.execute(query).one())
