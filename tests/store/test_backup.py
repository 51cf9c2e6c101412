"""Backups of a real database with real bytes, while others write; restored elsewhere and compared."""

import hashlib
import io
import json
import sqlite3
import stat
import tarfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import select

from stt_server.errors import BadInput, Conflict, NotFound, Unavailable, Unsupported
from stt_server.store import dump, language_models, signing
from stt_server.store.backup import read_backup, write_backup
from stt_server.store.consents import Consent
from stt_server.store.database import Database, open_database
from stt_server.store.language_models import LanguageModel
from stt_server.store.objects import ObjectStore, open_objects
from stt_server.store.reports import GateReport, insert_report
from stt_server.store.tables import CLIPS, METADATA, SECRETS
from stt_server.store.withdrawal import Why, remove_clips
from tests.catalog.conftest import add
from tests.store.giving import clip, giver, judge, now, publish

if TYPE_CHECKING:
    from tests.postgres import Postgres


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def database(data: Path, database_url: str) -> Iterator[Database]:
    with closing(open_database(data, database_url)) as opened:
        yield opened


@pytest.fixture
def objects(data: Path) -> ObjectStore:
    return open_objects(data)


@pytest.fixture
def other(tmp_path: Path, database_url: str, request: pytest.FixtureRequest) -> Iterator[tuple[Path, str]]:
    """An empty place of the same kind to restore into: a data folder and a database's URL."""
    if not database_url:
        yield tmp_path / "other", ""
        return
    postgres: Postgres = request.getfixturevalue("postgres")
    with postgres.database() as url:
        yield tmp_path / "other", url


def contents(database: Database) -> dict[str, list[tuple[object, ...]]]:
    """Every row of every table, but what servers sign with."""
    with database.read() as connection:
        tables = [table for table in METADATA.sorted_tables if table is not SECRETS]
        return {table.name: sorted(map(tuple, connection.execute(select(table))), key=repr) for table in tables}


def test_what_is_restored_is_what_was_there(
    database: Database, objects: ObjectStore, tmp_path: Path, other: tuple[Path, str]
):
    (_, consent), (tagger, _) = giver(database), giver(database)
    kept = [clip(database, consent, objects) for _ in range(20)]
    judge(database, kept[0], tagger)
    publish(database, *kept[:5])
    made = write_backup(database, objects, tmp_path / "backup.tar")
    assert (made.clips, made.missing) == (20, 0)
    place, url = other
    elsewhere = open_objects(place)
    assert read_backup(tmp_path / "backup.tar", elsewhere, place, url) == made
    with closing(open_database(place, url)) as restored:
        assert contents(restored) == contents(database)
    for each in kept:
        assert elsewhere.get(each.object_key) == objects.get(each.object_key)


def test_a_language_model_comes_back_with_its_file(
    database: Database, objects: ObjectStore, tmp_path: Path, other: tuple[Path, str]
):
    """Whatever its file says: a backup does not look into it."""
    key = language_models.object_key("lm1")
    objects.put(key, b"any bytes")
    row = LanguageModel(
        id="lm1",
        name="home",
        version=1,
        object_key=key,
        sha256=hashlib.sha256(b"any bytes").digest(),
        size=9,
        alpha=0.5,
        lineage={"file": "home.lm", "order": 3},
        created=now(),
        created_by="test",
    )
    with database.write() as connection:
        language_models.insert_language_model(connection, row)
    write_backup(database, objects, tmp_path / "backup.tar")
    place, url = other
    elsewhere = open_objects(place)
    read_backup(tmp_path / "backup.tar", elsewhere, place, url)
    assert elsewhere.get(key) == b"any bytes"
    with closing(open_database(place, url)) as restored, restored.read() as connection:
        assert language_models.answering(connection) == [row]


def backed_up_meanwhile(
    database: Database, objects: ObjectStore, folder: Path, kept: list[str], gone: list[str]
) -> tuple[Path, list[str], set[str]]:
    """A backup while others kept something; what was kept and what was gone when it began."""
    deadline = time.monotonic() + 60
    while len(kept) < 10 and time.monotonic() < deadline:
        time.sleep(0.01)
    for attempt in range(10):  # a quick one may have had no other beside it
        acknowledged, left, backup = list(kept), set(gone), folder / f"backup{attempt}.tar"
        write_backup(database, objects, backup)
        if len(kept) > len(acknowledged):
            return backup, acknowledged, left
    raise AssertionError("nothing was written meanwhile; the test shows nothing")


