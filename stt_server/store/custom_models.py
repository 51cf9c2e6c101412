"""Custom models: what a key asked for by name, and trains anew as its datasets grow.

A row names datasets, the last run (`jobs`) and, from when another run begins, what the earlier ones came to (`models`).
How a custom model stands is read from these three together; nobody has to write down that a run has ended.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import delete, func, insert, select, update

from stt_server.errors import NotFound
from stt_server.store import jobs
from stt_server.store.models import Status
from stt_server.store.tables import (
    CLIPS,
    CUSTOM_MODEL_DATASETS,
    CUSTOM_MODELS,
    DATASET_CLIPS,
    DATASETS,
    JOBS,
    MODELS,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from sqlalchemy import Connection, Row

    from stt_server.store.jobs import Job
    from stt_server.store.models import Model

MADE: Final = "model_id"  # in a job's result: the model that came of it


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomModel:
    """A row of `custom_models`, with its datasets by id."""

    id: str  # a UUID
    name: str
    key_id: str  # who asked for it; "" on a server without keys
    created: datetime
    base_id: str | None = None
    job_id: str | None = None
    model_id: str | None = None
    deployed: datetime | None = None
    datasets: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Standing:
    """A custom model with its last run, the run that made what it has now, and that: as far as there are any."""

    model: CustomModel
    run: Job | None = None
    made_by: Job | None = None

    @property
    def wer(self) -> float | None:
        """The word error rate that the run measured, as a fraction."""
        found: float | None = self.made_by.result.get("wer") if self.made_by else None
        return found


def create(connection: Connection, name: str, key_id: str, dataset_ids: Iterable[str], now: datetime) -> CustomModel:
    """Ask for a model."""
    made = CustomModel(id=str(uuid.uuid4()), name=name, key_id=key_id, created=now)
    row = {"id": made.id, "name": name, "key_id": key_id, "created": now}
    connection.execute(insert(CUSTOM_MODELS).values(row))
    add_datasets(connection, made.id, dataset_ids)
    return get(connection, made.id, key_id)


def get(connection: Connection, ref: str, key_id: str) -> CustomModel:
    """A key's model by its id, else its newest of that name. Raises NotFound, also for another key's."""
    mine = select(CUSTOM_MODELS).where(CUSTOM_MODELS.c.key_id == key_id)
    row = connection.execute(mine.where(CUSTOM_MODELS.c.id == ref.casefold())).one_or_none()
    if row is None:
        named = mine.where(CUSTOM_MODELS.c.name == ref).order_by(CUSTOM_MODELS.c.created.desc(), CUSTOM_MODELS.c.id)
        row = connection.execute(named.limit(1)).one_or_none()
    if row is None:
        raise NotFound(f"You have no model {ref[:100]!r}; GET /v1/models lists yours.", field="model-id")
    return _model(connection, row)


def listed(connection: Connection, key_id: str) -> list[CustomModel]:
    """A key's, the newest first."""
    query = select(CUSTOM_MODELS).where(CUSTOM_MODELS.c.key_id == key_id)
    rows = connection.execute(query.order_by(CUSTOM_MODELS.c.created.desc(), CUSTOM_MODELS.c.id)).all()
    return [_model(connection, row) for row in rows]


def standing(connection: Connection, model: CustomModel) -> Standing:
    """How it stands now."""
    run = None if model.job_id is None else jobs.get(connection, model.job_id)
    if run is not None and run.status == jobs.DONE and run.result.get(MADE):
        return Standing(model, run, run)
    query = select(MODELS.c.job_id).join(JOBS, JOBS.c.id == MODELS.c.job_id).where(MODELS.c.id == model.model_id)
    made_by: str | None = connection.scalar(query)
    return Standing(model, run, None if made_by is None else jobs.get(connection, made_by))


def made_of(stands: Standing) -> str | None:
    """The id of the model that it is now; None before a run was done."""
    done: str | None = stands.run.result.get(MADE) if stands.run and stands.run.status == jobs.DONE else None
    return done or stands.model.model_id


def lock(connection: Connection, ident: str) -> None:
    """Let nobody else train, deploy or delete it until the transaction ends."""
    connection.execute(select(CUSTOM_MODELS.c.id).where(CUSTOM_MODELS.c.id == ident).with_for_update())


