"""What a job learns from and is judged on, as files in its folder: a snapshot, and the test clips of other snapshots.

    data/clips/….flac  data/train.csv dev.csv test.csv     the job's snapshot
    guards/NAME/clips/….flac  manifest.csv                 test clips of earlier ones, of people who are not learned
    material.json                                          which clips of which snapshots that is, written first
    material.ready                                         that all of it is there, written last

`lines` of a snapshot has no clip that was withdrawn. People withdraw at any time, so `is_spoilt` says whether one of
those that were written out has gone since. It is asked before each stage and while one runs.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from stt_server.corpus.manifest import SPLITS, read_manifest, write_manifest
from stt_server.datasets.archives import into_folder
from stt_server.datasets.export import Export, files, open_export
from stt_server.errors import BadInput
from stt_server.store import datasets, snapshots
from stt_server.store.rights import Purpose

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from stt_server.store.database import Database
    from stt_server.store.objects import ObjectStore
    from stt_server.store.snapshots import Line, Snapshot

DATA: Final = "data"
GUARDS: Final = "guards"
NOTE: Final = "material.json"
READY: Final = "material.ready"
MOST_EARLIER: Final = 8  # datasets whose earlier test clips guard
MOST_CLIPS: Final = 300  # of one of them: the newest


@dataclass(frozen=True, slots=True)
class Material:
    """The lists by split, those that have clips; and the guards by name."""

    parts: dict[str, Path]
    guards: dict[str, Path]
    texts: frozenset[str]  # of all clips, to keep them out of logs


def write_material(database: Database, objects: ObjectStore, snapshot: Snapshot, folder: Path) -> Material:
    """Write all of it, in the place of what was there. Raises BadInput where there is nothing to learn or to test."""
    clear_material(folder)
    target = open_export(database, snapshot.dataset, snapshot.number, "earloop")
    earlier = {name: _held_out(database, other, target) for other, name in _earlier(database, snapshot)}
    guards = {name: export for name, export in earlier.items() if export.lines}
    clips = {each.snapshot.id: [line.clip_id for line in each.lines] for each in (target, *guards.values())}
    (folder / NOTE).write_text(json.dumps({"snapshots": clips, "guards": sorted(guards)}), encoding="utf-8")
    into_folder(files(target, objects), folder / DATA)
    parts = _divided(folder / DATA)
    _check(target.snapshot, parts)
    for name, export in guards.items():
        (folder / GUARDS).mkdir(exist_ok=True)
        into_folder(files(export, objects), folder / GUARDS / name)
    (folder / READY).touch()
    return _material(folder, sorted(guards))


def read_material(folder: Path) -> Material | None:
    """What an earlier attempt has written; None where it did not come to its end."""
    if not (folder / READY).is_file():
        return None
    return _material(folder, json.loads((folder / NOTE).read_text(encoding="utf-8"))["guards"])


def is_spoilt(database: Database, folder: Path) -> bool:
    """Whether a clip that was written out must not be used any more."""
    return bool(gone_since(database, folder))


def gone_since(database: Database, folder: Path) -> set[str]:
    """The ids of those clips."""
    if not (folder / NOTE).is_file():
        return set()
    written: dict[str, list[str]] = json.loads((folder / NOTE).read_text(encoding="utf-8"))["snapshots"]
    gone: set[str] = set()
    with database.read() as connection:
        for ident, clips in written.items():
            gone |= set(clips) - {line.clip_id for line in snapshots.lines(connection, ident)}
    return gone


def clear_material(folder: Path) -> None:
    """Delete all audio and texts of a job. Which clips those were stays: what was learned of them is still there."""
    (folder / READY).unlink(missing_ok=True)
    for name in (DATA, f".{DATA}.partial", GUARDS):
        shutil.rmtree(folder / name, ignore_errors=True)


def _material(folder: Path, guards: Iterable[str]) -> Material:
    parts = {split: path for split in SPLITS if (path := folder / DATA / f"{split}.csv").is_file()}
    lists = {name: path for name in guards if (path := folder / GUARDS / name / "manifest.csv").is_file()}
    return Material(parts, lists, _texts([*parts.values(), *lists.values()]))


def _divided(folder: Path) -> dict[str, Path]:
    """A list for each split that has clips, beside the manifest they come from.

    Chance may leave a small dataset without a test split: then the clips to validate on are tested on instead, and
    nothing is validated. Without a test nothing could be shown; without validations the last weights are taken.
    """
    manifest = folder / "manifest.csv"
    clips = list(read_manifest(manifest)) if manifest.is_file() else []
    if not any(clip.split == "test" for clip in clips):
        clips = [replace(clip, split="test") if clip.split == "dev" else clip for clip in clips]
    parts = {}
    for split in SPLITS:
        if mine := [clip for clip in clips if clip.split == split]:
            parts[split] = folder / f"{split}.csv"
            write_manifest(parts[split], mine)
    return parts


def _check(snapshot: Snapshot, parts: dict[str, Path]) -> None:
    named = f"Snapshot {snapshot.number} of {snapshot.dataset}"
    if "train" not in parts:
        raise BadInput(f"{named} has no clip with words to learn from; validate more.", field="dataset")
    if "test" not in parts:
        raise BadInput(f"{named} has no clip to test on, so nothing could be shown; validate more.", field="dataset")


def _earlier(database: Database, snapshot: Snapshot) -> list[tuple[Snapshot, str]]:
    """The last training snapshots of other datasets, and of this one before; each with a name for its guard."""
    found = []
    with database.read() as connection:
        for dataset in datasets.every(connection):
            mine = [each for each in snapshots.listed(connection, dataset.name) if each.purpose is Purpose.TRAINING]
            others = [each for each in mine if each.id != snapshot.id and each.created <= snapshot.created]
            if others:
                found.append((others[-1], f"earlier-{dataset.name}"))
    return sorted(found, key=lambda pair: pair[0].created, reverse=True)[:MOST_EARLIER]


def _held_out(database: Database, other: Snapshot, target: Export) -> Export:
    """Its test clips that the job does not learn from or test on, of people it does not learn from."""
    export = open_export(database, other.dataset, other.number, "earloop")
    taken = {line.clip_id for line in target.lines}
    learned = {line.person_id for line in target.lines if line.split != "test" and line.person_id is not None}
    lines = [line for line in export.lines if _may_guard(line, taken, learned)]
    return Export(export.snapshot, export.dataset_id, lines[-MOST_CLIPS:], export.format)


def _may_guard(line: Line, taken: set[str], learned: set[str]) -> bool:
    return line.split == "test" and bool(line.text) and line.clip_id not in taken and line.person_id not in learned


def _texts(lists: Iterable[Path]) -> frozenset[str]:
    return frozenset(clip.text for path in lists for clip in read_manifest(path))
