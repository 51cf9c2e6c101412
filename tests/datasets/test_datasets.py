import pytest

from stt_server.errors import BadOption, Conflict, NotFound
from stt_server.store import datasets
from stt_server.store.database import Database
from stt_server.store.datasets import EVERYDAY
from stt_server.store.objects import ObjectStore
from stt_server.store.withdrawal import Why, remove_clips
from tests.datasets.rows import agreed, gathered
from tests.store.giving import giver, now


def test_a_dataset_is_found_by_its_name_with_what_is_in_it(database: Database, objects: ObjectStore):
    _, consent = giver(database)
    clips = [agreed(database, objects, consent, seconds=2.0, script="la la") for _ in range(3)]
    gathered(database, "kitchen", *clips[:2], agreed(database, objects, consent, seconds=2.0, script="not asked for"))
    with database.write() as connection:
        datasets.set_script(connection, "kitchen", [("la la", 5)])
    with database.read() as connection:
        found = datasets.get(connection, "kitchen")
        assert [each.name for each in datasets.every(connection)] == ["kitchen"]
        with pytest.raises(NotFound, match="no dataset 'cellar'"):
            datasets.get(connection, "cellar")
    assert (found.clips, found.audio_s, found.snapshots, found.said) == (3, 6.0, 0, {"la la": 2})
    assert (found.licence, found.script) == ("CC0-1.0", (("la la", 5),))


@pytest.mark.parametrize("name", ["", "Kitchen", "a b", "../a", "-a", "a" * 101, "a\n"])
def test_a_name_that_could_be_no_file_is_refused(database: Database, name: str):
    with pytest.raises(BadOption, match="small letters"), database.write() as connection:
        datasets.create(connection, name, "test", now())


def test_a_name_is_given_once(database: Database):
    gathered(database, "kitchen")
    with pytest.raises(Conflict, match="is a dataset kitchen already"), database.write() as connection:
        datasets.create(connection, "kitchen", "test", now())


def test_clips_are_put_in_once_and_taken_out(database: Database, objects: ObjectStore):
    clip = agreed(database, objects)
    gathered(database, "kitchen", clip)
    with database.write() as connection:
        assert datasets.add(connection, "kitchen", [clip.id, clip.id, "gone"], now()) == 0
        assert datasets.remove(connection, "kitchen", [clip.id, "gone"]) == 1
        assert datasets.get(connection, "kitchen").clips == 0
        assert datasets.add(connection, "kitchen", [clip.id, clip.id], now()) == 1


def test_a_clip_that_leaves_is_in_no_dataset(database: Database, objects: ObjectStore):
    clip = agreed(database, objects)
    gathered(database, "kitchen", clip)
    with database.write() as connection:
        remove_clips(connection, [clip.id], "test", Why.CURATOR)
        assert datasets.get(connection, "kitchen").clips == 0


def test_a_script_is_kept_in_its_order(database: Database):
    gathered(database, "kitchen")
    script = [("stop", 50), ("go on", 1)]
    with database.write() as connection:
        datasets.set_script(connection, "kitchen", script)
        assert datasets.get(connection, "kitchen").script == tuple(script)
        datasets.set_script(connection, "kitchen", [])
        assert datasets.get(connection, "kitchen").script == ()
        with pytest.raises(NotFound):
            datasets.set_script(connection, "cellar", script)


@pytest.mark.parametrize(
    "script", [[("", 1)], [("a", 0)], [("a", 1), ("a", 2)], [("a", 1), (" a", 1)], [("a" * 501, 1)], [("a", 10_001)]]
)
def test_a_script_that_cannot_be_read_out_is_refused(database: Database, script: list[tuple[str, int]]):
    gathered(database, "kitchen")
    with pytest.raises(BadOption), database.write() as connection:
        datasets.set_script(connection, "kitchen", script)


def test_what_came_by_itself_is_in_everyday_which_is_made_when_there_is_something_for_it(
    database: Database, objects: ObjectStore
):
    agreed(database, objects, origin="upload")
    with database.write() as connection:
        assert datasets.gather(connection, now()) == 0
        assert datasets.every(connection) == []
    streamed = [agreed(database, objects, origin=origin) for origin in ("stream", "ovos")]
    with database.write() as connection:
        assert datasets.gather(connection, now()) == 2
        assert datasets.gather(connection, now()) == 0
        assert datasets.get(connection, EVERYDAY).clips == len(streamed)
