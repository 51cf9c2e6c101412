import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from stt_server.collection import ring
from stt_server.collection.ring import ConsentRing, open_consents
from stt_server.metrics import Metrics
from stt_server.store import consents, people
from stt_server.store.consents import Way
from stt_server.store.database import Database, open_database
from stt_server.store.rights import Purpose
from tests.store.giving import giver, now


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A look that is waited for has come, however busy the machine is."""
    monkeypatch.setattr(ring, "PATIENCE_S", 60.0)


@pytest.fixture
def database(tmp_path: Path, database_url: str):
    with closing(open_database(tmp_path, database_url)) as opened:
        yield opened


@asynccontextmanager
async def opened(database: Database, *, collecting: bool = True) -> AsyncIterator[ConsentRing]:
    known = await open_consents(database, Metrics(), collecting=collecting)
    try:
        yield known
    finally:
        await known.close()


async def test_who_agreed_may_be_kept_and_nobody_else(database: Database):
    anna, given = giver(database, Purpose.TRAINING)
    bert, _ = giver(database, Purpose.RECOGNITION)
    async with opened(database) as known:
        assert known.may_keep(anna) == given
        assert known.may_keep(bert) is None
        assert known.may_keep(None) is None


async def test_a_server_that_does_not_collect_may_keep_nothing(database: Database):
    anna, given = giver(database)
    async with opened(database, collecting=False) as known:
        assert known.may_keep(anna) is None
        assert known.consent_of(anna) == given


async def test_what_is_forgotten_stays_so_whatever_an_older_look_still_says(database: Database):
    anna, _ = giver(database)
    async with opened(database) as known:
        known.forget(anna.id)
        assert known.may_keep(anna) is None
        await known.renewed()  # the database still has it
        assert known.may_keep(anna) is None
        with database.write() as connection:
            again = consents.give(connection, anna.id, "1", "words", [Purpose.TRAINING], Way.API, now())
        await known.renewed()
        assert known.may_keep(anna) == again


async def test_a_consent_ends_by_the_clock_without_a_look(database: Database, monkeypatch):
    with database.write() as connection:
        anna, _ = people.create(connection, now())
        ends = now() + timedelta(hours=1)
        consents.give(connection, anna.id, "1", "words", [Purpose.TRAINING], Way.API, now(), ends)
    async with opened(database) as known:
        assert known.may_keep(anna) is not None
        monkeypatch.setattr(ring, "now", lambda: ends)
        assert known.may_keep(anna) is None


async def test_what_happens_beside_the_server_is_known_after_a_while_without_asking(database: Database, monkeypatch):
    monkeypatch.setattr(ring, "REFRESH_S", 0.2)
    anna, _ = giver(database)
    async with opened(database) as known:
        with database.write() as connection:
            consents.end(connection, anna.id, now())
        async with asyncio.timeout(60):
            while known.may_keep(anna) is not None:  # noqa: ASYNC110 - what is waited for sets no event
                await asyncio.sleep(0.01)


async def test_while_the_database_is_away_the_last_look_stays(tmp_path: Path):
    with closing(open_database(tmp_path)) as database:
        anna, given = giver(database)
        async with opened(database) as known:
            with database.write() as connection:
                connection.execute(text("ALTER TABLE consents RENAME TO elsewhere"))
            await known.renewed()
            assert known.may_keep(anna) == given
            with database.write() as connection:
                connection.execute(text("ALTER TABLE elsewhere RENAME TO consents"))


async def test_when_nobody_keeps_it_up_to_date_nothing_may_be_kept(database: Database):
    anna, _ = giver(database)
    known = await open_consents(database, Metrics(), collecting=True)
    await known.close()
    assert known.may_keep(anna) is None
