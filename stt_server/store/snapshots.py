"""Snapshots: immutable versions of datasets. Their rows are written once; withdrawal alone changes one, to a tombstone.

A row keeps of its clip what may change later, the text and the split. What never changes is read from the clip itself
(a `Line` is both together), so that the audio, the speaker and the licence of a clip are in one place and leave from
there. The hash of a row is over all of it and shows that nothing has changed since.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import and_, func, insert, or_, select

from stt_server.errors import NotFound
from stt_server.store import consents, datasets
from stt_server.store.rights import Purpose, Verdict
from stt_server.store.tables import CLIPS, DATASET_CLIPS, DATASETS, SNAPSHOT_CLIPS, SNAPSHOTS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy import ColumnElement, Connection, Row

BATCH: Final = 500
DECIDED: Final = "decided"
QUARANTINED: Final = "quarantined"
_FIXED: Final = ("object_key", "sha256", "size", "duration_s", "licence", "language", "origin", "person_id")


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A clip as a snapshot has it, or is to have it."""

    clip_id: str
    text: str
    object_key: str
    sha256: bytes  # of the samples
    size: int
    duration_s: float
    licence: str
    language: str
    origin: str
    person_id: str | None
    verdict: str | None = None  # known while a snapshot is made
    split: str = ""  # train, dev, test; "" where none was given before
    row_sha256: bytes = b""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A row of `snapshots`."""

    id: str
    dataset: str  # its name
    number: int
    purpose: Purpose
    created: datetime
    created_by: str
    sha256: bytes
    statistics: dict[str, Any]
    licence_text: str
    withdrawn: int = 0  # rows that are tombstones by now


@dataclass(frozen=True, slots=True)
class Mark:
    """A row as it is told apart from the same clip's in another snapshot."""

    row_sha256: bytes
    split: str
    text: str | None
    withdrawn: bool


def lock_dataset(connection: Connection, name: str) -> str:
    """Of two who make a snapshot of it at once the second waits. Its id. Raises NotFound."""
    dataset_id = datasets.get(connection, name).id
    connection.execute(select(DATASETS.c.id).where(DATASETS.c.id == dataset_id).with_for_update())
    return dataset_id


def candidates(connection: Connection, dataset_id: str, purpose: Purpose, now: datetime) -> list[Line]:
    """The clips of a dataset that may be in a snapshot for this purpose, each with the split it had in the last one.

    They are locked until the transaction ends: none leaves between being read and being written.
    """
    query = (
        select(CLIPS)
        .join(DATASET_CLIPS, DATASET_CLIPS.c.clip_id == CLIPS.c.id)
        .where(DATASET_CLIPS.c.dataset_id == dataset_id, _agreed(), consents.covers(purpose, now))
        .order_by(CLIPS.c.id)
        .with_for_update(read=True, of=CLIPS)
    )
    splits = _splits(connection, dataset_id)
    return [
        Line(
            clip_id=row.id,
            text="" if row.verdict == Verdict.NOISE else row.text,
            verdict=row.verdict,
            split=splits.get(row.id, ""),
            **{name: getattr(row, name) for name in _FIXED},
        )
        for row in connection.execute(query)
    ]


def decided_since(connection: Connection, dataset: str, purpose: Purpose, now: datetime, since: datetime | None) -> int:
    """How many clips that may be in a snapshot of a dataset were decided after a moment, or ever."""
    query = (
        select(func.count())
        .select_from(CLIPS)
        .join(DATASET_CLIPS, DATASET_CLIPS.c.clip_id == CLIPS.c.id)
        .join(DATASETS, DATASETS.c.id == DATASET_CLIPS.c.dataset_id)
        .where(DATASETS.c.name == dataset, _agreed(), consents.covers(purpose, now))
    )
    if since is not None:
        query = query.where(CLIPS.c.decided > since)
    return connection.scalar(query) or 0


def write(connection: Connection, dataset_id: str, snapshot: Snapshot, lines: Sequence[Line]) -> None:
    """Keep a snapshot. Its number must be `next_number`, asked under the same lock."""
    columns = ("id", "number", "purpose", "created", "created_by", "sha256", "statistics", "licence_text")
    row = {name: getattr(snapshot, name) for name in columns}
    connection.execute(insert(SNAPSHOTS).values(row | {"dataset_id": dataset_id}))
    for start in range(0, len(lines), BATCH):
        rows = [
            {
                "snapshot_id": snapshot.id,
                "clip_id": line.clip_id,
                "split": line.split,
                "text": line.text,
                "row_sha256": line.row_sha256,
            }
            for line in lines[start : start + BATCH]
        ]
        connection.execute(insert(SNAPSHOT_CLIPS), rows)