def count(connection: Connection, key_id: str, *, deployed: bool = False) -> int:
    """How many a key has, or has deployed."""
    query = select(func.count()).select_from(CUSTOM_MODELS).where(CUSTOM_MODELS.c.key_id == key_id)
    if deployed:
        query = query.where(CUSTOM_MODELS.c.deployed.is_not(None))
    return connection.scalar(query) or 0


def is_named(connection: Connection, name: str) -> bool:
    """Whether any key's custom model has this name or id."""
    same = (CUSTOM_MODELS.c.name == name) | (CUSTOM_MODELS.c.id == name)
    return connection.scalar(select(CUSTOM_MODELS.c.id).where(same).limit(1)) is not None


def asked_for(connection: Connection, model_id: str) -> str | None:
    """The id of the custom model whose run made this one, also of one that was given up; None where none did."""
    query = select(JOBS.c.params).join(MODELS, MODELS.c.job_id == JOBS.c.id).where(MODELS.c.id == model_id)
    found: str | None = (connection.scalar(query) or {}).get("custom_model")
    return found


def is_general(connection: Connection, model: Model) -> bool:
    """Whether anybody may train on from it: it has answered, and is neither a person's nor a key's own."""
    free = model.status == Status.ACCEPTED and model.person_id is None
    return free and asked_for(connection, model.id) is None


def add_datasets(connection: Connection, ident: str, dataset_ids: Iterable[str]) -> None:
    """Let it learn from these, too."""
    known = select(CUSTOM_MODEL_DATASETS.c.dataset_id).where(CUSTOM_MODEL_DATASETS.c.custom_model_id == ident)
    for dataset_id in dict.fromkeys(dataset_ids).keys() - set(connection.scalars(known)):
        connection.execute(insert(CUSTOM_MODEL_DATASETS).values(custom_model_id=ident, dataset_id=dataset_id))


def dataset_names(connection: Connection, model: CustomModel) -> list[str]:
    """Of its datasets."""
    return list(connection.scalars(select(DATASETS.c.name).where(DATASETS.c.id.in_(model.datasets))))


def clips_of(connection: Connection, dataset_ids: Sequence[str]) -> list[str]:
    """The ids of all clips in these datasets, each once."""
    query = select(DATASET_CLIPS.c.clip_id).where(DATASET_CLIPS.c.dataset_id.in_(dataset_ids)).distinct()
    return list(connection.scalars(query))


def labelled(connection: Connection, dataset_ids: Sequence[str]) -> int:
    """How many clips of these datasets have words that count as right."""
    known = CLIPS.c.verdict.in_(("right", "corrected")) & (CLIPS.c.status == "decided")
    query = select(func.count(DATASET_CLIPS.c.clip_id.distinct())).join(CLIPS, CLIPS.c.id == DATASET_CLIPS.c.clip_id)
    return connection.scalar(query.where(DATASET_CLIPS.c.dataset_id.in_(dataset_ids), known)) or 0


def begin_run(connection: Connection, ident: str, job_id: str, base_id: str | None, made: str | None) -> None:
    """Another run begins; `made` is what the runs before it have come to."""
    _write(connection, ident, {"job_id": job_id, "base_id": base_id, "model_id": made})


def set_deployed(connection: Connection, ident: str, moment: datetime | None, name: str) -> None:
    """Say since when it answers, and by what name; with None that it does not any more."""
    _write(connection, ident, {"deployed": moment, "name": name})


def remove(connection: Connection, ident: str) -> None:
    """Forget that it was asked for; runs and models stay as they are."""
    connection.execute(delete(CUSTOM_MODEL_DATASETS).where(CUSTOM_MODEL_DATASETS.c.custom_model_id == ident))
    connection.execute(delete(CUSTOM_MODELS).where(CUSTOM_MODELS.c.id == ident))


def _write(connection: Connection, ident: str, values: dict[str, Any]) -> None:
    connection.execute(update(CUSTOM_MODELS).where(CUSTOM_MODELS.c.id == ident).values(values))


def _model(connection: Connection, row: Row[Any]) -> CustomModel:
    query = select(CUSTOM_MODEL_DATASETS.c.dataset_id).where(CUSTOM_MODEL_DATASETS.c.custom_model_id == row.id)
    datasets = tuple(connection.scalars(query.order_by(CUSTOM_MODEL_DATASETS.c.dataset_id)))
    return CustomModel(**row._mapping, datasets=datasets)
