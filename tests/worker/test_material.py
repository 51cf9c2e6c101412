"""A snapshot as files: what is learned from, what is tested on, what guards, and what was withdrawn since."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from stt_server.collection.withdrawal import take_back
from stt_server.corpus.manifest import read_manifest
from stt_server.datasets.hashes import row_hash, snapshot_hash
from stt_server.errors import BadInput
from stt_server.store import datasets, snapshots
from stt_server.store.database import Database, open_database
from stt_server.store.ids import new_id
from stt_server.store.objects import ObjectStore, open_objects
from stt_server.store.rights import Purpose
from stt_server.store.ring import now
from stt_server.store.snapshots import Snapshot
from stt_server.store.withdrawal import Why
from tests.datasets.rows import agreed, gathered
from tests.store import giving
from training.worker.material import clear_material, is_spoilt, read_material, write_material

if TYPE_CHECKING:
    from pathlib import Path

    from stt_server.store.consents import Consent


SPLIT = {"l": "train", "v": "dev", "t": "test"}
NUMBERS = "one two three four five six seven eight".split()


@pytest.fixture
def database(tmp_path: Path):
    with closing(open_database(tmp_path / "data")) as opened:
        yield opened


@pytest.fixture
def objects(tmp_path: Path) -> ObjectStore:
    return open_objects(tmp_path / "data")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "run").mkdir()
    return tmp_path / "run"


def snapshot_of(
    database: Database, objects: ObjectStore, name: str, splits: str, consent: Consent | None = None
) -> Snapshot:
    """Of a dataset of that name; a letter of `splits` is a clip to learn from, to validate or to test on.

    All of one person, another one for each dataset unless said.
    """
    consent = consent or giving.giver(database)[1]
    kept = [agreed(database, objects, consent, f"{name} number {NUMBERS[n]}") for n in range(len(splits))]
    gathered(database, name, *kept)
    splits_of = {clip.id: SPLIT[letter] for clip, letter in zip(kept, splits, strict=True)}
    with database.write() as connection:  # as `make_snapshot`, but for the splits, which it leaves to chance
        dataset_id = datasets.get(connection, name).id
        lines = [
            replace(line, split=splits_of[line.clip_id])
            for line in snapshots.candidates(connection, dataset_id, Purpose.TRAINING, now())
        ]
        lines = [replace(line, row_sha256=row_hash(line, Purpose.TRAINING, dataset_id)) for line in lines]
        whole = snapshot_hash(line.row_sha256 for line in lines)
        ident, number = new_id(), snapshots.next_number(connection, dataset_id)
        snapshot = Snapshot(ident, name, number, Purpose.TRAINING, now(), "test", whole, {}, "")
        snapshots.write(connection, dataset_id, snapshot, lines)
    return snapshot


def ids_in(path: Path) -> set[str]:
    return {clip.path.stem for clip in read_manifest(path)}


def test_each_split_is_a_list_of_recordings_that_are_there(database, objects, folder):
    material = write_material(database, objects, snapshot_of(database, objects, "home", "lllvt"), folder)
    assert {part: len(ids_in(path)) for part, path in material.parts.items()} == {"train": 3, "dev": 1, "test": 1}
    assert all(clip.path.is_file() for path in material.parts.values() for clip in read_manifest(path))
    assert "home number two" in material.texts
    assert read_material(folder) == material


def test_without_a_test_split_what_was_to_validate_on_is_tested_on(database, objects, folder):
    material = write_material(database, objects, snapshot_of(database, objects, "home", "lllv"), folder)
    assert sorted(material.parts) == ["test", "train"]
    assert {clip.split for clip in read_manifest(material.parts["test"])} == {"test"}


@pytest.mark.parametrize(("splits", "why"), [("lll", "to test on"), ("tt", "to learn from")])
def test_with_nothing_to_learn_or_to_test_on_it_says_so(database, objects, folder, splits, why):
    snapshot = snapshot_of(database, objects, "home", splits)
    with pytest.raises(BadInput, match=why):
        write_material(database, objects, snapshot, folder)
    assert read_material(folder) is None


def test_test_clips_of_other_datasets_guard_unless_their_people_are_learned_from(database, objects, folder):
    other = snapshot_of(database, objects, "kitchen", "ltt")
    snapshot = snapshot_of(database, objects, "home", "lllvt")
    material = write_material(database, objects, snapshot, folder)
    assert list(material.guards) == ["earlier-kitchen"]
    assert len(ids_in(material.guards["earlier-kitchen"])) == 2
    assert other.dataset == "kitchen"

    person = giving.giver(database)[1]
    snapshot_of(database, objects, "garage", "lt", person)
    mine = snapshot_of(database, objects, "cellar", "llvt", person)
    (folder.parent / "second").mkdir()
    guards = write_material(database, objects, mine, folder.parent / "second").guards
    assert sorted(guards) == ["earlier-home", "earlier-kitchen"], "who speaks in the garage is learned from"


def test_a_clip_withdrawn_after_it_was_written_out_spoils_the_run_also_one_that_only_guards(database, objects, folder):
    snapshot_of(database, objects, "kitchen", "lt")
    snapshot = snapshot_of(database, objects, "home", "lllvt")
    material = write_material(database, objects, snapshot, folder)
    assert not is_spoilt(database, folder)
    (gone,) = ids_in(material.guards["earlier-kitchen"])
    take_back(database, objects, [gone], "command", Why.CURATOR)
    assert is_spoilt(database, folder)
    clear_material(folder)
    assert is_spoilt(database, folder), "what was learned of it is still there"
    assert not list(folder.rglob("*.flac"))
    again = write_material(database, objects, snapshot, folder)
    assert not is_spoilt(database, folder)
    assert again.guards == {}


def test_a_clip_withdrawn_before_is_in_no_list(database, objects, folder):
    snapshot = snapshot_of(database, objects, "home", "lllvt")
    first = write_material(database, objects, snapshot, folder)
    gone = min(ids_in(first.parts["train"]))
    take_back(database, objects, [gone], "command", Why.CURATOR)
    second = write_material(database, objects, snapshot, folder)
    assert len(ids_in(second.parts["train"])) == 2
    assert not [path for path in folder.rglob("*") if gone in path.name]
    assert not [path for path in folder.rglob("*.csv") if gone in path.read_text(encoding="utf-8")]
