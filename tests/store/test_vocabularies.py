"""Vocabularies as rows, in both databases: whose they are, their versions, the revision that servers follow."""

import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from stt_server.errors import BadOption, Conflict, NotFound
from stt_server.store import keys, vocabularies
from stt_server.store.database import Database, open_database
from stt_server.store.rights import Scope
from stt_server.store.vocabularies import SHARED, check_name
from tests.store.giving import now

ANN, BOB = "0123456789abcdef", "fedcba9876543210"
BODY = {"mode": "hotwords", "entities": {"room": [{"name": "Zoë's den"}]}}


@pytest.fixture
def database(tmp_path: Path, database_url: str) -> Iterator[Database]:
    with closing(open_database(tmp_path, database_url)) as opened:
        yield opened


def made_key(connection) -> str:
    return keys.create(connection, "test", [Scope.STREAM], now()).split("_")[1]


def test_a_vocabulary_is_its_keys_own_and_grows_by_versions(database: Database):
    with database.write() as connection:
        first = vocabularies.put(connection, ANN, "home", BODY, now())
        second = vocabularies.put(connection, ANN, "home", {"mode": "grammar"}, now())
        other = vocabularies.put(connection, BOB, "home", BODY, now())
    assert (first.version, second.version, other.version) == (1, 2, 1)
    assert first.id == second.id != other.id
    with database.read() as connection:
        assert vocabularies.get(connection, ANN, "home").body == {"mode": "grammar"}
        assert vocabularies.get(connection, BOB, "home").body == BODY
        assert [each.key_id for each in vocabularies.listed(connection, ANN)] == [ANN]
        assert {each.key_id for each in vocabularies.listed(connection, None)} == {ANN, BOB}
        assert vocabularies.count(connection, ANN) == 1


def test_shared_ones_are_listed_for_everybody_and_an_unknown_name_tells_the_nearest(database: Database):
    with database.write() as connection:
        vocabularies.put(connection, SHARED, "kitchen", BODY, now())
        vocabularies.put(connection, BOB, "chicken", BODY, now())
    with database.read() as connection:
        assert [each.name for each in vocabularies.listed(connection, ANN)] == ["kitchen"]
        with pytest.raises(NotFound, match="'kitchn' that you may use; there is kitchen[.]$"):
            vocabularies.get(connection, ANN, "kitchn")


def test_every_change_is_a_revision_that_was_not_there_before(database: Database):
    seen = []

    def change(work) -> None:
        with database.write() as connection:
            work(connection)
        with database.read() as connection:
            seen.append(vocabularies.revision(connection))

    change(lambda connection: None)
    for _ in range(2):
        change(lambda connection: vocabularies.put(connection, ANN, "a", BODY, now()))
        change(lambda connection: vocabularies.remove(connection, ANN, "a", now()))
    assert seen == sorted(set(seen))
    assert seen[0] == 0
    with database.read() as connection:
        assert vocabularies.versions(connection) == {}


def test_writers_at_once_overlook_no_change(database: Database):
    def put(name: str) -> None:
        with database.write() as connection:
            vocabularies.put(connection, ANN, name, BODY, now())

    threads = [threading.Thread(target=put, args=(f"v{i % 3}",)) for i in range(9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    with database.read() as connection:
        assert vocabularies.revision(connection) == 9
        assert sorted(vocabularies.versions(connection).values()) == [3, 3, 3]
        rows = vocabularies.by_ids(connection, [*vocabularies.versions(connection), "gone"])
    assert {row.name for row in rows} == {"v0", "v1", "v2"}


def test_a_key_has_a_default_which_is_not_deleted_under_it(database: Database):
    with database.write() as connection:
        ann, bob = made_key(connection), made_key(connection)
        vocabularies.put(connection, ann, "home", BODY, now())
        vocabularies.put(connection, SHARED, "all", BODY, now())
        vocabularies.make_default(connection, ann, "home")
        vocabularies.make_default(connection, bob, "all")
        living = keys.living(connection, now())
        assert (living[ann].vocabulary, living[bob].vocabulary) == ("home", "all")
        with pytest.raises(NotFound, match="'home' that you may use; there is all"):
            vocabularies.make_default(connection, bob, "home")
        with pytest.raises(NotFound, match="no key"):
            vocabularies.make_default(connection, "nobody", "all")
    for owner, name, user in ((ann, "home", ann), (SHARED, "all", bob)):
        with database.write() as connection, pytest.raises(Conflict, match=user):
            vocabularies.remove(connection, owner, name, now())
    with database.write() as connection:
        vocabularies.make_default(connection, ann, None)
        keys.revoke(connection, bob, now())
        vocabularies.remove(connection, ann, "home", now())
        vocabularies.remove(connection, SHARED, "all", now())
        assert vocabularies.listed(connection, None) == []


@pytest.mark.parametrize("name", ["", "none", "a/b", "-a", "a b", "ä", "x" * 65, "a\n"])
def test_what_is_no_name_is_refused(name: str):
    with pytest.raises(BadOption, match="cannot be called"):
        check_name(name)