def next_number(connection: Connection, dataset_id: str) -> int:
    """The number of its next snapshot."""
    last = connection.scalar(select(func.max(SNAPSHOTS.c.number)).where(SNAPSHOTS.c.dataset_id == dataset_id))
    return (last or 0) + 1


def listed(connection: Connection, dataset: str) -> list[Snapshot]:
    """Those of a dataset, oldest first. Raises NotFound for a dataset that is not there."""
    datasets.get(connection, dataset)
    rows = connection.execute(_query().where(DATASETS.c.name == dataset).order_by(SNAPSHOTS.c.number))
    return [_snapshot(row) for row in rows]


def get(connection: Connection, dataset: str, number: int | None = None) -> Snapshot:
    """One of them, the newest unless said. Raises NotFound."""
    found = [each for each in listed(connection, dataset) if number in (None, each.number)]
    if not found:
        which = "no snapshot, yet" if number is None else f"no snapshot {number}"
        raise NotFound(f"The dataset {dataset} has {which}.", field="snapshot")
    return found[-1]


def lines(connection: Connection, snapshot_id: str) -> list[Line]:
    """What may be used of a snapshot: its rows by clip, without those that were withdrawn or found to be private."""
    query = (
        select(SNAPSHOT_CLIPS, *(CLIPS.c[name] for name in _FIXED))
        .join(CLIPS, CLIPS.c.id == SNAPSHOT_CLIPS.c.clip_id)
        .where(SNAPSHOT_CLIPS.c.snapshot_id == snapshot_id, SNAPSHOT_CLIPS.c.withdrawn.is_(None))
        .where(CLIPS.c.status != QUARANTINED)
        .order_by(SNAPSHOT_CLIPS.c.clip_id)
    )
    own = ("clip_id", "split", "row_sha256", *_FIXED)
    return [
        Line(text=row.text or "", **{name: getattr(row, name) for name in own}) for row in connection.execute(query)
    ]


def marks(connection: Connection, snapshot_id: str) -> dict[str, Mark]:
    """Every row by its clip, tombstones too."""
    query = select(SNAPSHOT_CLIPS).where(SNAPSHOT_CLIPS.c.snapshot_id == snapshot_id)
    return {
        row.clip_id: Mark(row.row_sha256, row.split, row.text, row.withdrawn is not None)
        for row in connection.execute(query.order_by(SNAPSHOT_CLIPS.c.clip_id))
    }


def _agreed() -> ColumnElement[bool]:
    """Taggers agree on what is in it, and it is not the same recording again."""
    said = and_(CLIPS.c.verdict.in_([Verdict.RIGHT, Verdict.CORRECTED]), CLIPS.c.text != "")
    silent = CLIPS.c.verdict == Verdict.NOISE
    return and_(CLIPS.c.status == DECIDED, or_(said, silent), CLIPS.c.duplicate_of.is_(None))


def _splits(connection: Connection, dataset_id: str) -> dict[str, str]:
    """The part that each clip was in last."""
    query = (
        select(SNAPSHOT_CLIPS.c.clip_id, SNAPSHOT_CLIPS.c.split)
        .join(SNAPSHOTS, SNAPSHOTS.c.id == SNAPSHOT_CLIPS.c.snapshot_id)
        .where(SNAPSHOTS.c.dataset_id == dataset_id)
        .order_by(SNAPSHOTS.c.number)
    )
    return {row.clip_id: row.split for row in connection.execute(query)}


def _query() -> Any:
    gone = (
        select(func.count())
        .where(SNAPSHOT_CLIPS.c.snapshot_id == SNAPSHOTS.c.id, SNAPSHOT_CLIPS.c.withdrawn.is_not(None))
        .scalar_subquery()
    )
    joined = SNAPSHOTS.join(DATASETS, DATASETS.c.id == SNAPSHOTS.c.dataset_id)
    return select(SNAPSHOTS, DATASETS.c.name, gone.label("gone")).select_from(joined)


def _snapshot(row: Row[Any]) -> Snapshot:
    return Snapshot(
        row.id,
        row.name,
        row.number,
        Purpose(row.purpose),
        row.created,
        row.created_by,
        row.sha256,
        row.statistics,
        row.licence_text,
        row.gone,
    )
