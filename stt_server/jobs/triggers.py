"""When training begins by itself: by the clock, or when enough validated clips wait. The servers ask every few seconds.

One run of a dataset at a time: while one waits or runs, no other is asked for. Clips count as new from when the last
run was asked for, whoever asked and however it ended, so that a run that fails does not come again at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from stt_server.errors import NotFound
from stt_server.jobs.asking import ask_within
from stt_server.jobs.schedule import Schedule, read_schedule
from stt_server.store import datasets, jobs, migrate, snapshots
from stt_server.store.jobs import MOST_LISTED, UNFINISHED
from stt_server.store.rights import Purpose

if TYPE_CHECKING:
    from datetime import datetime

    from stt_server.settings import Settings
    from stt_server.store.database import Connection, Database
    from stt_server.store.jobs import Job

SCHEDULE = "schedule"
CLIPS = "clips"


@dataclass(frozen=True, slots=True)
class Terms:
    """What the settings say: which dataset is learned from, when, after how many clips (0: never), and what then."""

    dataset: str
    schedule: Schedule | None
    after_clips: int
    promote: Literal["never", "gated"]

    @property
    def any(self) -> bool:
        return self.schedule is not None or self.after_clips > 0


def terms_of(settings: Settings) -> Terms:
    """Raises BadOption for a schedule that is none."""
    schedule = read_schedule(settings.train_at)
    return Terms(settings.train_dataset, schedule, settings.train_after_clips, settings.train_promote)


def fire(database: Database, terms: Terms, now: datetime) -> Job | None:
    """Ask for a run where one is due. Of servers that ask at once, one does. Raises as `ask`."""
    if not terms.any:
        return None
    datasets.settle(database, now)
    with database.read() as connection:
        if due(connection, terms, now) is None:
            return None
    with database.write() as connection:
        migrate.lock(connection)
        why = due(connection, terms, now)  # again, now that nobody else can
        return ask_within(connection, {"dataset": terms.dataset, "promote": terms.promote}, why) if why else None


def due(connection: Connection, terms: Terms, now: datetime) -> str | None:
    """By what a run is due: `schedule`, `clips` or nothing. A dataset that is not there yet has none due."""
    mine = [job for job in jobs.listed(connection, limit=MOST_LISTED) if job.params.get("dataset") == terms.dataset]
    if any(job.status in UNFINISHED for job in mine):
        return None
    try:
        datasets.get(connection, terms.dataset)
    except NotFound:
        return None
    by_clock = next((job.created for job in mine if job.created_by == SCHEDULE), None)
    if terms.schedule is not None and terms.schedule.is_due(now, by_clock):
        return SCHEDULE
    if terms.after_clips and _fresh(connection, terms.dataset, now, mine) >= terms.after_clips:
        return CLIPS
    return None


def _fresh(connection: Connection, dataset: str, now: datetime, before: list[Job]) -> int:
    since = before[0].created if before else None  # the newest is first
    return snapshots.decided_since(connection, dataset, Purpose.TRAINING, now, since)
