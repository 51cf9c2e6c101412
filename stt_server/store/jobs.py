"""Jobs as rows: what was asked for, who works at it, how it ended. Server, workers and commands meet here alone.

    waiting ──claim──► running ──finish──► done
       ▲  ▲               │ ├────fail────► failed          bad input, or tried too often
       │  └──fail, later──┘ └──give_up───► cancelled       somebody wanted it to end
       └──────────────────── retry ◄────── failed, cancelled

A worker has a job by lease. Its heartbeat (`beat`) moves the lease on and hears whether somebody wants the job to end.
A lease that has run out belongs to whoever claims next, so a worker that died loses its job by itself. All
that a worker writes is fenced by (worker, attempt): one that was only slow, and has lost its job, cannot write into it.
On PostgreSQL claims step over rows that others are claiming (SKIP LOCKED); SQLite has one writer at a time.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import and_, delete, insert, literal, or_, select, update

from stt_server.errors import Conflict, NotFound
from stt_server.store.ids import new_id
from stt_server.store.tables import JOBS, NOTICES

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from sqlalchemy import ColumnElement, Connection, Row, Select

WAITING: Final = "waiting"
RUNNING: Final = "running"
DONE: Final = "done"
FAILED: Final = "failed"
CANCELLED: Final = "cancelled"
STATUSES: Final = (WAITING, RUNNING, DONE, FAILED, CANCELLED)
UNFINISHED: Final = (WAITING, RUNNING)

TRAIN: Final = "train"  # the one kind there is
MOST_ATTEMPTS: Final = 5
MOST_LISTED: Final = 500
LOG_LETTERS: Final = 20_000  # of the tail that a row keeps


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A row of `jobs`. Moments are UTC."""

    id: str
    kind: str
    status: str
    params: dict[str, Any]
    created: datetime
    created_by: str  # a key's id, "command", "schedule" or "clips"
    not_before: datetime | None
    attempt: int  # how often it was begun
    max_attempts: int
    worker: str | None
    lease_until: datetime | None
    cancel: bool
    stage: str
    progress: float  # 0 to 1
    log: str
    error: str
    result: dict[str, Any]
    started: datetime | None
    finished: datetime | None


def submit(
    connection: Connection,
    kind: str,
    params: Mapping[str, Any],
    by: str,
    now: datetime,
    *,
    max_attempts: int = MOST_ATTEMPTS,
) -> Job:
    """Ask for a job; a worker takes it when it can. `jobs.params` checks what its kind understands."""
    job = Job(
        id=new_id(),
        kind=kind,
        status=WAITING,
        params=dict(params),
        created=now,
        created_by=by,
        not_before=None,
        attempt=0,
        max_attempts=max_attempts,
        worker=None,
        lease_until=None,
        cancel=False,
        stage="",
        progress=0.0,
        log="",
        error="",
        result={},
        started=None,
        finished=None,
    )
    connection.execute(insert(JOBS).values({each.name: getattr(job, each.name) for each in fields(Job)}))
    return job


def get(connection: Connection, job_id: str) -> Job:
    """Raises NotFound."""
    row = connection.execute(select(JOBS).where(JOBS.c.id == job_id)).one_or_none()
    if row is None:
        raise NotFound(f"There is no job {job_id[:40]!r}; `earloop jobs list` shows them.", field="job")
    return _job(row)


def listed(connection: Connection, status: str | None = None, limit: int = 50) -> list[Job]:
    """The newest first, at most `MOST_LISTED`, without their logs; those of one status alone, where one is named."""
    columns = [column for column in JOBS.c if column.name != "log"]
    query: Select[Any] = select(*columns, literal("").label("log")).order_by(JOBS.c.created.desc(), JOBS.c.id)
    query = query.limit(min(limit, MOST_LISTED))
    if status is not None:
        query = query.where(JOBS.c.status == status)
    return [_job(row) for row in connection.execute(query)]


def claim(connection: Connection, worker: str, now: datetime, lease_s: float) -> Job | None:
    """Take the job that has waited longest, or one whose worker died; None where there is nothing to do.

    No two workers get the same. The caller has begun a writing transaction.
    """
    _bury(connection, now)
    free = or_(_waits(now), _left_behind(now))
    query = select(JOBS).where(free).order_by(JOBS.c.created, JOBS.c.id).limit(1)
    row = connection.execute(query.with_for_update(skip_locked=True)).one_or_none()
    if row is None:
        return None
    taken = {
        "status": RUNNING,
        "worker": worker,
        "attempt": row.attempt + 1,
        "lease_until": now + timedelta(seconds=lease_s),
        "not_before": None,
        "started": row.started or now,
        "error": "",
    }
    connection.execute(update(JOBS).where(JOBS.c.id == row.id).values(taken))
    return get(connection, row.id)


def beat(
    connection: Connection, job: Job, now: datetime, lease_s: float, *, stage: str, progress: float, log: str
) -> bool:
    """Keep the job a while longer and say how it goes; True where somebody wants it to end.

    Raises Conflict where it is another's by now: its worker must stop and leave no trace.
    """
    alive = {"lease_until": now + timedelta(seconds=lease_s), "stage": stage, "progress": progress, "log": _tail(log)}
    _set(connection, job, alive)
    return bool(connection.scalar(select(JOBS.c.cancel).where(JOBS.c.id == job.id)))


