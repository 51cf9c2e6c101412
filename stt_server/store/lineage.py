"""What rows know of where models come from: snapshots of clips, runs over snapshots, models of runs, answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sqlalchemy import func, or_, select

from stt_server.store.tables import CLIPS, DATASETS, GATE_REPORTS, JOBS, MODELS, SNAPSHOT_CLIPS, SNAPSHOTS

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime

    from sqlalchemy import Connection

MOST_IDS: Final = 500  # in one statement; databases bound the parameters of one


@dataclass(frozen=True, slots=True)
class Use:
    """A clip in a snapshot, or a snapshot with how many clips it has."""

    snapshot_id: str
    dataset: str
    number: int
    clips: int = 1
    withdrawn: datetime | None = None  # the clip's row is a tombstone since


@dataclass(frozen=True, slots=True)
class Run:
    """A training job over a snapshot."""

    job_id: str
    status: str
    created: datetime
    snapshot_id: str


@dataclass(frozen=True, slots=True)
class Judged:
    """A gate report of a model."""

    report_id: str
    base_id: str | None
    verdict: str
    created: datetime


def uses_of(connection: Connection, clip_id: str) -> list[Use]:
    """The snapshots that have a clip, or had it until it was withdrawn, oldest first."""
    query = (
        select(SNAPSHOTS.c.id, DATASETS.c.name, SNAPSHOTS.c.number, SNAPSHOT_CLIPS.c.withdrawn)
        .join(SNAPSHOTS, SNAPSHOTS.c.id == SNAPSHOT_CLIPS.c.snapshot_id)
        .join(DATASETS, DATASETS.c.id == SNAPSHOTS.c.dataset_id)
        .where(SNAPSHOT_CLIPS.c.clip_id == clip_id)
        .order_by(SNAPSHOTS.c.created, SNAPSHOTS.c.id)
    )
    return [Use(row.id, row.name, row.number, 1, row.withdrawn) for row in connection.execute(query)]


def snapshot(connection: Connection, snapshot_id: str) -> Use | None:
    """A snapshot by its id, with the number of its clips, withdrawn ones too."""
    within = select(func.count()).where(SNAPSHOT_CLIPS.c.snapshot_id == SNAPSHOTS.c.id).scalar_subquery()
    query = select(SNAPSHOTS.c.id, DATASETS.c.name, SNAPSHOTS.c.number, within)
    joined = query.join(DATASETS, DATASETS.c.id == SNAPSHOTS.c.dataset_id)
    row = connection.execute(joined.where(SNAPSHOTS.c.id == snapshot_id)).one_or_none()
    return None if row is None else Use(*row)


def clips_of(connection: Connection, snapshot_id: str, after: str = "", limit: int = 1000) -> list[str]:
    """Ids of a snapshot's clips in their order, from one of them on."""
    query = select(SNAPSHOT_CLIPS.c.clip_id).where(SNAPSHOT_CLIPS.c.snapshot_id == snapshot_id)
    page = query.where(SNAPSHOT_CLIPS.c.clip_id > after).order_by(SNAPSHOT_CLIPS.c.clip_id).limit(limit)
    return list(connection.scalars(page))


def runs_over(connection: Connection, snapshot_ids: Collection[str]) -> list[Run]:
    """The jobs that say in their result, or whose models say, that they learned from one of these snapshots."""
    found: dict[str, Run] = {}
    told = JOBS.c.result["snapshot_id"].as_string()
    for some in _parts(snapshot_ids):
        of_models = select(MODELS.c.job_id, MODELS.c.snapshot_id).where(MODELS.c.snapshot_id.in_(some))
        named = {row.job_id: row.snapshot_id for row in connection.execute(of_models) if row.job_id}
        query = select(JOBS.c.id, JOBS.c.status, JOBS.c.created, told.label("told"))
        for row in connection.execute(query.where(or_(told.in_(some), JOBS.c.id.in_(list(named))))):
            found[row.id] = Run(row.id, row.status, row.created, named.get(row.id) or row.told)
    return sorted(found.values(), key=lambda run: (run.created, run.job_id))


def learned_from(connection: Connection, snapshot_ids: Collection[str]) -> dict[str, str]:
    """Ids of the models whose own training was over one of these snapshots, removed ones too, each with which."""
    found: dict[str, str] = {}
    for some in _parts(snapshot_ids):
        query = select(MODELS.c.id, MODELS.c.snapshot_id).where(MODELS.c.snapshot_id.in_(some))
        found |= {row.id: row.snapshot_id for row in connection.execute(query)}
    return found


def reports_of(connection: Connection, model_id: str) -> list[Judged]:
    """A model's gate reports, oldest first."""
    columns = (GATE_REPORTS.c.id, GATE_REPORTS.c.base_id, GATE_REPORTS.c.verdict, GATE_REPORTS.c.created)
    query = select(*columns).where(GATE_REPORTS.c.model_id == model_id).order_by(GATE_REPORTS.c.created)
    return [Judged(*row) for row in connection.execute(query)]


def heard_by(connection: Connection, title: str) -> int:
    """How many of the clips that are kept this model has heard first. What else it answered is kept nowhere."""
    return connection.scalar(select(func.count()).select_from(CLIPS).where(CLIPS.c.model == title)) or 0


def hearer_of(connection: Connection, clip_id: str) -> str | None:
    """The title of the model that heard a clip when it came; None for a clip that is not there any more."""
    found: str | None = connection.scalar(select(CLIPS.c.model).where(CLIPS.c.id == clip_id))
    return found


def _parts(ids: Collection[str]) -> list[list[str]]:
    asked = sorted(ids)
    return [asked[start : start + MOST_IDS] for start in range(0, len(asked), MOST_IDS)]
