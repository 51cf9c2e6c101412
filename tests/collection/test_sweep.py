"""The sweep: what a crash leaves is put in order, and nothing else is touched."""

import os
import shutil
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from stt_server.collection.sweep import GRACE, sweep
from stt_server.errors import NotFound, Unavailable
from stt_server.store import clips
from stt_server.store.database import Database, open_database
from stt_server.store.objects import FolderObjects, ObjectStore, clip_key, open_objects
from tests.catalog.conftest import add
from tests.store.giving import clip, counts, giver, judge, now

AT_ONCE = timedelta(seconds=-2)  # S3 tells whole seconds


@pytest.fixture
def database(tmp_path: Path, database_url: str) -> Iterator[Database]:
    opened = open_database(tmp_path, database_url)
    yield opened
    opened.close()


@pytest.fixture
def objects(tmp_path: Path, objects_url: str) -> ObjectStore:
    return open_objects(tmp_path, objects_url)


def test_bytes_without_a_row_go_and_clips_stay(database: Database, objects: ObjectStore):
    kept = [clip(database, giver(database)[1], objects) for _ in range(3)]
    objects.put(clip_key(clips.new_id()), b"never acknowledged")
    objects.put("incoming/abc", b"half")
    swept = sweep(database, objects, AT_ONCE)
    assert (swept.bytes_without_row, swept.rows_without_bytes) == (2, 0)
    assert {key for key, _ in objects.each("clips/")} == {each.object_key for each in kept}
    assert list(objects.each("incoming/")) == []


def test_bundles_and_pages_without_a_row_go_and_models_stay(database: Database, objects: ObjectStore):
    kept = add(database, object_key="models/kept.zip", place="")
    for key in ("models/kept.zip", "models/loose.zip", "reports/loose.html"):
        objects.put(key, b"bytes")
    assert sweep(database, objects, GRACE).bytes_without_row == 0
    assert sweep(database, objects, AT_ONCE).bytes_without_row == 2
    assert [key for key, _ in objects.each("models/")] == [kept.object_key]


def test_what_is_young_is_left_alone_for_its_row_may_be_on_the_way(database: Database, objects: ObjectStore):
    clip(database, giver(database)[1], objects)
    objects.put(clip_key(clips.new_id()), b"on its way")
    assert sweep(database, objects, GRACE).bytes_without_row == 0
    assert len(list(objects.each("clips/"))) == 2


def test_a_row_without_bytes_leaves(database: Database, objects: ObjectStore):
    stays, lost = (clip(database, giver(database)[1], objects) for _ in range(2))
    objects.delete(lost.object_key)
    assert sweep(database, objects, AT_ONCE).rows_without_bytes == 1
    with database.read() as connection:
        assert clips.get(connection, stays.id) == stays
        with pytest.raises(NotFound):
            clips.get(connection, lost.id)


def test_a_clip_that_nobody_judged_in_time_leaves_with_its_bytes(database: Database, objects: ObjectStore):
    given = giver(database)[1]
    gone = clip(database, given, objects, expires=now() - timedelta(seconds=1))
    stays = clip(database, given, objects, expires=now() + timedelta(hours=1))
    judged = clip(database, given, objects, expires=now() - timedelta(seconds=1), status="decided")
    once = clip(database, given, objects, expires=now() - timedelta(seconds=1))
    judge(database, once, giver(database)[0])
    assert sweep(database, objects).expired == 1
    assert {key for key, _ in objects.each("clips/")} == {stays.object_key, judged.object_key, once.object_key}
    assert (counts(database)["clips"], counts(database)["votes"]) == (3, 1)
    with pytest.raises(NotFound):
        objects.get(gone.object_key)


def test_a_store_that_is_not_mounted_costs_no_clip(tmp_path: Path, database: Database):
    objects = FolderObjects(tmp_path / "objects")
    clip(database, giver(database)[1], objects)
    sweep(database, objects, AT_ONCE)
    shutil.move(objects.root, tmp_path / "elsewhere")
    objects.root.mkdir()
    with pytest.raises(Unavailable, match="mounted"):
        sweep(database, objects, AT_ONCE)
    assert counts(database)["clips"] == 1


def test_a_store_that_is_away_costs_no_clip(tmp_path: Path, database: Database):
    objects = FolderObjects(tmp_path / "objects")
    clip(database, giver(database)[1], objects)
    sweep(database, objects, AT_ONCE)
    shutil.rmtree(objects.root)
    objects.root.write_bytes(b"no folder")
    with pytest.raises(Unavailable):
        sweep(database, objects, AT_ONCE)
    assert counts(database)["clips"] == 1


def test_an_old_file_is_known_by_its_age(tmp_path: Path, database: Database):
    objects = FolderObjects(tmp_path / "objects")
    key = clip_key(clips.new_id())
    objects.put(key, b"x")
    old = time.time() - GRACE.total_seconds() - 1
    os.utime(objects.root / key, (old, old))
    assert sweep(database, objects).bytes_without_row == 1
