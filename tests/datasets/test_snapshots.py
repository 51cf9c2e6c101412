"""Snapshots against both databases: what is in one, that it stays, and what withdrawal leaves of it."""

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import update

from stt_server.datasets.making import compare, is_whole, make_snapshot
from stt_server.errors import BadOption, Conflict, NotFound
from stt_server.store import consents, snapshots
from stt_server.store.consents import Way
from stt_server.store.database import Database
from stt_server.store.objects import ObjectStore
from stt_server.store.rights import Purpose
from stt_server.store.snapshots import Line, Snapshot
from stt_server.store.tables import CLIPS, CONSENTS
from stt_server.store.withdrawal import Why, remove_clips
from tests.datasets.rows import agreed, gathered
from tests.store.giving import giver, now

TRAINING, RELEASE = Purpose.TRAINING, Purpose.RELEASE


def lines_of(database: Database, snapshot: Snapshot) -> list[Line]:
    with database.read() as connection:
        return snapshots.lines(connection, snapshot.id)


def ids(database: Database, snapshot: Snapshot) -> set[str]:
    return {line.clip_id for line in lines_of(database, snapshot)}


def change(database: Database, clip_id: str, **values: object) -> None:
    with database.write() as connection:
        connection.execute(update(CLIPS).where(CLIPS.c.id == clip_id).values(values))


def test_a_snapshot_has_what_taggers_agree_on_and_nothing_else(database: Database, objects: ObjectStore):
    right, corrected = agreed(database, objects), agreed(database, objects, verdict="corrected")
    silent = agreed(database, objects, text="", verdict="noise")
    other = [
        agreed(database, objects, status="waiting", verdict=None, text=None),
        agreed(database, objects, verdict="unclear", text=None),
        agreed(database, objects, verdict="other_language", text=None),
        agreed(database, objects, status="quarantined", verdict="private", text=None),
        agreed(database, objects, text=""),
        agreed(database, objects, duplicate_of=right.id),
    ]
    outside = agreed(database, objects)
    gathered(database, "kitchen", right, corrected, silent, *other)
    found = ids(database, make_snapshot(database, "kitchen", TRAINING, "test"))
    assert found == {right.id, corrected.id, silent.id}
    assert outside.id not in found


def test_a_release_takes_only_clips_whose_people_agreed_to_one(database: Database, objects: ObjectStore):
    _, wide = giver(database)
    _, narrow = giver(database, TRAINING)
    public, private = agreed(database, objects, wide), agreed(database, objects, narrow)
    uploaded = agreed(database, objects, purposes=frozenset({TRAINING}))
    gathered(database, "kitchen", public, private, uploaded)
    assert ids(database, make_snapshot(database, "kitchen", RELEASE, "test")) == {public.id}
    everything = {public.id, private.id, uploaded.id}
    assert ids(database, make_snapshot(database, "kitchen", TRAINING, "test")) == everything


def test_clips_of_consent_that_has_run_out_or_was_narrowed_are_not_taken_again(
    database: Database, objects: ObjectStore
):
    (_, ended), (other, first) = giver(database), giver(database)
    clips = [agreed(database, objects, ended), agreed(database, objects, first), agreed(database, objects)]
    gathered(database, "kitchen", *clips)
    with database.write() as connection:
        past = now() - timedelta(days=1)
        connection.execute(update(CONSENTS).where(CONSENTS.c.id == ended.id).values(expires=past))
        consents.give(connection, other.id, "2", "words", [TRAINING], Way.API, now())
    assert ids(database, make_snapshot(database, "kitchen", TRAINING, "test")) == {clips[1].id, clips[2].id}
    assert ids(database, make_snapshot(database, "kitchen", RELEASE, "test")) == {clips[2].id}


