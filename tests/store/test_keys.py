from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from stt_server.errors import BadOption, Conflict, NotFound
from stt_server.store import keys, usage
from stt_server.store.database import Database, open_database
from stt_server.store.keys import find, parse_key
from stt_server.store.rights import KeyLimits, Scope, allows, parse_scopes
from stt_server.store.usage import Used

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
LATER = NOW + timedelta(days=1)


@pytest.fixture
def database(tmp_path: Path, database_url: str):
    with closing(open_database(tmp_path, database_url)) as opened:
        yield opened


def make(database: Database, name: str = "kitchen", scopes=(Scope.STREAM,), **more) -> str:
    with database.write() as connection:
        return keys.create(connection, name, scopes, NOW, **more)


def living(database: Database, now: datetime = NOW) -> dict[str, keys.Key]:
    with database.read() as connection:
        return keys.living(connection, now)


def test_a_key_is_found_again_with_all_that_was_said_of_it(database: Database):
    limits = KeyLimits(max_streams=1, max_uploads=2, audio_s_per_day=3.5, requests_per_minute=4)
    shown = parse_key(make(database, scopes=[Scope.TAG, Scope.STREAM], expires=LATER, limits=limits))
    assert shown is not None
    key = find(living(database), shown, NOW)
    assert key is not None
    assert (key.name, key.limits) == ("kitchen", limits)
    assert key.scopes == {Scope.TAG, Scope.STREAM}
    assert (key.created, key.expires, key.revoked, key.last_used) == (NOW, LATER, None, None)


def test_the_secret_has_256_bits_and_the_file_does_not_hold_it(database: Database, tmp_path: Path):
    _, _, secret = make(database).split("_", 2)
    assert len(secret) >= 43
    with database.write() as connection:
        connection.execute(text("DELETE FROM key_usage"))
    for path in tmp_path.iterdir():
        assert secret.encode() not in path.read_bytes()


def test_two_keys_have_nothing_in_common(database: Database):
    assert not set(make(database).split("_", 2)[1:]) & set(make(database).split("_", 2)[1:])


def test_a_wrong_secret_an_unknown_id_and_a_foreign_key_are_not_found(database: Database):
    key, other = make(database), make(database)
    ident, secret = key.split("_", 2)[1:]
    bytes_that_are_no_text = f"el_{ident}_\udcff"
    foreign = f"el_{ident}_{other.split('_', 2)[2]}"
    for text_shown in (f"el_{ident}_{secret[:-1]}", foreign, f"el_0000_{secret}", bytes_that_are_no_text):
        shown = parse_key(text_shown)
        assert shown is not None
        assert find(living(database), shown, NOW) is None


@pytest.mark.parametrize("text", ["", "el", "el_", "el__", "el_abc", "el_abc_", "sk-proj-abc", "xx_abc_def", "EL_a_b"])
def test_what_is_no_key_of_ours_is_told_by_its_looks(text):
    assert parse_key(text) is None


def test_a_key_ends_when_it_expires_also_between_two_looks_into_the_database(database: Database):
    shown = parse_key(make(database, expires=LATER))
    assert shown is not None
    known = living(database)
    assert find(known, shown, LATER - timedelta(seconds=1)) is not None
    assert find(known, shown, LATER) is None
    assert living(database, LATER) == {}


@pytest.mark.parametrize("how", ["{id}", "el_{id}", "el_{id}_whatever"])
def test_a_revoked_key_does_not_live_but_stays_in_the_list(database: Database, how: str):
    ident = make(database).split("_")[1]
    with database.write() as connection:
        keys.revoke(connection, how.format(id=ident), NOW)
        assert keys.living(connection, NOW) == {}
        assert [key.revoked for key in keys.every(connection)] == [NOW]
        assert keys.any_at_all(connection)


def test_a_key_is_revoked_once_and_only_where_it_is(database: Database):
    ident = make(database).split("_")[1]
    with database.write() as connection:
        keys.revoke(connection, ident, NOW)
        with pytest.raises(Conflict, match="revoked before"):
            keys.revoke(connection, ident, NOW)
        with pytest.raises(NotFound, match="no key 1234"):
            keys.revoke(connection, "1234", NOW)


@pytest.mark.parametrize("name", ["", "  ", "x" * 101, "two\nlines", "\x1b[31mred"])
def test_a_key_needs_a_name_that_can_be_shown(database: Database, name: str):
    with pytest.raises(BadOption, match="name"):
        make(database, name)


def test_a_key_needs_a_scope_there_is(database: Database):
    with pytest.raises(BadOption, match="scope"):
        make(database, scopes=[])
    with pytest.raises(BadOption, match="'stremm' is not a valid Scope; the scopes are stream, contribute"):
        parse_scopes(["stremm"])


def test_the_first_key_is_made_once(database: Database):
    with database.write() as connection:
        first = keys.create_first(connection, "first", NOW)
        assert first is not None
        assert [key.scopes for key in keys.every(connection)] == [{Scope.ADMIN}]
        keys.revoke(connection, first, NOW)
        assert keys.create_first(connection, "first", NOW) is None


def test_admin_may_everything_and_others_what_they_have():
    assert all(allows([Scope.ADMIN], scope) for scope in [*Scope, None])
    assert [scope for scope in Scope if allows([Scope.STREAM, Scope.TAG], scope)] == [Scope.STREAM, Scope.TAG]
    assert allows([], None)


def test_who_curates_may_do_what_contributors_and_taggers_may():
    curates = {Scope.CONTRIBUTE, Scope.TAG, Scope.TRAIN, Scope.CURATE}
    assert {scope for scope in Scope if allows([Scope.CURATE], scope)} == curates
    assert {scope for scope in Scope if allows([Scope.TRAIN], scope)} == {Scope.CONTRIBUTE, Scope.TRAIN}


def test_usage_adds_up_by_key_and_day(database: Database):
    one, other = (make(database).split("_")[1] for _ in range(2))
    day, next_day = date(2026, 11, 21), date(2026, 11, 22)
    with database.write() as connection:
        usage.add(connection, {(one, day): 1.5, (other, day): 4.0})
        usage.add(connection, {(one, day): 2.0, (one, next_day): 1.0})
        assert usage.of_day(connection, day) == {one: 3.5, other: 4.0}
        assert usage.of_day(connection, next_day) == {one: 1.0}
        assert usage.in_all(connection) == {one: 4.5, other: 4.0}
        usage.add_models(connection, {(one, day, "en-small"): Used(1.5, streams=1), (other, day, "own"): Used(4.0)})
        usage.add_models(connection, {(one, day, "en-small"): Used(2.0, uploads=1)})
        said = [(one, day, "en-small", Used(3.5, 1, 1)), (other, day, "own", Used(4.0))]
        assert usage.by_model(connection, day, next_day) == sorted(said)
        assert usage.by_model(connection, day, day, one) == said[:1]
        assert usage.by_model(connection, next_day, next_day) == []
