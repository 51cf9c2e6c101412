import json
from contextlib import closing
from datetime import UTC, datetime
from functools import partial

import pytest

from stt_server.store import consents, keys, people
from stt_server.store.database import open_database
from stt_server.store.objects import open_objects
from stt_server.store.rights import Scope
from tests.commands import typed
from tests.store.giving import clip

run = partial(typed.run, family="consent")
told = partial(typed.told, family="consent")


@pytest.fixture(autouse=True)
def data(tmp_path, monkeypatch):
    monkeypatch.setenv("EARLOOP_DATA", str(tmp_path))
    return tmp_path


def test_somebody_new_gets_a_token_alone_on_its_line_that_stands_for_them(capsys, data):
    code, out, _ = run(capsys, "grant")
    assert code == 0
    shown = people.parse_token(out)
    assert shown is not None
    with closing(open_database(data)) as database, database.read() as connection:
        assert people.is_right(people.get(connection, shown.id), shown)
        given = consents.current(connection, shown.id, datetime.now(UTC))
    assert given is not None
    assert (given.way, sorted(given.purposes)) == ("command", ["training"])
    assert given.expires is not None


def test_a_keys_own_person_agrees_by_the_keys_id(capsys, data):
    with closing(open_database(data)) as database, database.write() as connection:
        key = keys.create(connection, "device", [Scope.CONTRIBUTE], datetime.now(UTC))
    said = told(capsys, "grant", key, "--purpose", "release", "--days", "0")
    assert said["token"] is None
    assert said["purposes"] == ["release", "training"]
    assert said["expires"] is None
    (row,) = told(capsys, "show")
    assert (row["person"], row["key"]) == (said["person"], key.split("_")[1])


def test_withdrawing_takes_rows_and_bytes_and_is_to_be_seen_afterwards(capsys, data):
    person = told(capsys, "grant")["person"]
    objects = open_objects(data)
    with closing(open_database(data)) as database:
        with database.read() as connection:
            given = consents.current(connection, person, datetime.now(UTC))
        assert given is not None
        kept = clip(database, given, objects)
    assert told(capsys, "show")[0]["clips"] == 1
    gone = {"person": person, "clips": 1, "votes": 0, "snapshots": [], "models": [], "left": 0}
    assert told(capsys, "withdraw", person) == gone
    assert list(objects.each("clips/")) == []
    (row,) = told(capsys, "show", person)
    assert row["clips"] == 0
    assert row["withdrawn"]
    assert [deed["action"] for deed in row["audit"]] == [
        "consent_given",
        "consent_withdrawn",
        "clips_removed",
        "withdrawal_done",
    ]
    assert kept.hypothesis not in json.dumps(row)


def test_the_words_are_shown_with_their_version(capsys):
    code, out, _ = run(capsys, "show", "--words")
    assert code == 0
    assert told(capsys, "grant")["version"] in out
    assert "withdraw with one button" in out


def test_plain_lists_say_who_and_what(capsys):
    assert "nobody" in run(capsys, "show")[1]
    person = told(capsys, "grant")["person"]
    assert person in run(capsys, "show")[1]
    out = run(capsys, "show", person)[1]
    assert "purposes=training" in out
    assert "action=consent_given" in out


@pytest.mark.parametrize("words", [["show", "nobody"], ["withdraw", "elc_nobody_x"], ["grant", "el_nobody_x"]])
def test_nobody_is_not_found(capsys, words):
    code, _, err = run(capsys, *words)
    assert code == 3
    assert "There is no person nobody" in err


def test_a_purpose_that_there_is_not_is_refused(capsys):
    code, _, err = run(capsys, "grant", "--purpose", "profit")
    assert code == 2
    assert "recognition, training, release" in err
