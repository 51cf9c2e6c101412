"""Real workers over a real database: claimed, killed, resumed, cancelled, withdrawn from, failed."""

from __future__ import annotations

import os
import re
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from stt_server.collection.withdrawal import take_back
from stt_server.corpus.manifest import read_manifest
from stt_server.store import datasets, jobs, models, reports, routes, snapshots
from stt_server.store.ring import now
from stt_server.store.withdrawal import Why
from tests.worker.place import DATASET, PATIENCE_S, Place
from training import checkpoints

if TYPE_CHECKING:
    from stt_server.store.jobs import Job

pytestmark = [pytest.mark.slow, pytest.mark.timeout(2 * PATIENCE_S)]

LONG = {"schedule.epochs": 100_000, "schedule.validate_epochs": 5}  # never done in a test


@pytest.fixture
def place(tmp_path: Path, tiny_bundle: Path) -> Place:
    return Place(tmp_path / "data", tiny_bundle)


@pytest.fixture
def filled(place: Place) -> Place:
    place.fill()
    return place


def children(pid: int) -> list[int]:
    try:
        return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:
        return []


def wait(holds, what: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def killed_while_learning(place: Place, job: Job) -> int:
    """A worker dies without a word when there is a checkpoint; the step of that."""
    with place.worker() as first:
        checkpoint = place.folder(job) / "fit" / "last.pt"
        place.until(job.id, lambda _: checkpoint.is_file(), first)
        (child,) = children(first.pid)
        first.send_signal(signal.SIGKILL)
        first.wait(30)
        wait(lambda: not is_alive(child), "the training went on without its worker")
    assert place.job(job.id).status == "running", "its lease still runs"
    return checkpoints.load(checkpoint).progress.step


def steps_after_going_on(job: Job) -> list[int]:
    _, _, after = job.log.partition("going on from the checkpoint")
    return [int(step) for step in re.findall(r"step (\d+), WER", after)]


def test_a_worker_killed_in_the_middle_of_learning_is_followed_by_another_that_goes_on_from_its_checkpoint(filled):
    job = filled.ask(set=LONG)
    kept = killed_while_learning(filled, job)
    assert kept > 0
    with filled.worker() as second:
        resumed = filled.until(job.id, steps_after_going_on, second)
        assert resumed.attempt == 2
        assert min(steps_after_going_on(resumed)) > kept, "it began from nothing"


@pytest.mark.nightly
def test_a_job_whose_worker_was_killed_comes_to_its_end(filled):
    job = filled.ask(set=LONG | {"schedule.epochs": 60})
    killed_while_learning(filled, job)
    with filled.worker() as second:
        done = filled.until(job.id, lambda each: each.finished is not None, second)
        wait(lambda: not filled.folder(job).exists(), "recordings are left behind")
    assert (done.status, done.attempt, done.stage) == ("done", 2, "publish"), done.error
    with filled.opened() as database, database.read() as connection:
        model = models.get(connection, done.result["model_id"])
        report = reports.get(connection, done.result["report_id"])
        snapshot = snapshots.get(connection, DATASET)
        (live,) = [route for route in routes.every(connection) if route.kind == "live"]
    assert (model.lineage["epochs"], model.job_id, model.snapshot_id) == (60, job.id, snapshot.id)
    assert model.base_id == live.model_id != model.id, "nothing goes live by itself"
    assert report.verdict == done.result["verdict"] == report.report["verdict"]
    assert report.html_key is not None
    assert b"<html" in filled.objects.get(report.html_key).lower()


@pytest.mark.nightly
def test_a_job_that_was_cancelled_and_is_begun_again_goes_on_from_its_checkpoint_without_recordings_meanwhile(filled):
    job = filled.ask(set=LONG)
    with filled.worker() as worker:
        filled.until(job.id, lambda _: (filled.folder(job) / "fit" / "last.pt").is_file(), worker)
        with filled.opened() as database, database.write() as connection:
            jobs.cancel(connection, job.id, now())
        filled.until(job.id, lambda each: each.status == "cancelled", worker)
        wait(lambda: not list(filled.folder(job).rglob("*.flac")), "recordings are left behind")
        left = [path for path in filled.folder(job).rglob("*") if path.suffix in (".csv", ".html", ".pcm", ".txt")]
        assert not left
        kept = checkpoints.load(filled.folder(job) / "fit" / "last.pt").progress.step
        with filled.opened() as database, database.write() as connection:
            jobs.retry(connection, job.id)
        resumed = filled.until(job.id, steps_after_going_on, worker)
        assert min(steps_after_going_on(resumed)) > kept


def test_a_withdrawn_clip_ends_the_learning_and_is_in_no_manifest_of_the_next_and_cancelling_ends_that(filled):
    job = filled.ask(set=LONG)
    with filled.worker() as worker:
        listed = filled.folder(job) / "data" / "train.csv"
        filled.until(job.id, lambda each: each.stage == "fit" and listed.is_file(), worker)
        gone = next(read_manifest(listed)).path.stem
        with filled.opened() as database:
            take_back(database, filled.objects, [gone], "command", Why.CURATOR)
        again = filled.until(job.id, lambda each: "snapshot 2 of" in each.log and each.stage == "fit", worker)
        assert "a clip was withdrawn" in again.log
        assert again.result["snapshot"] == 2
        manifests = list(filled.folder(job).rglob("*.csv"))
        assert manifests
        assert not [path for path in manifests if gone in path.read_text(encoding="utf-8")]
        assert not [path for path in filled.data.rglob("*") if gone in path.name]
        wait(lambda: children(worker.pid), "no training runs")
        (child,) = children(worker.pid)
        with filled.opened() as database, database.write() as connection:
            assert jobs.cancel(connection, job.id, now()).status == "running"
        ended = filled.until(job.id, lambda each: each.finished is not None, worker)
        assert ended.status == "cancelled"
        wait(lambda: not is_alive(child), "the training goes on")
        wait(lambda: not list(filled.folder(job).rglob("*.flac")), "recordings are left behind")
    with filled.opened() as database, database.write() as connection:
        assert jobs.retry(connection, job.id).status == "waiting"


def test_a_training_that_is_killed_is_tried_again_later_and_a_worker_told_to_stop_puts_its_job_back(filled):
    job = filled.ask(set=LONG)
    with filled.worker() as worker:
        wait(lambda: children(worker.pid), "no training runs")
        os.kill(children(worker.pid)[0], signal.SIGKILL)
        failed = filled.until(job.id, lambda each: each.status == "waiting", worker)
        assert failed.not_before is not None
        assert failed.not_before > now()
        assert "signal 9" in failed.error
        second = filled.ask(set=LONG)
        wait(lambda: children(worker.pid), "no training runs")
        worker.send_signal(signal.SIGTERM)
        worker.wait(PATIENCE_S)
    back = filled.job(second.id)
    assert (back.status, back.attempt, back.worker) == ("waiting", 0, None)


def test_a_dataset_without_clips_fails_for_good_and_says_why(place):
    with place.opened() as database, database.write() as connection:
        datasets.create(connection, DATASET, "test", now())
    job = place.ask()
    with place.worker("--once") as worker:
        worker.wait(PATIENCE_S)
    ended = place.job(job.id)
    assert (ended.status, ended.attempt) == ("failed", 1)
    assert "No clip of words" in ended.error


def test_workers_that_claim_at_once_do_each_job_once_on_either_database(tmp_path, tiny_bundle, database_url):
    place = Place(tmp_path / "data", tiny_bundle, database_url)
    with place.opened() as database, database.write() as connection:
        datasets.create(connection, DATASET, "test", now())
    asked = [place.ask() for _ in range(8)]
    with place.worker("--once") as one, place.worker("--once") as other:
        assert [one.wait(PATIENCE_S), other.wait(PATIENCE_S)] == [0, 0]
    ended = [place.job(job.id) for job in asked]
    assert {(job.status, job.attempt) for job in ended} == {("failed", 1)}
    assert all(job.log.count("attempt") == 1 for job in ended)