@pytest.mark.slow
def test_a_backup_under_load_has_every_clip_that_was_there_before_and_none_without_its_bytes(
    database: Database, objects: ObjectStore, tmp_path: Path, other: tuple[Path, str]
):
    givers = [giver(database)[1] for _ in range(3)]
    before = [clip(database, givers[n % 3], objects).id for n in range(60)]
    stop, kept, gone = threading.Event(), list[str](), list[str]()

    def give(consent: Consent) -> None:
        while not stop.is_set():
            with suppress(Unavailable):  # a writer may find the database locked: then it is not kept
                kept.append(clip(database, consent, objects).id)

    def withdraw() -> None:
        while not stop.is_set() and len(gone) < 40:
            ident = before[len(gone)]
            with suppress(Unavailable):  # the same
                with database.write() as connection:
                    remove_clips(connection, [ident], "test", Why.WITHDRAWAL)
                objects.delete(f"clips/{ident[:2]}/{ident}.flac")
                gone.append(ident)

    threads = [threading.Thread(target=give, args=[consent]) for consent in givers]
    threads.append(threading.Thread(target=withdraw))
    for thread in threads:
        thread.start()
    try:
        backup, acknowledged, left = backed_up_meanwhile(database, objects, tmp_path, kept, gone)
    finally:
        stop.set()
        for thread in threads:
            thread.join(60)
    place, url = other
    elsewhere = open_objects(place)
    restored = read_backup(backup, elsewhere, place, url)
    with closing(open_database(place, url)) as copy, copy.read() as connection:
        rows = {row.id: row for row in connection.execute(select(CLIPS))}
    for ident, row in rows.items():
        assert hashlib.sha256(elsewhere.get(row.object_key)).digest() == row.sha256, ident
    assert {*before, *acknowledged} - set(gone) <= set(rows)
    assert not left & set(rows)
    assert restored.clips == len(rows)
    assert {key for key, _ in elsewhere.each("clips/")} == {row.object_key for row in rows.values()}


def test_a_clip_that_leaves_while_its_bytes_are_copied_is_in_no_restored_database(
    database: Database, objects: ObjectStore, tmp_path: Path, other: tuple[Path, str]
):
    _, consent = giver(database)
    gone, stays = clip(database, consent, objects), clip(database, consent, objects)
    publish(database, gone, stays)
    objects.delete(gone.object_key)  # as a withdrawal does, after the rows were copied
    assert write_backup(database, objects, tmp_path / "backup.tar").missing == 1
    place, url = other
    assert read_backup(tmp_path / "backup.tar", open_objects(place), place, url).clips == 1
    with closing(open_database(place, url)) as restored:
        found = contents(restored)
    assert [row[0] for row in found["clips"]] == [stays.id]
    assert len(found["dataset_clips"]) == 1


