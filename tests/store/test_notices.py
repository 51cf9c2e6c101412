from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from stt_server.store import jobs, notices
from stt_server.store.database import Database, open_database
from stt_server.store.jobs import Job
from stt_server.store.notices import Channel, Notice

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
BOTH = (Channel.WEBHOOK, Channel.MAIL)


@pytest.fixture
def database(tmp_path: Path, database_url: str):
    with closing(open_database(tmp_path, database_url)) as opened:
        yield opened


def ended(database: Database, when: datetime = NOW) -> Job:
    with database.write() as connection:
        jobs.submit(connection, jobs.TRAIN, {}, "command", when)
        job = jobs.claim(connection, "ann", when, 30)
        assert job is not None
        jobs.finish(connection, job, {}, when)
        return jobs.get(connection, job.id)


def taken(database: Database, now: datetime = NOW) -> list[Notice]:
    with database.write() as connection:
        notices.open_for(connection, BOTH, now)
        return notices.take(connection, BOTH, now)


def test_a_job_that_ended_is_told_once_on_every_channel(database: Database):
    job = ended(database)
    found = taken(database)
    assert {(each.job.id, each.channel) for each in found} == {(job.id, channel) for channel in BOTH}
    with database.write() as connection:
        for notice in found:
            notices.set_told(connection, notice, NOW)
    assert taken(database, NOW + timedelta(hours=1)) == []
    with database.read() as connection:
        assert not notices.any_due(connection, BOTH, NOW + timedelta(hours=1))


def test_a_job_that_still_runs_or_ended_long_ago_is_not_told(database: Database):
    ended(database, NOW - timedelta(days=2))
    with database.write() as connection:
        jobs.submit(connection, jobs.TRAIN, {}, "command", NOW)
    with database.read() as connection:
        assert not notices.any_due(connection, BOTH, NOW)
    assert taken(database) == []


def test_what_was_taken_is_nobody_elses_until_who_took_it_is_late(database: Database):
    ended(database)
    assert len(taken(database)) == 2
    assert taken(database) == []
    again = taken(database, NOW + notices.LEASE)
    assert [each.attempt for each in again] == [2, 2]


def test_who_is_late_does_not_undo_what_another_has_told(database: Database):
    ended(database)
    slow, later = taken(database), NOW + notices.LEASE
    quick = taken(database, later)
    with database.write() as connection:
        for notice in quick:
            notices.set_told(connection, notice, later)
        for notice in slow:
            notices.set_failed(connection, notice, "timed out", later)
    assert taken(database, later + timedelta(hours=1)) == []


def test_what_failed_comes_again_and_what_was_given_up_does_not(database: Database):
    ended(database)
    first, second = taken(database)
    later = NOW + timedelta(hours=1)
    with database.write() as connection:
        notices.set_failed(connection, first, "500", later)
        notices.set_failed(connection, second, "500", None)
    assert [each.id for each in taken(database, later)] == [first.id]


def test_a_job_that_is_begun_again_is_told_again(database: Database):
    with database.write() as connection:
        job = jobs.submit(connection, jobs.TRAIN, {}, "command", NOW)
        jobs.cancel(connection, job.id, NOW)
    assert len(taken(database)) == 2
    with database.write() as connection:
        jobs.retry(connection, job.id)
        jobs.cancel(connection, job.id, NOW)
    assert [each.attempt for each in taken(database)] == [1, 1]
