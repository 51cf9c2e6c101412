"""A data folder with clips that everybody agrees on, a tiny live model, and real workers over it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stt_server.collection.intake import Said, import_clips
from stt_server.corpus.clip import Clip
from stt_server.datasets.dividing import divide
from stt_server.jobs.asking import ask
from stt_server.services import rules
from stt_server.settings import load_settings
from stt_server.speech.files import write_flac
from stt_server.store import datasets, jobs, models, snapshots
from stt_server.store.database import open_database
from stt_server.store.objects import open_objects
from stt_server.store.rights import Purpose
from stt_server.store.ring import now
from tests.bundles import WORDS, spoken

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from stt_server.store.database import Database
    from stt_server.store.jobs import Job
    from stt_server.store.models import Model

ROOT = Path(__file__).parents[2]
DATASET = "words"
PATIENCE_S = 900.0
LEASE_S = 4.0
# As little as a run can be: it learns nothing worth having, by the whole way.
QUICK = {
    "schedule.epochs": 1,
    "schedule.workers": 0,
    "schedule.precision": "fp32",
    "data.replay_share": 0,
    "report.suspects": 0,
    "report.noise_minutes": 0,
    "gate.resamples": 200,
    "gate.suspects": 10,
}


@dataclass(frozen=True, slots=True)
class Place:
    """Where it all lies; what its workers are told by their environment."""

    data: Path
    bundle: Path
    database_url: str = ""
    environment: dict[str, str] = field(default_factory=dict)

    @contextmanager
    def opened(self) -> Iterator[Database]:
        with closing(open_database(self.data, self.database_url)) as database:
            yield database

    def fill(self, count: int = 24) -> None:
        """A dataset of recordings of one or two of the words the tiny model knows, every text right.

        Which split a clip is in goes by its id, which is random: more are added where no part to test on came of it.
        """
        folder = self.data.parent / "recordings"
        folder.mkdir()
        with self.opened() as database:
            with database.write() as connection:
                datasets.create(connection, DATASET, "test", now())
            made = 0
            while made < count or not self._can_be_tested(database):
                clips = [_recorded(folder, number) for number in range(made, made + count)]
                said = Said(dataset=DATASET, licence="CC0-1.0", statement="made by the tests", release=False)
                done = import_clips(database, self.objects, clips, said, rules(load_settings()), checked=True)
                assert done.kept == count, done.faults
                made += count

    def _can_be_tested(self, database: Database) -> bool:
        with database.write() as connection:
            dataset_id = datasets.get(connection, DATASET).id
            lines = snapshots.candidates(connection, dataset_id, Purpose.TRAINING, now())
        return {line.split for line in divide(lines).lines} >= {"train", "dev", "test"}

    @property
    def objects(self):
        return open_objects(self.data)

    def ask(self, **said: Any) -> Job:
        with self.opened() as database:
            changes = QUICK | said.pop("set", {})
            return ask(database, {"dataset": DATASET, "set": changes, **said}, "command")

    def job(self, ident: str) -> Job:
        with self.opened() as database, database.read() as connection:
            return jobs.get(connection, ident)

    def models(self) -> list[Model]:
        with self.opened() as database, database.read() as connection:
            return models.listed(connection)

    def until(self, ident: str, holds: Callable[[Job], bool], worker: subprocess.Popen[bytes] | None = None) -> Job:
        """The job when that holds of it. Fails after `PATIENCE_S`, or where its worker ends before."""
        deadline = time.monotonic() + PATIENCE_S
        while not holds(job := self.job(ident)):
            assert time.monotonic() < deadline, (
                f"{job.status} at {job.stage}: {job.error}\n{job.log}\n{self.output(job)}"
            )
            assert worker is None or worker.poll() is None, f"the worker ended: {self.output(job)}"
            time.sleep(0.1)
        return job

    def folder(self, job: Job) -> Path:
        return self.data / "runs" / job.id

    def output(self, job: Job) -> str:
        path = self.folder(job) / "output.txt"
        return path.read_text(encoding="utf-8")[-4000:] if path.is_file() else "no output"

    @contextmanager
    def worker(self, *words: str) -> Iterator[subprocess.Popen[bytes]]:
        """`earloop worker`, killed at the end if it still runs."""
        command = [sys.executable, "-m", "stt_server.cli", "worker", "--lease-s", str(LEASE_S), *words]
        told = {
            **os.environ,
            "EARLOOP_DATA": str(self.data),
            "EARLOOP_DATABASE": self.database_url,
            "EARLOOP_MODEL": str(self.bundle),
            **self.environment,
        }
        process = subprocess.Popen(command, cwd=ROOT, env=told)
        try:
            yield process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
            process.wait(30)


def _recorded(folder: Path, number: int) -> Clip:
    said = " ".join(WORDS[(number + step) % len(WORDS)] for step in range(1 + number % 2))
    path = folder / f"{number}.flac"
    write_flac(path, spoken(*said.split(), voice=f"en-us+m{number % 7 + 1}", noise=1e-3 * (1 + number)))
    return Clip(path, said)
