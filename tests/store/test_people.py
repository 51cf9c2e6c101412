from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from stt_server.errors import NotFound
from stt_server.store import keys, people
from stt_server.store.database import Database, open_database
from stt_server.store.keys import Credential
from stt_server.store.rights import Scope

NOW = datetime(2026, 11, 21, tzinfo=UTC)


@pytest.fixture
def database(tmp_path: Path, database_url: str):
    with closing(open_database(tmp_path, database_url)) as opened:
        yield opened


def test_a_token_stands_for_its_person_and_for_nobody_else(database: Database):
    with database.write() as connection:
        anna, token = people.create(connection, NOW)
        bert, _ = people.create(connection, NOW)
    shown = people.parse_token(token)
    assert shown is not None
    assert shown.id == anna.id
    assert people.is_right(anna, shown)
    assert not people.is_right(bert, shown)
    assert not people.is_right(None, shown)
    assert not people.is_right(anna, Credential(anna.id, "guessed"))


def test_the_database_has_no_token(database: Database):
    with database.write() as connection:
        _, token = people.create(connection, NOW)
    with database.read() as connection:
        (row,) = people.every(connection)
    secret = token.split("_", 2)[2]
    assert secret not in repr(row)
    assert secret.encode() not in (row.token_sha256 or b"")


def test_a_key_has_one_person_however_many_ask_at_once(database: Database):
    with database.write() as connection:
        key = keys.create(connection, "device", [Scope.CONTRIBUTE], NOW).split("_")[1]

    def ask(_: int) -> str:
        with database.write() as connection:
            return people.of_key(connection, key, NOW).id

    with ThreadPoolExecutor(8) as threads:
        assert len(set(threads.map(ask, range(16)))) == 1


def test_a_person_by_key_has_no_token_that_could_be_right(database: Database):
    with database.write() as connection:
        key = keys.create(connection, "device", [Scope.CONTRIBUTE], NOW).split("_")[1]
        person = people.of_key(connection, key, NOW)
    assert not people.is_right(person, Credential(person.id, ""))


@pytest.mark.parametrize("text", ["", "elc", "elc_", "elc_a", "elc_a_", "el_a_b", "elc__b", "x elc_a_b"])
def test_what_is_no_token_is_none(text: str):
    assert people.parse_token(text) is None


def test_nobody_is_not_found(database: Database):
    with database.read() as connection, pytest.raises(NotFound, match="no person nobody"):
        people.get(connection, "nobody")