def test_who_finds_a_backup_can_neither_sign_with_it_nor_find_what_was_deleted(
    database: Database, objects: ObjectStore, tmp_path: Path, other: tuple[Path, str]
):
    secret = signing.secret(database)
    _, consent = giver(database)
    gone = clip(database, consent, objects, said="canaryphrase")
    with database.write() as connection:
        remove_clips(connection, [gone.id], "test", Why.WITHDRAWAL)
    objects.delete(gone.object_key)
    path = tmp_path / "backup.tar"
    write_backup(database, objects, path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    for hidden in (secret, secret.hex().encode(), b"canaryphrase"):
        assert hidden not in path.read_bytes()
    place, url = other
    read_backup(path, open_objects(place), place, url)
    with closing(open_database(place, url)) as restored:
        assert signing.secret(restored) != secret


def test_nothing_is_overwritten_neither_by_a_backup_nor_by_its_restoration(
    database: Database, objects: ObjectStore, tmp_path: Path, data: Path, database_url: str, other: tuple[Path, str]
):
    path = tmp_path / "backup.tar"
    write_backup(database, objects, path)
    with pytest.raises(Conflict, match="is there already"):
        write_backup(database, objects, path)
    with pytest.raises(Conflict, match=r"already; restore|is not empty"):
        read_backup(path, objects, data, database_url)
    place, url = other
    elsewhere = open_objects(place)
    elsewhere.put("clips/aa/aa.flac", b"x")
    with pytest.raises(Conflict, match="There are clips in"):
        read_backup(path, elsewhere, place, url)
    assert not (place / "earloop.db").exists()


def test_what_is_no_whole_backup_leaves_no_database(tmp_path: Path):
    with closing(open_database(tmp_path / "data")) as database:
        objects = open_objects(tmp_path / "data")
        _, consent = giver(database)
        clip(database, consent, objects)
        write_backup(database, objects, tmp_path / "good.tar")
    good = (tmp_path / "good.tar").read_bytes()
    newer = io.BytesIO()
    with tarfile.open(fileobj=newer, mode="w") as archive:
        head = json.dumps({"created": "", "kind": "sqlite", "clips": 0, "missing": 0, "format": 2}).encode()
        info = tarfile.TarInfo("backup.json")
        info.size = len(head)
        archive.addfile(info, io.BytesIO(head))
    bad = {
        "empty": b"",
        "noise": b"no backup" * 500,
        "cut": good[:20_000],
        "head": good[:1024],
        "newer": newer.getvalue(),
    }
    for name, content in bad.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(BadInput):
            read_backup(tmp_path / name, open_objects(tmp_path / f"{name}-data"), tmp_path / f"{name}-data")
        assert not (tmp_path / f"{name}-data" / "earloop.db").exists()
    with pytest.raises(NotFound):
        read_backup(tmp_path / "none", open_objects(tmp_path / "x"), tmp_path / "x")


@pytest.mark.parametrize("name", ["../evil", "/evil", "objects/clips/../../evil", "objects/other/x", "earloop.toml"])
def test_a_backup_that_reaches_beyond_its_places_is_refused(tmp_path: Path, name: str):
    with closing(open_database(tmp_path / "data")) as database:
        write_backup(database, open_objects(tmp_path / "data"), tmp_path / "good.tar")
    with tarfile.open(tmp_path / "good.tar", "a") as archive:
        archive.addfile(tarfile.TarInfo(name), io.BytesIO(b""))
    with pytest.raises(BadInput):
        read_backup(tmp_path / "good.tar", open_objects(tmp_path / "other"), tmp_path / "other")
    assert not list(tmp_path.rglob("evil"))
    assert not (tmp_path / "other" / "earloop.db").exists()


def test_a_database_that_is_damaged_in_the_backup_is_not_restored(tmp_path: Path):
    with closing(open_database(tmp_path / "data")) as database:
        dump.dump(database, tmp_path / "rows")
    content = bytearray((tmp_path / "rows").read_bytes())
    content[4096 : 4096 * 3] = bytes(4096 * 2)
    (tmp_path / "rows").write_bytes(content)
    with pytest.raises(Unavailable, match="is damaged"):
        dump.load(tmp_path / "rows", "sqlite", tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_a_backup_of_one_kind_of_database_is_not_restored_into_another(tmp_path: Path):
    with pytest.raises(Conflict, match="of a database in postgresql"):
        dump.check_empty(tmp_path, "", "postgresql")


def test_without_the_programs_of_postgresql_it_says_which_is_missing(
    postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("PATH", str(tmp_path))
    sentence = "pg_dump is not installed here; install PostgreSQL's client programs"
    with closing(open_database(tmp_path, postgres_url)) as database, pytest.raises(Unsupported, match=sentence):
        write_backup(database, open_objects(tmp_path), tmp_path / "backup.tar")
    assert not (tmp_path / "backup.tar").exists()


def test_a_database_of_a_newer_program_is_restored_and_then_refused_by_name(tmp_path: Path):
    path = tmp_path / "rows"
    with closing(open_database(tmp_path / "data")) as database:
        dump.dump(database, path)
    with closing(sqlite3.connect(path)) as old, old:
        old.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(Conflict, match="a newer one has changed it"):
        dump.load(path, "sqlite", tmp_path / "other")


def test_models_and_pages_of_their_gate_come_back_with_their_bytes(
    database: Database, objects: ObjectStore, tmp_path: Path, other: tuple[Path, str]
):
    kept = add(database, object_key="models/kept.zip", place="")
    report = GateReport(
        id="r",
        model_id=kept.id,
        base_id=None,
        job_id=None,
        created=now(),
        verdict="passed",
        report={},
        html_key="reports/r.html",
    )
    with database.write() as connection:
        insert_report(connection, report)
    keys = ("models/kept.zip", "reports/r.html")
    for key in keys:
        objects.put(key, key.encode())
    write_backup(database, objects, tmp_path / "backup.tar")
    place, url = other
    elsewhere = open_objects(place)
    read_backup(tmp_path / "backup.tar", elsewhere, place, url)
    assert [elsewhere.get(key) for key in keys] == [key.encode() for key in keys]
