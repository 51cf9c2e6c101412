"""What the dashboard counts, on both databases."""

from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import update

from stt_server.store import overview, people
from stt_server.store.database import open_database
from stt_server.store.rights import Purpose
from stt_server.store.tables import CLIPS
from tests.store import giving

NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)


@pytest.fixture
def database(tmp_path: Path, database_url: str):
    with closing(open_database(tmp_path, database_url)) as opened:
        yield opened


def test_days_are_counted_in_utc_and_the_edges_belong_to_the_day_they_begin(database):
    _, consent = giving.giver(database)
    midnight = NOON.replace(hour=0)
    for moment in (midnight - timedelta(microseconds=1), midnight, NOON, midnight + timedelta(days=1)):
        giving.clip(database, consent, created=moment)
    with database.read() as connection:
        found = overview.days(connection, NOON.date(), 3)
    assert [day.day.day for day in found] == [8, 9, 10]
    assert [day.clips for day in found] == [0, 1, 2]


def test_opt_ins_and_withdrawals_count_people_who_let_clips_be_kept(database):
    person, _ = giving.giver(database)
    giving.giver(database, Purpose.RECOGNITION)
    today = giving.now()
    with database.write() as connection:
        people.set_withdrawn(connection, person.id, today)
    with database.read() as connection:
        (day,) = overview.days(connection, today.date(), 1)
    assert (day.opt_ins, day.withdrawals) == (1, 1)


def test_the_queue_tells_clips_by_how_they_stand_and_seconds_that_are_agreed_on(database):
    _, consent = giving.giver(database)
    kept = [giving.clip(database, consent) for _ in range(4)]
    with database.write() as connection:
        for clip, status, verdict in ((0, "decided", "right"), (1, "decided", "unclear"), (2, "parked", None)):
            changed = update(CLIPS).where(CLIPS.c.id == kept[clip].id)
            connection.execute(changed.values(status=status, verdict=verdict))
    with database.read() as connection:
        queue = overview.queue(connection)
    assert (queue.waiting, queue.decided, queue.parked, queue.quarantined, queue.leased) == (1, 2, 1, 0, 0)
    assert queue.validated_s == 1.5


@pytest.mark.parametrize("count", [0, overview.MOST_DAYS + 1])
def test_days_have_a_bound(database, count):
    with database.read() as connection, pytest.raises(ValueError, match="days"):
        overview.days(connection, NOON.date(), count)
