import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from stt_server.errors import Unavailable
from stt_server.metrics import Metrics
from stt_server.store import keys, ring, usage
from stt_server.store.database import Database, open_database
from stt_server.store.keys import Credential, parse_key
from stt_server.store.rights import Scope
from stt_server.store.ring import KeyRing, open_ring


@pytest.fixture
async def database(tmp_path: Path, database_url: str):
    opened = open_database(tmp_path, database_url)
    yield opened
    opened.close()


@asynccontextmanager
async def opened(database: Database) -> AsyncIterator[KeyRing]:
    known = await open_ring(database, Metrics())
    try:
        yield known
    finally:
        await known.close()


def make(database: Database) -> Credential:
    with database.write() as connection:
        shown = parse_key(keys.create(connection, "test", [Scope.STREAM], datetime.now(UTC)))
    assert shown is not None
    return shown


async def test_keys_that_were_there_are_known_at_once(database: Database):
    shown = make(database)
    async with opened(database) as known:
        assert known.any
        assert known.find(shown) is not None


async def test_a_key_made_beside_the_server_is_known_after_a_while_without_asking(database: Database):
    async with opened(database) as known:
        assert not known.any
        shown = make(database)
        turns = asyncio.Event()
        known.watch(turns.set)
        async with asyncio.timeout(60):  # a busy machine is late
            await turns.wait()
        assert known.any
        assert known.find(shown) is not None


async def test_many_who_show_unknown_keys_cause_few_looks(database: Database):
    async with opened(database) as known:
        looks = []
        known.watch(lambda: looks.append(1))
        began = asyncio.get_running_loop().time()
        await asyncio.gather(*(known.renewed() for _ in range(200)))
        took_s = asyncio.get_running_loop().time() - began
        assert 1 <= len(looks) <= 1 + took_s / ring.SPACING_S


async def test_what_was_used_counts_at_once_and_is_written_in_the_end(database: Database):
    shown = make(database)
    async with opened(database) as known:
        known.find(shown)
        for _ in range(3):
            known.use(shown.id, 1.5)
            assert known.used_today(shown.id) % 1.5 == 0
        assert known.used_today(shown.id) == 4.5
    with database.read() as connection:
        assert usage.in_all(connection) == {shown.id: 4.5}
        assert keys.every(connection)[0].last_used is not None


async def test_what_another_server_counted_counts_here_too(database: Database):
    shown = make(database)
    async with opened(database) as one, opened(database) as other:
        one.use(shown.id, 3.0)
        await one.renewed()
        await other.renewed()
        assert other.used_today(shown.id) == 3.0


async def test_a_new_day_begins_at_nothing(database: Database, monkeypatch):
    shown = make(database)
    async with opened(database) as known:
        known.use(shown.id, 3.0)
        await known.renewed()
        monkeypatch.setattr(ring, "now", lambda: datetime.now(UTC) + timedelta(days=1))
        assert known.used_today(shown.id) == 0


async def test_last_use_is_written_at_most_once_a_minute(database: Database):
    shown = make(database)
    async with opened(database) as known:
        stamps = []
        for _ in range(2):
            known.find(shown)
            await known.renewed()
            with database.read() as connection:
                stamps.append(keys.every(connection)[0].last_used)
        assert stamps[0] is not None
        assert stamps[0] == stamps[1]


async def test_when_keys_are_not_kept_up_any_more_nobody_is_let_in(database: Database):
    shown = make(database)
    known = await open_ring(database, Metrics())

    def spoil() -> None:
        raise ZeroDivisionError

    known.watch(spoil)
    await known.renewed()
    with pytest.raises(Unavailable, match="not kept up to date"):
        known.find(shown)
    with pytest.raises(ZeroDivisionError):
        await known.close()