def test_a_snapshot_stays_what_it_was_however_its_dataset_and_clips_change(database: Database, objects: ObjectStore):
    clip = agreed(database, objects, text="stop")
    gathered(database, "kitchen", clip)
    first = make_snapshot(database, "kitchen", TRAINING, "test")
    change(database, clip.id, text="stop it")
    gathered(database, "kitchen", agreed(database, objects))
    second = make_snapshot(database, "kitchen", TRAINING, "test")
    assert [line.text for line in lines_of(database, first)] == ["stop"]
    assert {line.text for line in lines_of(database, second)} == {"stop it", "turn on the light"}
    assert (first.number, second.number) == (1, 2)
    assert first.sha256 != second.sha256
    with database.read() as connection:
        again = snapshots.get(connection, "kitchen", 1)
    assert again == first


def test_the_numbers_of_a_snapshot_add_up(database: Database, objects: ObjectStore):
    people = [giver(database)[1] for _ in range(3)]
    clips = [agreed(database, objects, each, text, seconds=1.5) for each in people for text in ("Stop!", "stop", "go")]
    clips.append(agreed(database, objects, text="", verdict="noise", licence="CC-BY-4.0"))
    gathered(database, "kitchen", *clips)
    told = make_snapshot(database, "kitchen", TRAINING, "test").statistics
    assert (told["clips"], told["speakers"], told["sentences"]) == (10, 3, 2)
    assert told["hours"] == pytest.approx(14.5 / 3600, abs=1e-4)
    assert told["verdicts"] == {"noise": 1, "right": 9}
    assert told["licences"] == {"CC-BY-4.0": 1, "unknown": 9}
    assert sum(part["clips"] for part in told["parts"].values()) == 10
    assert told["since"] == {"added": 10, "removed": 0, "changed": 0, "withdrawn": 0, "moved": 0, "snapshot": None}


def test_the_licence_text_names_every_licence_and_that_clips_may_have_to_be_deleted(
    database: Database, objects: ObjectStore
):
    gathered(database, "kitchen", agreed(database, objects), agreed(database, objects, licence="CC-BY-4.0"))
    text = make_snapshot(database, "kitchen", RELEASE, "test").licence_text
    for part in ("kitchen, snapshot 1", "CC0-1.0: 1 of 2 clips", "CC-BY-4.0: 1 of 2 clips", "delete what is gone"):
        assert part in text


def test_speakers_stay_in_one_part_and_clips_in_theirs_however_the_dataset_grows(
    database: Database, objects: ObjectStore
):
    sentences = ["stop", "go on", "louder"]
    clips = {}
    splits: dict[str, str] = {}
    for round_ in range(3):
        for _ in range(12):
            person, consent = giver(database)
            for text in sentences:
                clip = agreed(database, objects, consent, text, seconds=0.2)
                clips[clip.id] = person.id
        gathered(database, "kitchen", *(_kept(database, clip) for clip in clips))
        snapshot = make_snapshot(database, "kitchen", (TRAINING, RELEASE)[round_ % 2], "test", strict=True)
        now_in = {line.clip_id: line.split for line in lines_of(database, snapshot)}
        assert splits.items() <= now_in.items()
        splits = now_in
        parts = {(clips[clip], split) for clip, split in now_in.items()}
        assert len(parts) == len(set(clips.values()))
        assert snapshot.statistics["speakers_in_several_parts"] == 0
    assert set(splits.values()) == {"train", "dev", "test"}


def test_of_one_speaker_all_parts_are_filled_and_who_comes_later_is_in_one(database: Database, objects: ObjectStore):
    _, first = giver(database)
    texts = [f"{verb} the {thing}" for verb in ("open", "close", "lift") for thing in ("door", "box", "gate", "lid")]
    gathered(database, "home", *(agreed(database, objects, first, text, seconds=0.2) for text in texts))
    told = make_snapshot(database, "home", TRAINING, "test").statistics
    assert all(part["clips"] for part in told["parts"].values())
    assert told["speakers_in_several_parts"] == 1
    for _ in range(10):
        _, other = giver(database)
        gathered(database, "home", *(agreed(database, objects, other, text, seconds=0.2) for text in texts[:3]))
    assert make_snapshot(database, "home", TRAINING, "test").statistics["speakers_in_several_parts"] == 1


