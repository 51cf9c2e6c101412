"""The heartbeat of a job: a thread that keeps its lease, tells how it goes, and hears what somebody wants of it."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Final, Self

from stt_server.errors import Conflict, EarloopError
from stt_server.logs import EventLog
from stt_server.store import jobs
from stt_server.store.ring import now
from training.worker.wishes import Left, Wish

if TYPE_CHECKING:
    from collections.abc import Callable

    from stt_server.store.database import Connection, Database
    from stt_server.store.jobs import Job
    from training.worker.diary import Diary

BEAT_S: Final = 2.0  # so that cancelling is heard of in seconds
LOOK_S: Final = 10.0  # between two looks whether a clip of the job was withdrawn
END_S: Final = 30.0  # a beat that hangs in the database has given up by then

log = EventLog("worker")


class Heart:
    """Beats while it is entered. `stopping` says that the worker is to end; `is_spoilt` that a clip was withdrawn."""

    def __init__(self, database: Database, job: Job, diary: Diary, lease_s: float, stopping: threading.Event) -> None:
        self._database, self._job, self._diary = database, job, diary
        self._lease_s, self._stopping = lease_s, stopping
        self._wish: Wish | None = None
        self._still = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"earloop-heart-{job.id}", daemon=True)
        self.is_spoilt: Callable[[], bool] = lambda: False

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._still.set()
        self._thread.join(END_S)

    @property
    def wish(self) -> Wish | None:
        """What is wanted now; the most pressing first."""
        return self._wish or (Wish.STOP if self._stopping.is_set() else None)

    def renew(self) -> None:
        """The job has begun anew."""
        if self._wish is Wish.RESTART:
            self._wish = None

    def ask(self) -> None:
        """Raises Left where the job is not to go on."""
        if (wish := self.wish) is not None:
            raise Left(wish)

    def _run(self) -> None:
        try:
            self._beat_on()
        except BaseException:  # without a heart nobody works at the job
            self._wish = Wish.LOST
            raise

    def _beat_on(self) -> None:
        kept = looked = time.monotonic()
        while not self._still.wait(min(BEAT_S, self._lease_s / 4)):
            try:
                self._beat()
                kept = time.monotonic()
                if time.monotonic() - looked > LOOK_S:
                    looked = time.monotonic()
                    self._look()
            except Conflict:
                self._wish = Wish.LOST
                return
            except EarloopError as error:
                log.warning("no_beat", job=self._job.id, why=error.message)
                if time.monotonic() - kept > self._lease_s:  # somebody else has it by now, or will
                    self._wish = Wish.LOST
                    return

    def _beat(self) -> None:
        with self._database.write() as connection:
            if beat(connection, self._job, self._diary, self._lease_s):
                self._wish = Wish.CANCEL

    def _look(self) -> None:
        if self._wish is None and self.is_spoilt():
            self._wish = Wish.RESTART


def beat(connection: Connection, job: Job, diary: Diary, lease_s: float) -> bool:
    """Write into the job's row how it goes; True where somebody wants it to end. Raises Conflict."""
    page = diary.page()
    return jobs.beat(connection, job, now(), lease_s, stage=page.stage, progress=page.progress, log=page.log)
