from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from stt_server.errors import Conflict, NotFound
from stt_server.store import jobs
from stt_server.store.database import Connection, Database, open_database
from stt_server.store.jobs import Job

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
LATER = NOW + timedelta(minutes=5)
LEASE_S = 30.0


@pytest.fixture
def database(tmp_path: Path, database_url: str):
    with closing(open_database(tmp_path, database_url)) as opened:
        yield opened


def submit(database: Database, **params: object) -> Job:
    with database.write() as connection:
        return jobs.submit(connection, jobs.TRAIN, params, "command", NOW, max_attempts=2)


def claim(database: Database, worker: str = "ann", now: datetime = NOW) -> Job | None:
    with database.write() as connection:
        return jobs.claim(connection, worker, now, LEASE_S)


def claimed(database: Database, worker: str = "ann", now: datetime = NOW) -> Job:
    job = claim(database, worker, now)
    assert job is not None
    return job


def claimed_in(connection: Connection, now: datetime) -> Job:
    job = jobs.claim(connection, "ann", now, LEASE_S)
    assert job is not None
    return job


def get(database: Database, job: Job) -> Job:
    with database.read() as connection:
        return jobs.get(connection, job.id)


def test_of_many_workers_that_claim_at_once_no_two_get_the_same_job(database: Database):
    asked = {submit(database, number=number).id for number in range(12)}

    def take(worker: int) -> list[str]:
        got = []
        while (job := claim(database, f"worker-{worker}")) is not None:
            got.append(job.id)
        return got

    with ThreadPoolExecutor(6) as threads:
        got = [ident for each in threads.map(take, range(6)) for ident in each]
    assert sorted(got) == sorted(asked)


def test_the_job_that_waited_longest_comes_first_and_a_running_one_to_nobody_else(database: Database):
    first, second = submit(database), None
    with database.write() as connection:
        second = jobs.submit(connection, jobs.TRAIN, {}, "command", NOW + timedelta(seconds=1))
    assert claimed(database).id == first.id
    assert claimed(database, "bert").id == second.id
    assert claim(database, "carl") is None


def test_a_job_whose_worker_beats_no_more_goes_to_another_and_the_first_can_write_nothing(database: Database):
    submit(database)
    mine = claimed(database, "ann")
    theirs = claimed(database, "bert", LATER)
    assert (theirs.id, theirs.attempt) == (mine.id, 2)
    with pytest.raises(Conflict), database.write() as connection:
        jobs.beat(connection, mine, LATER, LEASE_S, stage="fit", progress=0.5, log="late")
    with pytest.raises(Conflict), database.write() as connection:
        jobs.finish(connection, mine, {}, LATER)
    assert get(database, mine).stage == ""


def test_a_beat_keeps_the_job_and_tells_how_it_goes(database: Database):
    submit(database)
    job = claimed(database)
    with database.write() as connection:
        log = "x\0" * jobs.LOG_LETTERS
        assert not jobs.beat(connection, job, LATER, LEASE_S, stage="fit", progress=0.5, log=log)
    assert claim(database, "bert", LATER) is None
    row = get(database, job)
    assert (row.stage, row.progress, row.log) == ("fit", 0.5, "x" * jobs.LOG_LETTERS)


def test_what_is_noted_adds_up_and_stays_for_who_resumes(database: Database):
    submit(database)
    job = claimed(database)
    for found in ({"snapshot": 1}, {"model": "a"}):
        with database.write() as connection:
            jobs.note(connection, job, found)
    assert claimed(database, "bert", LATER).result == {"snapshot": 1, "model": "a"}


def test_a_job_that_killed_every_worker_ends_as_failed(database: Database):
    job = submit(database)
    claimed(database, "ann")
    claimed(database, "bert", LATER)
    assert claim(database, "carl", LATER + timedelta(minutes=5)) is None
    ended = get(database, job)
    assert ended.status == "failed"
    assert "worker died" in ended.error


def test_cancelling_ends_a_waiting_job_at_once_and_tells_the_worker_of_a_running_one(database: Database):
    running, waiting = submit(database), submit(database)
    job = claimed(database)
    running, waiting = (running, waiting) if job.id == running.id else (waiting, running)
    with database.write() as connection:
        assert jobs.cancel(connection, waiting.id, NOW).status == "cancelled"
        assert jobs.cancel(connection, running.id, NOW).status == "running"
    with database.write() as connection:
        assert jobs.beat(connection, job, NOW, LEASE_S, stage="fit", progress=0.1, log="")
        jobs.give_up(connection, job, NOW)
    assert get(database, job).status == "cancelled"
    with pytest.raises(Conflict), database.write() as connection:
        jobs.cancel(connection, job.id, NOW)


def test_a_job_that_was_to_end_when_its_worker_died_is_not_begun_again(database: Database):
    submit(database)
    job = claimed(database)
    with database.write() as connection:
        jobs.cancel(connection, job.id, NOW)
    assert claim(database, "bert", LATER) is None
    assert get(database, job).status == "cancelled"


def test_a_failure_that_may_pass_waits_and_the_last_attempt_is_final(database: Database):
    asked = submit(database)
    for again in (LATER, LATER + timedelta(hours=1)):
        with database.write() as connection:
            jobs.fail(connection, claimed_in(connection, LATER), "the disk is full", LATER, again=again)
        assert claim(database) is None
    ended = get(database, asked)
    assert (ended.status, ended.error, ended.attempt) == ("failed", "the disk is full", 2)


def test_a_failed_job_can_be_begun_again_and_one_that_runs_cannot(database: Database):
    job = submit(database)
    running = claimed(database)
    with pytest.raises(Conflict), database.write() as connection:
        jobs.retry(connection, job.id)
    with database.write() as connection:
        jobs.fail(connection, running, "no clips", NOW)
        jobs.retry(connection, job.id)
    again = claimed(database)
    assert (again.attempt, again.error, again.finished) == (1, "", None)


def test_a_job_put_back_by_its_worker_counts_as_not_tried(database: Database):
    submit(database)
    job = claimed(database)
    with database.write() as connection:
        jobs.release(connection, job)
    assert claimed(database, "bert").attempt == 1


def test_a_job_that_is_not_there_is_not_found(database: Database):
    with pytest.raises(NotFound), database.read() as connection:
        jobs.get(connection, "nothing")


def test_jobs_are_listed_newest_first_by_status_and_without_their_logs(database: Database):
    first = submit(database)
    with database.write() as connection:
        second = jobs.submit(connection, jobs.TRAIN, {}, "command", LATER)
    job = claimed(database)
    with database.write() as connection:
        jobs.beat(connection, job, NOW, LEASE_S, stage="fit", progress=0.5, log="many lines")
    with database.read() as connection:
        assert [(each.id, each.log) for each in jobs.listed(connection)] == [(second.id, ""), (first.id, "")]
        assert [each.id for each in jobs.listed(connection, jobs.RUNNING)] == [first.id]
        assert [each.id for each in jobs.listed(connection, limit=1)] == [second.id]
