"""The object store: the same on a folder and on a real S3 server, and what only a folder promises."""

import os
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from stt_server.errors import BadInput, BadOption, NotFound, Unavailable
from stt_server.store.objects import FolderObjects, ObjectStore, clip_key, open_objects


@pytest.fixture
def objects(tmp_path: Path, objects_url: str) -> ObjectStore:
    return open_objects(tmp_path, objects_url)


def test_what_was_put_is_got_sized_and_listed_until_it_is_deleted(objects: ObjectStore):
    key, data = clip_key("3f" + "0" * 30), bytes(range(256)) * 3000
    objects.put(key, data)
    assert objects.get(key) == data
    assert objects.size(key) == len(data)
    [(listed, written)] = objects.each("clips/")
    assert listed == key
    assert abs(datetime.now(UTC) - written) < timedelta(minutes=1)
    objects.delete(key)
    assert list(objects.each("clips/")) == []
    with pytest.raises(NotFound, match=key):
        objects.get(key)


def test_putting_again_takes_the_place_of_what_was_there(objects: ObjectStore):
    objects.put("clips/00/a", b"first")
    objects.put("clips/00/a", b"second, longer")
    assert objects.get("clips/00/a") == b"second, longer"


def test_a_listing_has_what_is_under_its_prefix_and_nothing_else(objects: ObjectStore):
    for key in ("clips/00/a", "clips/00/b", "clips/01/c", "earloop.txt"):
        objects.put(key, b"x")
    assert {key for key, _ in objects.each("clips/00/")} == {"clips/00/a", "clips/00/b"}
    assert {key for key, _ in objects.each("clips/")} == {"clips/00/a", "clips/00/b", "clips/01/c"}
    assert list(objects.each("clips/ff/")) == []


def test_what_is_not_there_has_no_size_and_may_be_deleted(objects: ObjectStore):
    objects.delete("clips/00/nothing")
    with pytest.raises(NotFound):
        objects.size("clips/00/nothing")


def test_a_place_says_where_it_is_without_its_secret(s3_url: str, tmp_path: Path):
    store = open_objects(tmp_path, s3_url)
    assert store.place.startswith("s3://bucket")
    assert "@" not in store.place


def test_a_wrong_secret_is_said_to_be_unusable_and_is_not_said(s3_url: str, tmp_path: Path):
    before, _, rest = s3_url.partition("@")
    store = open_objects(tmp_path, f"{before[:-4]}zzzz@{rest}")
    with pytest.raises(Unavailable) as told:
        store.put("clips/00/a", b"x")
    assert "zzzz" not in told.value.message


@pytest.mark.parametrize("url", ["ftp://host/x", "s3://", "s3:bucket", "file:relative", "gs://bucket", "bucket"])
def test_a_url_of_another_kind_is_refused(tmp_path: Path, url: str):
    with pytest.raises(BadOption, match="objects"):
        open_objects(tmp_path, url)


def test_an_unknown_option_of_a_url_is_named(tmp_path: Path):
    pytest.importorskip("obstore", reason="obstore is not installed: pip install 'earloop[s3]'")
    with pytest.raises(BadOption, match="endpont"):
        open_objects(tmp_path, "s3://bucket?endpont=http://host")


@pytest.mark.parametrize("key", ["", "../x", "clips/../../x", "/etc/x", "clips//x", "clips/./x"])
def test_no_key_leads_out_of_the_folder(tmp_path: Path, key: str):
    store = open_objects(tmp_path)
    with pytest.raises(BadInput):
        store.put(key, b"x")


def test_nobody_else_may_read_the_folder_or_what_is_in_it(tmp_path: Path):
    store = FolderObjects(tmp_path / "objects")
    store.put("clips/00/a", b"x")
    for path in (store.root, store.root / "clips", store.root / "clips/00", store.root / "clips/00/a"):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0


def test_a_write_that_fails_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    store = FolderObjects(tmp_path / "objects")

    def fail(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(Unavailable, match="No space left"):
        store.put("earloop.txt", b"x")
    assert [path for path in store.root.rglob("*") if path.is_file()] == []
