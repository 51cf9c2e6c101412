"""`/v1/train`: having a custom model trained, and how that goes.

    curl -X POST -u SECRET:KEY "http://127.0.0.1:2700/v1/train?model-id=…&base-model-id=…"

Training is a job for a worker (`earloop worker`); the answer is its record, with status `PENDING`. A base is the id of
one of the server's models or of one's own; the tutorial's own, Deepgram's general model, stands for the live one.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web

from stt_server.errors import Conflict, NotFound
from stt_server.jobs.asking import ask_within
from stt_server.store import custom_models, datasets, jobs, models
from stt_server.store.ring import now
from stt_server.web.allowances import owner_of
from stt_server.web.asked import given, required
from stt_server.web.context import identity_of, services_of
from stt_server.web.model_records import STATUSES, moment

if TYPE_CHECKING:
    from stt_server.store.custom_models import CustomModel
    from stt_server.store.database import Connection, Database
    from stt_server.store.jobs import Job

GENERAL: Final = "e1eea600-6c6b-400a-a707-a491509e52f1"  # what the tutorial trains on from
SERVER: Final = "server"
_OTHER: Final = re.compile(r"[^a-z0-9]+")


async def train(request: web.Request) -> web.Response:
    """Have a model trained. Raises NotFound, Conflict while it is or where nothing in its datasets has a transcript."""
    ref, base = required(request, "model-id"), given(request, "base-model-id")
    by = identity_of(request).id
    job = await services_of(request).store.run(_train, ref, base, owner_of(request), by)
    return web.json_response(_told(job), status=201)


async def show(request: web.Request) -> web.Response:
    """One run of one's own. Raises NotFound."""
    job = await services_of(request).store.run(_own, request.match_info["run"], owner_of(request))
    return web.json_response(_told(job))


async def cancel(request: web.Request) -> web.Response:
    """End it: at once where it waits, else when its worker hears of it. Raises NotFound, Conflict for one ended."""
    job = await services_of(request).store.run(_cancel, request.match_info["run"], owner_of(request))
    return web.json_response(_told(job))


def _told(job: Job) -> dict[str, Any]:
    return {
        "id": job.id,
        "model_id": job.params.get("custom_model"),
        "submitted": moment(job.created),
        "started": moment(job.started),
        "finished": moment(job.finished),
        "status": STATUSES[job.status],
        "stage": job.stage,
        "progress": job.progress,
        "wer": job.result.get("wer"),
        "verdict": job.result.get("verdict"),
        "error": job.error or None,
    }


def _train(database: Database, ref: str, base: str | None, owner: str, by: str) -> Job:
    with database.write() as connection:
        model = custom_models.get(connection, ref, owner)
        custom_models.lock(connection, model.id)
        stands = custom_models.standing(connection, custom_models.get(connection, model.id, owner))
        if stands.run is not None and stands.run.status in jobs.UNFINISHED:
            raise Conflict(f"The model is being trained, as {stands.run.id}; wait for that or cancel it.")
        base_id = _base(connection, base, owner)
        params = {
            "dataset": _dataset(connection, model),
            "base": base_id,
            "name": _catalog_name(model),
            "custom_model": model.id,
        }
        job = ask_within(connection, params, by)
        custom_models.begin_run(connection, model.id, job.id, base_id, custom_models.made_of(stands))
        return job


def _base(connection: Connection, ref: str | None, owner: str) -> str | None:
    """The id of a model to go on from; None is whatever is live when the run begins. Raises NotFound, Conflict."""
    if ref is None or ref.casefold() == GENERAL:
        return None
    try:
        own = custom_models.get(connection, ref, owner)
    except NotFound:
        found = models.get(connection, ref)
        if not custom_models.is_general(connection, found):
            raise NotFound(f"There is no model {ref!r} to train on from.", field="base-model-id") from None
        return found.id
    made = custom_models.made_of(custom_models.standing(connection, own))
    if made is None:
        raise Conflict(f"{own.name} is not trained yet, so nothing can go on from it.", field="base-model-id")
    return made


def _dataset(connection: Connection, model: CustomModel) -> str:
    """The name of the dataset a run learns from: the model's only one, or one in which all of its clips are.

    Raises Conflict where nothing in them has words.
    """
    if not custom_models.labelled(connection, model.datasets):
        raise Conflict(
            "No recording in the model's datasets has a transcript; send them by "
            "PUT /v1/resources/{resource-id}/transcript first."
        )
    if len(model.datasets) == 1:
        return custom_models.dataset_names(connection, model)[0]
    name, wanted = f"model-{model.id}", custom_models.clips_of(connection, model.datasets)
    try:
        together = datasets.get(connection, name)
    except NotFound:
        datasets.create(connection, name, SERVER, now(), description=f"All datasets of the model {model.name}")
        together = datasets.get(connection, name)
    gone = set(custom_models.clips_of(connection, [together.id])) - set(wanted)
    datasets.remove(connection, name, gone)
    datasets.add(connection, name, wanted, now())
    return name


def _catalog_name(model: CustomModel) -> str:
    """What its bundles are called: as the model, with part of its id, so that no other model is ever taken for it."""
    plain = _OTHER.sub("-", model.name.casefold()).strip("-")[:60]
    return f"{plain}-{model.id[:8]}".strip("-")


def _own(database: Database, run: str, owner: str) -> Job:
    with database.read() as connection:
        return _find(connection, run, owner)


def _find(connection: Connection, run: str, owner: str) -> Job:
    job = jobs.get(connection, run)
    ident = job.params.get("custom_model")
    if ident is None:
        raise NotFound(f"You have no run {run[:40]!r}.", field="run")
    custom_models.get(connection, ident, owner)
    return job


def _cancel(database: Database, run: str, owner: str) -> Job:
    with database.write() as connection:
        _find(connection, run, owner)
        return jobs.cancel(connection, run, now())
