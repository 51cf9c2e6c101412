import json
from contextlib import closing
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest

from stt_server.store import keys, usage
from stt_server.store.database import open_database
from stt_server.store.keys import find, parse_key
from stt_server.store.migrate import newest_revision
from stt_server.store.rights import KeyLimits, Scope
from tests.commands import typed

run = partial(typed.run, family="keys")


@pytest.fixture(autouse=True)
def data(tmp_path, monkeypatch):
    monkeypatch.setenv("EARLOOP_DATA", str(tmp_path))
    return tmp_path


def created(capsys, *words) -> str:
    code, out, _ = run(capsys, "create", "--name", "kitchen", *words)
    assert code == 0
    return out.strip()


def stored(data, key):
    shown = parse_key(key)
    assert shown is not None
    with closing(open_database(data)) as database, database.read() as connection:
        now = datetime.now(UTC)
        return find(keys.living(connection, now), shown, now)


def test_a_key_is_printed_alone_on_its_line_and_works(capsys, data):
    code, out, errors = run(capsys, "create", "--name", "kitchen")
    assert code == 0
    assert len(out.splitlines()) == 1
    assert "cannot be shown again" in errors
    key = stored(data, out.strip())
    assert (key.name, key.scopes, key.expires) == ("kitchen", {Scope.STREAM}, None)


def test_everything_that_a_key_may_be_can_be_said(capsys, data):
    limits = "--max-streams 2 --max-uploads 3 --audio-hours-per-day 1.5 --requests-per-minute 4".split()
    key = stored(data, created(capsys, "--scope", "tag", "--scope", "stream", "--expires", "30d", *limits))
    assert key.scopes == {Scope.TAG, Scope.STREAM}
    assert key.limits == KeyLimits(2, 3, 5400.0, 4)
    assert timedelta(days=29, hours=23) < key.expires - datetime.now(UTC) < timedelta(days=30)


def test_json_says_the_same(capsys, data):
    made = json.loads(created(capsys, "--scope", "admin", "--json"))
    assert stored(data, made["key"]).id == made["id"]
    assert (made["name"], made["scopes"], made["expires"]) == ("kitchen", ["admin"], None)


def test_the_list_tells_the_living_from_the_ended_and_never_a_secret(capsys, data):
    made = [created(capsys) for _ in range(2)]
    with closing(open_database(data)) as database, database.write() as connection:
        keys.create(connection, "old", [Scope.TAG], datetime.now(UTC), expires=datetime(2026, 1, 1, tzinfo=UTC))
        usage.add(connection, {(made[0].split("_")[1], datetime.now(UTC).date()): 7200.0})
    assert run(capsys, "revoke", made[1])[0] == 0
    _, out, _ = run(capsys, "list")
    _, as_json, _ = run(capsys, "list", "--json")
    assert [line.split()[2] for line in out.splitlines()] == ["live", "revoked", "expired"]
    assert "used 2.00 h" in out.splitlines()[0]
    assert [row["state"] for row in json.loads(as_json)] == ["live", "revoked", "expired"]
    assert json.loads(as_json)[0]["audio_s"] == 7200.0
    for key in made:
        assert key.split("_", 2)[2] not in out + as_json


def test_without_keys_the_list_says_what_that_means(capsys):
    code, out, _ = run(capsys, "list")
    assert code == 0
    assert "open to everybody on this machine" in out


@pytest.mark.parametrize(
    ("words", "code", "why"),
    [
        (["create", "--name", "x", "--scope", "stremm"], 2, "the scopes are stream"),
        (["create", "--name", "x", "--expires", "soon"], 2, "such as 30d"),
        (["create", "--name", "x", "--expires", "0d"], 2, "such as 30d"),
        (["create", "--name", ""], 2, "name"),
        (["create"], 2, "--name"),
        (["create", "--name", "x", "--max-streams", "-1"], 2, "max-streams"),
        (["revoke", "0000"], 3, "There is no key 0000"),
    ],
)
def test_a_mistake_is_a_sentence_and_an_exit_code(capsys, words, code, why):
    ended, out, errors = run(capsys, *words)
    assert (ended, out) == (code, "")
    assert why in errors
    assert "Traceback" not in errors


def test_a_key_is_revoked_once(capsys):
    key = created(capsys)
    assert run(capsys, "revoke", key.split("_")[1])[0] == 0
    assert run(capsys, "revoke", key)[0] == 5


def test_the_database_is_shown_made_and_shown_again(capsys, data):
    newest = newest_revision()
    assert f"revision none of {newest}" in run(capsys, "show", family="db")[1]
    assert f"at revision {newest}" in run(capsys, "upgrade", family="db")[1]
    assert f"{data}/earloop.db: revision {newest}" in run(capsys, "show", family="db")[1]


def test_a_damaged_database_is_a_sentence_and_exit_code_7(capsys, data):
    (data / "earloop.db").write_bytes(b"nonsense" * 1000)
    code, _, errors = run(capsys, "list")
    assert code == 7
    assert "is no database, or damaged" in errors
