"""A job at hand: its row, its folder, and where everything else is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from stt_server.store import jobs
from training.worker.material import is_spoilt
from training.worker.wishes import Left, Wish

if TYPE_CHECKING:
    from pathlib import Path

    from stt_server.jobs.params import TrainParams
    from stt_server.settings import Settings
    from stt_server.store.database import Database
    from stt_server.store.jobs import Job
    from stt_server.store.objects import ObjectStore
    from training.worker.diary import Diary
    from training.worker.heart import Heart

RUNS: Final = "runs"  # in the data folder: one folder per job, and `voices`
VOICES: Final = "voices"
FIT, GATE, CACHE, SAMPLES = "fit", "gate", "cache", "samples"


@dataclass(frozen=True, slots=True)
class Work:
    """What every stage works with."""

    settings: Settings
    database: Database
    objects: ObjectStore
    job: Job
    params: TrainParams
    diary: Diary
    heart: Heart

    @property
    def runs(self) -> Path:
        return self.settings.data / RUNS

    @property
    def folder(self) -> Path:
        """The job's own; another worker that shares the data folder goes on in it."""
        return self.runs / self.job.id

    def begin(self, stage: str) -> None:
        """Go on to a stage. Raises Left where the job is not to go on, or a clip of it was withdrawn."""
        self.heart.ask()
        if self.is_spoilt():
            raise Left(Wish.RESTART)
        self.diary.begin(stage)

    def is_spoilt(self) -> bool:
        """Whether a clip that the job learns from or is judged on was withdrawn since it was written out."""
        return is_spoilt(self.database, self.folder)

    def note(self, **found: Any) -> None:
        """Keep what a worker that resumes the job must know."""
        with self.database.write() as connection:
            jobs.note(connection, self.job, found)

    @property
    def noted(self) -> dict[str, Any]:
        with self.database.read() as connection:
            return jobs.get(connection, self.job.id).result
