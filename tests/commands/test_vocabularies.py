"""`earloop vocabularies` and `earloop keys set`, as they are called."""

import json
from contextlib import closing
from datetime import UTC, datetime
from functools import partial

import pytest

from stt_server.store import keys, vocabularies
from stt_server.store.database import open_database
from stt_server.store.rights import Scope
from tests.commands import typed

run = partial(typed.run, family="vocabularies")

HOME = {"mode": "hotwords", "entities": {"room": [{"name": "Zoë's den", "boost": 6.0}, {"name": "卧室"}]}}


@pytest.fixture(autouse=True)
def data(tmp_path, monkeypatch):
    monkeypatch.setenv("EARLOOP_DATA", str(tmp_path / "data"))
    return tmp_path / "data"


@pytest.fixture
def home(tmp_path):
    file = tmp_path / "home.json"
    file.write_text(json.dumps(HOME))
    return str(file)


def test_a_vocabulary_is_put_listed_shown_and_deleted(capsys, home):
    assert run(capsys, "list")[1].startswith("there is no vocabulary")
    code, out, errors = run(capsys, "put", "home", home)
    assert (code, out) == (0, "home: version 1, mode hotwords, 1 names and spoken forms\n")
    assert errors.startswith("cannot_spell: '卧室'")
    told = json.loads(run(capsys, "put", "home", home, "--json")[1])
    assert (told["version"], told["owner"], told["hotwords"], len(told["problems"])) == (2, "shared", 1, 1)
    assert run(capsys, "list")[1].split()[:3] == ["home", "shared", "hotwords"]
    code, out, errors = run(capsys, "show", "home")
    assert (json.loads(out), errors[:12]) == (HOME, "cannot_spell")
    assert run(capsys, "delete", "home")[:2] == (0, "deleted\n")
    assert json.loads(run(capsys, "list", "--json")[1]) == []


def test_a_vocabulary_of_a_key_is_its_default_by_command(capsys, home, data):
    with closing(open_database(data)) as database, database.write() as connection:
        key = keys.create(connection, "kitchen", [Scope.STREAM], datetime.now(UTC)).split("_")[1]
    assert run(capsys, "set", key, "--vocabulary", "home", family="keys")[0] == 3
    assert run(capsys, "put", "home", home, "--owner", key)[0] == 0
    assert run(capsys, "set", key, "--vocabulary", "home", family="keys")[:2] == (0, "changed\n")
    assert json.loads(run(capsys, "list", "--json", family="keys")[1])[0]["vocabulary"] == "home"
    assert run(capsys, "list", family="keys")[1].strip().endswith("vocabulary home")
    code, _, errors = run(capsys, "delete", "home", "--owner", key)
    assert (code, key in errors) == (5, True)
    assert run(capsys, "set", key, "--vocabulary", "none", family="keys")[0] == 0
    assert run(capsys, "delete", "home", "--owner", key)[0] == 0
    with closing(open_database(data)) as database, database.read() as connection:
        assert vocabularies.listed(connection, None) == []


@pytest.mark.parametrize(
    ("words", "code", "why"),
    [
        (("put", "a/b", "{home}"), 2, "cannot be called"),
        (("put", "home", "no-file.json"), 2, "cannot be read"),
        (("show", "home"), 3, "There is no vocabulary 'home'"),
        (("delete", "home"), 3, "There is no vocabulary 'home'"),
    ],
)
def test_a_mistake_is_a_sentence_and_an_exit_code(capsys, home, words, code, why):
    ended, out, errors = run(capsys, *(home if each == "{home}" else each for each in words))
    assert (ended, out) == (code, "")
    assert why in errors


def test_a_document_that_is_none_is_refused_by_its_field(capsys, tmp_path):
    file = tmp_path / "bad.json"
    file.write_text('{"mode": "grammar", "sentences": ["turn (on"]}')
    code, _, errors = run(capsys, "put", "home", str(file))
    assert code == 2
    assert "line 1, column 6" in errors
