"""Making a snapshot, in one transaction: no clip can leave between being chosen and being written down."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from stt_server.datasets.dividing import divide
from stt_server.datasets.hashes import row_hash, snapshot_hash
from stt_server.datasets.licence import licence_text
from stt_server.datasets.statistics import difference, statistics
from stt_server.errors import BadOption, Conflict
from stt_server.store import audit, datasets, snapshots
from stt_server.store.database import START_S
from stt_server.store.ids import new_id
from stt_server.store.rights import Purpose
from stt_server.store.ring import now
from stt_server.store.snapshots import Mark, Snapshot

if TYPE_CHECKING:
    from stt_server.store.database import Database

PURPOSES = (Purpose.TRAINING, Purpose.RELEASE)


def make_snapshot(database: Database, name: str, purpose: Purpose, by: str, *, strict: bool | None = None) -> Snapshot:
    """Write down what a dataset has now. A release never divides a speaker, unless said otherwise.

    Raises NotFound for a dataset that is not there, BadOption for a purpose nothing is kept for, Conflict where no clip
    may be in it.
    """
    if purpose not in PURPOSES:
        raise BadOption(f"A snapshot is for {' or '.join(PURPOSES)}.", field="purpose")
    with database.write(START_S) as connection:
        moment = now()
        datasets.gather(connection, moment)
        dataset_id = snapshots.lock_dataset(connection, name)
        chosen = snapshots.candidates(connection, dataset_id, purpose, moment)
        if not chosen:
            raise Conflict(
                f"No clip of {name} may be in a snapshot for {purpose}: it takes clips that taggers agree on and whose "
                "people agreed to this."
            )
        division = divide(chosen, strict=purpose is Purpose.RELEASE if strict is None else strict)
        lines = [replace(line, row_sha256=row_hash(line, purpose, dataset_id)) for line in division.lines]
        number = snapshots.next_number(connection, dataset_id)
        last = [each for each in snapshots.listed(connection, name) if each.purpose is purpose][-1:]
        before = snapshots.marks(connection, last[0].id) if last else {}
        after = {line.clip_id: Mark(line.row_sha256, line.split, line.text, withdrawn=False) for line in lines}
        since = difference(before, after)["counts"] | {"snapshot": last[0].number if last else None}
        licence = datasets.get(connection, name).licence
        snapshot = Snapshot(
            new_id(),
            name,
            number,
            purpose,
            moment,
            by,
            snapshot_hash(line.row_sha256 for line in lines),
            statistics(division) | {"since": since},
            licence_text(name, number, licence, purpose, lines),
        )
        snapshots.write(connection, dataset_id, snapshot, lines)
        audit.note(connection, moment, "snapshot_made", by, snapshot.id, purpose=purpose.value, clips=len(lines))
    return snapshot


def compare(database: Database, name: str, before: int, after: int) -> dict[str, object]:
    """In what two snapshots of a dataset differ. Raises NotFound."""
    with database.read() as connection:
        found = [snapshots.get(connection, name, number) for number in (before, after)]
        marks = [snapshots.marks(connection, each.id) for each in found]
    return {"from": before, "to": after, **difference(*marks)}


def is_whole(database: Database, snapshot: Snapshot) -> bool:
    """Whether the rows, tombstones included, are those the snapshot was made of."""
    with database.read() as connection:
        marks = snapshots.marks(connection, snapshot.id)
    return snapshot_hash(mark.row_sha256 for mark in marks.values()) == snapshot.sha256
