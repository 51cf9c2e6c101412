"""What a worker does all day: claim a job, do it, say how it ended; look for the next one."""

from __future__ import annotations

import random
import secrets
import shutil
import socket
import time
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from stt_server.errors import EarloopError, Internal, NotFound, Unavailable
from stt_server.jobs.params import read_params
from stt_server.jobs.retrying import may_pass, wait_s
from stt_server.logs import EventLog
from stt_server.store import jobs
from stt_server.store.database import open_database
from stt_server.store.ids import is_id
from stt_server.store.objects import open_objects
from stt_server.store.ring import now
from training.worker.child import OUTPUT
from training.worker.diary import Diary
from training.worker.heart import Heart, beat
from training.worker.material import clear_material
from training.worker.stages import train
from training.worker.wishes import Left, Wish
from training.worker.work import CACHE, FIT, GATE, RUNS, SAMPLES, Work

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable
    from pathlib import Path

    from stt_server.settings import Settings
    from stt_server.store.database import Connection, Database
    from stt_server.store.jobs import Job
    from stt_server.store.objects import ObjectStore

POLL_S: Final = 2.0
LEASE_S: Final = 60.0
RESTARTS: Final = 5  # a dataset from which people withdraw as fast as it is learned is not learned from
KEPT: Final = timedelta(days=7)  # the folder of a job that failed or was cancelled, for `retry`
SWEEP_S: Final = 3600.0

log = EventLog("worker")


def worker_name() -> str:
    """Another one for every worker: what it writes is fenced by it."""
    return f"{socket.gethostname()[:60]}-{secrets.token_hex(4)}"


