"""`earloop models import` to `lineage` as they are typed."""

import shutil
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from stt_server.commands.models import bundles
from stt_server.errors import BadOption, Conflict, NotFound
from stt_server.store import audit, models, routes
from stt_server.store.database import open_database
from tests.bundles import GOLDEN
from tests.catalog.conftest import rewrite
from tests.commands import typed

run = partial(typed.run, family="models")
told = partial(typed.told, family="models")


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EARLOOP_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(bundles, "BUNDLES", tmp_path / "none")
    return tmp_path / "data"


@pytest.fixture
def two(capsys, tmp_path: Path, tiny_bundle: Path) -> list[str]:
    """Ids of two imported models, the first of which is live."""
    folder = Path(shutil.copytree(tiny_bundle, tmp_path / "bundle"))
    first = told(capsys, "import", folder, "--name", "kitchen")
    second = told(capsys, "import", rewrite(folder, version="2"), "--name", "kitchen")
    assert run(capsys, "promote", "kitchen@1", "--yes")[0] == 0
    return [first["id"], second["id"]]


def live(data: Path) -> str:
    with closing(open_database(data)) as database, database.read() as connection:
        return next(route.model_id for route in routes.every(connection) if route.kind == "live")


def test_promote_is_at_once_and_on_record_and_rollback_takes_it_back(capsys, data, two):
    code, out, _ = run(capsys, "promote", "kitchen", "--yes")
    assert (code, out) == (0, "promote live: kitchen@1 → kitchen@2 (ungated: an operator's own act)\n")
    assert live(data) == two[1]
    assert run(capsys, "rollback", "--reason", "deaf")[1] == "rollback live: kitchen@2 → kitchen@1 (deaf)\n"
    assert live(data) == two[0]
    assert run(capsys, "rollback")[0] == Conflict.exit_code
    with closing(open_database(data)) as database, database.read() as connection:
        assert {change.actor for change in routes.changes(connection)} == {audit.COMMAND}


def test_promote_asks_unless_told_not_to(capsys, data, two, monkeypatch):
    monkeypatch.setattr("typer.confirm", lambda question, abort: pytest.fail(question) if not abort else _refuse())
    assert run(capsys, "promote", "kitchen")[0] == 1
    assert live(data) == two[0]


def _refuse():
    import typer

    raise typer.Abort


def test_list_names_the_catalogs_models_and_what_they_answer(capsys, two):
    run(capsys, "route", "language", "kitchen@2", "--key", "de")
    lines = run(capsys, "list")[1].splitlines()
    assert [(line.split()[0], line.split("  ")[-1]) for line in lines] == [
        ("kitchen@2", "language de"),
        ("kitchen@1", "live"),
    ]
    assert [(each["version"], each["status"], each["answers"]) for each in told(capsys, "list")] == [
        ("2", "accepted", ["language de"]),
        ("1", "accepted", ["live"]),
    ]


def test_a_model_of_the_catalog_can_be_shown_and_verified(capsys, two):
    assert "kitchen" in run(capsys, "show", "kitchen@1")[1]
    assert run(capsys, "verify", two[1])[1].splitlines()[0] == f"fp32: {GOLDEN!r}"


def test_routes_are_made_shown_and_ended(capsys, two):
    assert run(capsys, "route", "canary", "kitchen@2", "--share", "0.1")[0] == 0
    assert told(capsys, "route") == [
        {"kind": "canary", "key": "", "model": "kitchen@2", "share": 0.1},
        {"kind": "live", "key": "", "model": "kitchen@1", "share": 1.0},
    ]
    shown = run(capsys, "route")[1]
    assert "10.0% of sessions" in shown
    assert "promote live: none → kitchen@1" in shown
    assert run(capsys, "route", "canary", "--end")[1] == "unroute canary: kitchen@2 → none\n"
    assert run(capsys, "route", "canary", "--end")[0] == NotFound.exit_code
    assert run(capsys, "route", "language")[0] == BadOption.exit_code


def test_remove_deletes_bytes_and_refuses_what_answers(capsys, data, two):
    assert run(capsys, "remove", "kitchen@1", "--yes")[0] == Conflict.exit_code
    run(capsys, "verify", "kitchen@2")
    assert (data / "models" / two[1]).is_dir()
    assert run(capsys, "remove", "kitchen@2", "--yes")[1] == "kitchen@2 is removed\n"
    assert not (data / "models" / two[1]).exists()
    assert not (data / "objects" / "models" / f"{two[1]}.zip").exists()
    assert [each["version"] for each in told(capsys, "list")] == ["1"]
    with closing(open_database(data)) as database, database.read() as connection:
        assert models.get(connection, two[1]).status == "removed"


def test_lineage_tells_from_where_a_model_comes(capsys, two):
    code, out, _ = run(capsys, "lineage", "kitchen 1")  # as a response names it
    assert (code, out.splitlines()[0].split(",")[0]) == (0, f"model        kitchen@1 ({two[0]})")
    assert "live 20" in out
    assert told(capsys, "lineage", "kitchen@2")["model"]["answered"] == []
    assert run(capsys, "lineage", "--clip", "nothing")[0] == NotFound.exit_code
    assert run(capsys, "lineage")[0] == BadOption.exit_code
