from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from stt_server.errors import BadOption, NotFound
from stt_server.jobs.asking import ask
from stt_server.jobs.schedule import read_schedule
from stt_server.jobs.triggers import Terms, fire
from stt_server.store import consents, datasets, jobs, verdicts
from stt_server.store.database import Database, open_database
from stt_server.store.rights import Verdict
from tests.store import giving

NOW = datetime.now(UTC).replace(hour=3, minute=10)
AFTER_TWO = Terms("everyday", None, 2, "gated")
DAILY = Terms("everyday", read_schedule("03:00"), 0, "never")


@pytest.fixture
def database(tmp_path: Path, database_url: str):
    with closing(open_database(tmp_path, database_url)) as opened:
        yield opened


def validated(database: Database, count: int, when: datetime | None = None) -> None:
    """So many clips that taggers agree on, an hour ago unless said, of somebody who agreed to training."""
    when = when or datetime.now(UTC) - timedelta(hours=1)
    _, consent = giving.giver(database)
    for _ in range(count):
        kept = giving.clip(database, consent)
        with database.write() as connection:
            verdicts.set_decided(connection, kept.id, Verdict.RIGHT, "la la", when)


def cancel_all(database: Database) -> None:
    with database.write() as connection:
        for job in jobs.listed(connection, jobs.WAITING):
            jobs.cancel(connection, job.id, NOW)


def test_enough_new_validated_clips_begin_a_run_and_fewer_do_not(database: Database):
    validated(database, 1)
    assert fire(database, AFTER_TWO, NOW) is None
    validated(database, 1)
    job = fire(database, AFTER_TWO, NOW)
    assert job is not None
    assert (job.created_by, job.params["dataset"], job.params["promote"]) == ("clips", "everyday", "gated")


def test_while_a_run_waits_or_its_clips_were_counted_no_other_begins(database: Database):
    validated(database, 2)
    assert fire(database, AFTER_TWO, NOW) is not None
    validated(database, 2)
    assert fire(database, AFTER_TWO, NOW) is None
    cancel_all(database)
    assert fire(database, AFTER_TWO, NOW) is None, "those clips were there when the run was asked for"
    validated(database, 2, datetime.now(UTC) + timedelta(seconds=1))
    assert fire(database, AFTER_TWO, NOW) is not None


def test_clips_of_who_withdrew_do_not_count(database: Database):
    validated(database, 1)
    person, consent = giving.giver(database)
    kept = giving.clip(database, consent)
    with database.write() as connection:
        verdicts.set_decided(connection, kept.id, Verdict.RIGHT, "la la", NOW)
        consents.end(connection, person.id, NOW)
    assert fire(database, AFTER_TWO, NOW) is None


def test_a_schedule_begins_one_run_a_day_however_many_servers_ask(database: Database):
    with database.write() as connection:
        datasets.create(connection, "everyday", "test", NOW)
    with ThreadPoolExecutor(4) as threads:
        made = list(threads.map(lambda _: fire(database, DAILY, NOW), range(8)))
    assert [job.created_by for job in made if job] == ["schedule"]


def test_without_a_dataset_or_a_trigger_nothing_begins(database: Database):
    assert fire(database, DAILY, NOW) is None
    validated(database, 3)
    assert fire(database, Terms("everyday", None, 0, "never"), NOW) is None


def test_a_job_for_what_is_not_there_is_refused_when_it_is_asked_for(database: Database):
    with pytest.raises(NotFound):
        ask(database, {"dataset": "nothing"}, "command")
    with database.write() as connection:
        datasets.create(connection, "mine", "test", NOW)
    with pytest.raises(NotFound):
        ask(database, {"dataset": "mine", "snapshot": 7}, "command")
    with pytest.raises(NotFound):
        ask(database, {"dataset": "mine", "base": "no-model"}, "command")
    with pytest.raises(BadOption):
        ask(database, {"dataset": "mine", "colour": "red"}, "command")
    assert ask(database, {"dataset": "mine"}, "command").status == "waiting"