@dataclass(frozen=True, slots=True)
class Worker:
    """Made of what it works with. `stopping` ends it, whatever it is at: its job goes on with another worker."""

    settings: Settings
    database: Database
    objects: ObjectStore
    stopping: threading.Event
    name: str
    lease_s: float = LEASE_S

    def run(self, *, once: bool = False) -> int:
        """Until it is to end, or, with `once`, until nothing is left to do. Says how many jobs it had."""
        done, sweeping = 0, time.monotonic()
        while not self.stopping.is_set():
            if time.monotonic() >= sweeping:
                self._sweep()
                sweeping = time.monotonic() + SWEEP_S
            if job := self._claim():
                self.perform(job)
                done += 1
            elif once:
                break
            else:
                self.stopping.wait(POLL_S)
        return done

    def perform(self, job: Job) -> None:
        """Do a job and write down how it ended. Never raises for what the job did wrong."""
        log.info("job_begun", job=job.id, attempt=job.attempt, worker=self.name)
        diary = Diary(job.log)
        diary.say(f"attempt {job.attempt} by {self.name}")
        with Heart(self.database, job, diary, self.lease_s, self.stopping) as heart:
            try:
                result = self._do(job, diary, heart)
            except Left as left:
                self._leave(job, left.wish, diary)
            except EarloopError as error:
                self._fail(job, error, diary)
            except (OSError, MemoryError) as error:
                self._fail(job, Unavailable(f"This machine cannot: {str(error) or 'no memory'}."), diary)
            except Exception:  # one of the four places that catch
                ident = secrets.token_hex(4)
                log.exception("job_broke", job=job.id, error=ident)
                self._fail(job, Internal(f"A fault of our own; the worker's log has it as {ident}."), diary)
            else:
                if self._end(job, "done", diary, lambda connection: jobs.finish(connection, job, result, now())):
                    shutil.rmtree(self._folder(job), ignore_errors=True)

    def _do(self, job: Job, diary: Diary, heart: Heart) -> dict[str, Any]:
        params = read_params(job.params)
        for _ in range(RESTARTS):
            work = Work(self.settings, self.database, self.objects, job, params, diary, heart)
            try:
                return train(work)
            except Left as left:
                if left.wish is not Wish.RESTART:
                    raise
                self._forget(work)
        raise Unavailable("Clips were withdrawn in every try; the next one comes later.")

    def _forget(self, work: Work) -> None:
        """Delete all that was made of clips of which one was withdrawn. The next snapshot does not have it."""
        work.diary.say("a clip was withdrawn: beginning anew without it")
        shutil.rmtree(work.folder, ignore_errors=True)
        work.heart.renew()
        work.note(snapshot=None, snapshot_id=None)

    def _claim(self) -> Job | None:
        try:
            with self.database.write() as connection:
                return jobs.claim(connection, self.name, now(), self.lease_s)
        except Unavailable as error:
            log.warning("no_database", why=error.message)
            return None

    def _leave(self, job: Job, wish: Wish, diary: Diary) -> None:
        log.info("job_left", job=job.id, why=wish.value)
        if wish is Wish.CANCEL:
            self._put_down(job, "cancelled", diary, lambda connection: jobs.give_up(connection, job, now()))
        elif wish is Wish.STOP:
            self._put_down(job, "put back", diary, lambda connection: jobs.release(connection, job))

    def _fail(self, job: Job, error: EarloopError, diary: Diary) -> None:
        """Bad input is final and says why; what may pass by itself is tried again, later each time."""
        told = diary.clean(error.message)
        last = job.attempt >= job.max_attempts
        later = timedelta(seconds=wait_s(job.attempt, random.random()))
        again = now() + later if may_pass(error) and not last else None
        log.warning("job_failed", job=job.id, why=told, final=again is None)
        how = f"failed: {told}" if again is None else f"to be tried again at {again:%H:%M:%S}: {told}"
        self._put_down(job, how, diary, lambda connection: jobs.fail(connection, job, told, now(), again=again))

    def _put_down(self, job: Job, how: str, diary: Diary, write: Callable[[Connection], None]) -> None:
        """End what may be begun again: what was learned stays, recordings do not wait in a folder for that."""
        if self._end(job, how, diary, write):
            tidy(self._folder(job))

    def _end(self, job: Job, how: str, diary: Diary, write: Callable[[Connection], None]) -> bool:
        """The last beat and the end in one transaction; False where they could not be written.

        Then its folder is not ours to touch: the job is another's by now, or whoever claims it next goes on there.
        """
        diary.say(how)
        try:
            with self.database.write() as connection:
                beat(connection, job, diary, self.lease_s)
                write(connection)
        except EarloopError as error:
            log.warning("end_not_noted", job=job.id, why=error.message)
            return False
        log.info("job_ended", job=job.id, how=how.partition(":")[0])
        return True

    def _sweep(self) -> None:
        """Delete the folders of jobs that are over: at once what is done, after a while what may be tried again.

        What is not called as a job is was put there by somebody: `voices`, or a run of `earloop train`.
        """
        for folder in (self.settings.data / RUNS).glob("*"):
            if not (folder.is_dir() and is_id(folder.name)):
                continue
            try:
                with self.database.read() as connection:
                    job = jobs.get(connection, folder.name)
            except NotFound:
                shutil.rmtree(folder, ignore_errors=True)
            except EarloopError as error:
                log.warning("not_swept", why=error.message)
            else:
                _sweep_one(folder, job)

    def _folder(self, job: Job) -> Path:
        return self.settings.data / RUNS / job.id


def work(settings: Settings, stopping: threading.Event, *, once: bool = False, lease_s: float = LEASE_S) -> int:
    """Open all that the settings name, and work. Raises what opening raises."""
    objects = open_objects(settings.data, settings.objects)
    with closing(open_database(settings.data, settings.database)) as database:
        worker = Worker(settings, database, objects, stopping, worker_name(), lease_s)
        log.info("worker_started", worker=worker.name, database=database.place)
        return worker.run(once=once)


def _sweep_one(folder: Path, job: Job) -> None:
    """What a job has left that nobody works at; one that runs, or whose worker died, is let be."""
    if job.status == jobs.RUNNING:
        return
    if job.status == jobs.DONE or (job.finished is not None and now() - job.finished > KEPT):
        shutil.rmtree(folder, ignore_errors=True)
    else:
        tidy(folder)


def tidy(folder: Path) -> None:
    """Keep of a job that may be begun again what it has learned, and nobody's recordings or texts."""
    clear_material(folder)
    for name in (CACHE, GATE, SAMPLES):
        shutil.rmtree(folder / name, ignore_errors=True)
    # Without run.json a run that goes on looks at its data anew, and finds the same.
    for page in ("report.html", "report.json", "suspects.csv", "clips.csv", "findings.csv", "run.json"):
        (folder / FIT / page).unlink(missing_ok=True)
    (folder / OUTPUT).unlink(missing_ok=True)