def test_what_is_withdrawn_is_a_tombstone_in_earlier_snapshots_and_in_no_later_one(
    database: Database, objects: ObjectStore
):
    gone, stays = agreed(database, objects, text="secret"), agreed(database, objects)
    gathered(database, "kitchen", gone, stays)
    first = make_snapshot(database, "kitchen", TRAINING, "test")
    with database.write() as connection:
        remove_clips(connection, [gone.id], "test", Why.WITHDRAWAL)
    assert ids(database, first) == {stays.id}
    with database.read() as connection:
        assert snapshots.get(connection, "kitchen", 1).withdrawn == 1
        assert snapshots.marks(connection, first.id)[gone.id].withdrawn
    assert is_whole(database, first)
    assert not is_whole(database, replace(first, sha256=bytes(32)))
    second = make_snapshot(database, "kitchen", TRAINING, "test")
    assert ids(database, second) == {stays.id}
    told = compare(database, "kitchen", 1, 2)
    assert told["withdrawn"] == [gone.id]
    assert second.statistics["since"]["withdrawn"] == 1


def test_a_clip_that_is_found_to_be_private_is_in_no_earlier_snapshot_either(database: Database, objects: ObjectStore):
    private, stays = agreed(database, objects, text="secret"), agreed(database, objects)
    gathered(database, "kitchen", private, stays)
    first = make_snapshot(database, "kitchen", TRAINING, "test")
    change(database, private.id, status="quarantined", verdict="private", text=None)
    assert ids(database, first) == {stays.id}
    assert is_whole(database, first)
    change(database, private.id, status="waiting", verdict=None)  # a curator reopened it
    assert ids(database, first) == {private.id, stays.id}


def test_two_snapshots_differ_by_what_came_went_and_changed(database: Database, objects: ObjectStore):
    clips = [agreed(database, objects, text=text) for text in ("one", "two", "three")]
    gathered(database, "kitchen", *clips)
    make_snapshot(database, "kitchen", TRAINING, "test")
    change(database, clips[0].id, text="won")
    change(database, clips[1].id, status="waiting")
    new = agreed(database, objects)
    gathered(database, "kitchen", new)
    make_snapshot(database, "kitchen", TRAINING, "test")
    told = compare(database, "kitchen", 1, 2)
    assert (told["added"], told["removed"], told["changed"]) == ([new.id], [clips[1].id], [clips[0].id])
    assert told["counts"] == {"added": 1, "removed": 1, "changed": 1, "withdrawn": 0, "moved": 0}
    back = compare(database, "kitchen", 2, 1)
    assert (back["added"], back["removed"]) == ([clips[1].id], [new.id])


def test_what_cannot_be_made_or_compared_is_refused_by_name(database: Database, objects: ObjectStore):
    gathered(database, "kitchen", agreed(database, objects, status="waiting"))
    with pytest.raises(Conflict, match="No clip of kitchen may be in a snapshot for training"):
        make_snapshot(database, "kitchen", TRAINING, "test")
    with pytest.raises(NotFound, match="no dataset 'cellar'"):
        make_snapshot(database, "cellar", TRAINING, "test")
    with pytest.raises(BadOption, match="training or release"):
        make_snapshot(database, "kitchen", Purpose.RECOGNITION, "test")
    gathered(database, "kitchen", agreed(database, objects))
    for purpose in (TRAINING, RELEASE):
        make_snapshot(database, "kitchen", purpose, "test")
    assert compare(database, "kitchen", 1, 2)["changed"] == []
    with pytest.raises(NotFound, match="no snapshot 9"):
        compare(database, "kitchen", 1, 9)


def _kept(database: Database, clip_id: str):
    from stt_server.store import clips

    with database.read() as connection:
        return clips.get(connection, clip_id)
