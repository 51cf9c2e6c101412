"""What a worker deletes of what jobs have left, when it looks for one and there is none."""

from __future__ import annotations

import threading
from contextlib import closing
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from stt_server.settings import load_settings
from stt_server.store import jobs
from stt_server.store.database import open_database
from stt_server.store.ids import new_id
from stt_server.store.objects import open_objects
from stt_server.store.ring import now
from training.worker.loop import KEPT, Worker
from training.worker.work import RUNS, VOICES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from pathlib import Path

    from stt_server.store.database import Database

LEARNED, RECORDING = "fit/last.pt", "data/clips/1.flac"


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with closing(open_database(tmp_path)) as opened:
        yield opened


def left_by(database: Database, data: Path, end: str, moment: datetime) -> Path:
    """The folder of a job that was claimed a day before and ended so."""
    with database.write() as connection:
        asked = jobs.submit(connection, jobs.TRAIN, {"dataset": "words"}, "command", moment)
        job = jobs.claim(connection, "ann", moment - timedelta(days=1), 1)
        assert job is not None
        assert job.id == asked.id
        if end == "done":
            jobs.finish(connection, job, {}, moment)
        elif end == "failed":
            jobs.fail(connection, job, "no memory", moment)
        else:
            assert end == "running"
    return filled(data / RUNS / job.id)


def filled(folder: Path) -> Path:
    for name in (LEARNED, RECORDING):
        (folder / name).parent.mkdir(parents=True)
        (folder / name).write_bytes(b"so")
    return folder


def left(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def sweep(database: Database, data: Path) -> None:
    worker = Worker(load_settings(data=data), database, open_objects(data), threading.Event(), "ben")
    worker._sweep()


def test_of_jobs_that_are_over_no_recording_stays_and_what_may_go_on_keeps_what_it_learned(tmp_path, database):
    gone = [
        left_by(database, tmp_path, "done", now()),
        left_by(database, tmp_path, "failed", now() - KEPT - timedelta(hours=1)),
        filled(tmp_path / RUNS / new_id()),
    ]
    failed = left_by(database, tmp_path, "failed", now())
    sweep(database, tmp_path)
    assert not [folder for folder in gone if folder.exists()]
    assert left(failed) == [LEARNED]


def test_a_job_whose_worker_died_and_what_is_nobodys_job_is_let_be(tmp_path, database):
    own = [
        left_by(database, tmp_path, "running", now()),
        *(filled(tmp_path / RUNS / name) for name in (VOICES, "mine")),
    ]
    (tmp_path / RUNS / "notes.txt").write_text("so")
    sweep(database, tmp_path)
    assert [left(folder) for folder in own] == [sorted([LEARNED, RECORDING])] * 3
    assert (tmp_path / RUNS / "notes.txt").is_file()
