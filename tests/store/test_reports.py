from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from stt_server.errors import NotFound
from stt_server.store import erasures, reports
from stt_server.store.database import Database, open_database
from stt_server.store.models import Model, insert_model
from stt_server.store.reports import GateReport
from tests.store import giving

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.fixture
def database(tmp_path: Path, database_url: str):
    with closing(open_database(tmp_path, database_url)) as opened:
        yield opened


def keep(database: Database, ident: str, *shown: dict, snapshot_id: str | None = None, when: datetime = NOW) -> None:
    """A report on a model of its own, that shows these utterances."""
    model = Model(
        id=f"model-{ident}",
        name="a",
        version=ident,
        language="en",
        sha256=bytes(32),
        created=when,
        created_by="test",
        snapshot_id=snapshot_id,
    )
    report = GateReport(
        id=ident,
        model_id=model.id,
        base_id=None,
        job_id=None,
        created=when,
        verdict="passed",
        report={"verdict": "passed", "worst": list(shown), "reasons": ["100 % better"]},
        html_key=reports.page_key(ident),
    )
    with database.write() as connection:
        insert_model(connection, model)
        reports.insert_report(connection, report)


def get(database: Database, ident: str) -> GateReport:
    with database.read() as connection:
        return reports.get(connection, ident)


def forget(database: Database, *clip_ids: str) -> int:
    with database.write() as connection:
        return reports.forget(connection, clip_ids, NOW)


def pending(database: Database) -> list[str]:
    with database.read() as connection:
        return erasures.pending(connection, 10)


def test_a_report_is_kept_and_the_newest_of_a_model_is_told(database: Database):
    keep(database, "r1")
    assert get(database, "r1").report["reasons"] == ["100 % better"]
    with database.read() as connection:
        found = reports.newest(connection, "model-r1")
        assert found is not None
        assert found.id == "r1"
        assert reports.newest(connection, "model-r2") is None
        with pytest.raises(NotFound):
            reports.get(connection, "r2")


def test_a_clip_that_leaves_is_named_by_no_report_and_its_pages_go(database: Database):
    keep(database, "r1", {"path": "/runs/clip17.flac", "said": "la"}, {"path": "/runs/clip18.flac", "said": "lo"})
    keep(database, "r2", {"path": "/runs/clip18.flac", "said": "lo"})
    assert forget(database, "clip17", "clip99") == 1
    assert [each["path"] for each in get(database, "r1").report["worst"]] == ["/runs/clip18.flac"]
    assert get(database, "r1").html_key is None
    assert get(database, "r1").verdict == "passed"
    assert get(database, "r2").html_key == reports.page_key("r2")
    assert pending(database) == [reports.page_key("r1")]
    assert forget(database, "clip17") == 0


def test_the_page_of_a_model_that_learned_from_a_clip_goes_though_no_row_names_it(database: Database):
    _, consent = giving.giver(database)
    clip = giving.clip(database, consent)
    keep(database, "r1", snapshot_id=giving.publish(database, clip))
    keep(database, "r2")
    assert forget(database, clip.id) == 1
    assert pending(database) == [reports.page_key("r1")]


def test_signs_that_databases_search_with_are_letters_in_an_id(database: Database):
    keep(database, "r1", {"path": "/runs/clip17.flac"})
    assert forget(database, "clip%", "clip_7", "c%1") == 0