def note(connection: Connection, job: Job, found: Mapping[str, Any]) -> None:
    """Keep ids and figures of a job that goes on: a worker that resumes it reads them. Raises Conflict."""
    kept = connection.scalar(select(JOBS.c.result).where(JOBS.c.id == job.id)) or {}
    _set(connection, job, {"result": {**kept, **found}})


def finish(connection: Connection, job: Job, result: Mapping[str, Any], now: datetime) -> None:
    """It is done. Raises Conflict where it is another's by now."""
    _set(connection, job, {**_ended(DONE, now), "result": dict(result), "progress": 1.0})


def fail(connection: Connection, job: Job, error: str, now: datetime, *, again: datetime | None = None) -> None:
    """It failed, for good or, with `again`, to be begun once more from then on. Raises Conflict."""
    if again is None or job.attempt >= job.max_attempts:
        _set(connection, job, {**_ended(FAILED, now), "error": _tail(error)})
    else:
        _set(connection, job, {**_back(), "not_before": again, "error": _tail(error)})


def give_up(connection: Connection, job: Job, now: datetime) -> None:
    """It ended because somebody wanted that. Raises Conflict."""
    _set(connection, job, _ended(CANCELLED, now))


def release(connection: Connection, job: Job) -> None:
    """Put it back, for its worker was asked to stop; that counts as no attempt. Raises Conflict."""
    _set(connection, job, {**_back(), "attempt": job.attempt - 1})


def cancel(connection: Connection, job_id: str, now: datetime) -> Job:
    """End a job: one that waits at once, one that runs when its worker hears of it. Raises NotFound, Conflict."""
    job = _locked(connection, job_id)
    if job.status not in UNFINISHED:
        raise Conflict(f"Job {job_id} is {job.status}; there is nothing to cancel.", field="job")
    values: dict[str, Any] = {"cancel": True}
    if job.status == WAITING:
        values |= _ended(CANCELLED, now)
    connection.execute(update(JOBS).where(JOBS.c.id == job_id).values(values))
    return get(connection, job_id)


def retry(connection: Connection, job_id: str) -> Job:
    """Begin a job again that failed or was cancelled, with what its run folder has. Raises NotFound, Conflict."""
    job = _locked(connection, job_id)
    if job.status not in (FAILED, CANCELLED):
        raise Conflict(f"Job {job_id} is {job.status}; only a failed or cancelled one is begun again.", field="job")
    values = {**_back(), "attempt": 0, "cancel": False, "not_before": None, "error": "", "finished": None}
    connection.execute(update(JOBS).where(JOBS.c.id == job_id).values(values))
    connection.execute(delete(NOTICES).where(NOTICES.c.job_id == job_id))  # how it ends now is told anew
    return get(connection, job_id)


def _bury(connection: Connection, now: datetime) -> None:
    """End what nobody may begin again: it killed each of its workers, or its worker died while it was to end."""
    wanted = update(JOBS).where(_expired(now), JOBS.c.cancel)
    connection.execute(wanted.values(_ended(CANCELLED, now)))
    fatal = update(JOBS).where(_expired(now), JOBS.c.attempt >= JOBS.c.max_attempts)
    why = "Its worker died, as often as it was tried: out of memory? The log of the last one says more."
    connection.execute(fatal.values({**_ended(FAILED, now), "error": why}))


def _waits(now: datetime) -> ColumnElement[bool]:
    return and_(JOBS.c.status == WAITING, or_(JOBS.c.not_before.is_(None), JOBS.c.not_before <= now))


def _expired(now: datetime) -> ColumnElement[bool]:
    return and_(JOBS.c.status == RUNNING, JOBS.c.lease_until < now)


def _left_behind(now: datetime) -> ColumnElement[bool]:
    return and_(_expired(now), JOBS.c.attempt < JOBS.c.max_attempts, ~JOBS.c.cancel)


def _set(connection: Connection, job: Job, values: Mapping[str, Any]) -> None:
    mine = and_(
        JOBS.c.id == job.id, JOBS.c.status == RUNNING, JOBS.c.worker == job.worker, JOBS.c.attempt == job.attempt
    )
    if connection.execute(update(JOBS).where(mine).values(values)).rowcount != 1:
        raise Conflict(f"Job {job.id} is not this worker's any more.", field="job")


def _ended(status: str, now: datetime) -> dict[str, Any]:
    return {"status": status, "finished": now, "worker": None, "lease_until": None}


def _back() -> dict[str, Any]:
    return {"status": WAITING, "worker": None, "lease_until": None}


def _locked(connection: Connection, job_id: str) -> Job:
    connection.execute(select(JOBS.c.id).where(JOBS.c.id == job_id).with_for_update())
    return get(connection, job_id)


def _tail(text: str) -> str:
    """The end of it, as databases keep text: PostgreSQL takes no NUL."""
    return text.replace("\0", "")[-LOG_LETTERS:]


def _job(row: Row[Any]) -> Job:
    return Job(**{each.name: getattr(row, each.name) for each in fields(Job)})
