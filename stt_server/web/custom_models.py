"""`/v1/models`: what a client may name, and the models that a key has trained for itself.

    curl -X POST -u SECRET:KEY "http://127.0.0.1:2700/v1/models?dataset-id=…" -d '{"name": "Proof-in-the-Pudding"}'

Two kinds of clients ask here. OpenAI's look at `GET /v1/models` and `GET /v1/models/NAME` and find `data` and entries
with `id`, `object`, `created` in seconds. Who trains finds `models` in the same list, and by a model's id its record:
the fields of Deepgram's tutorial, `created` as a date.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from stt_server.errors import Conflict, NotFound
from stt_server.protocols import openai
from stt_server.store import custom_models, jobs, migrate, models
from stt_server.store.ring import now
from stt_server.web.allowances import bound_on_models, check_room, owner_of
from stt_server.web.asked import several
from stt_server.web.context import services_of
from stt_server.web.deploying import end_deployment
from stt_server.web.model_records import check_name, general_record, is_uuid, record_of
from stt_server.web.payloads import read_json
from stt_server.web.resources import find_own, own_datasets

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stt_server.store.custom_models import CustomModel
    from stt_server.store.database import Connection, Database
    from stt_server.store.models import Model

BODY_BYTES: Final = 1 << 16
MOST_DATASETS: Final = 100
OWNER: Final = "earloop"


class NewModel(BaseModel):
    """A model to be asked for."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(max_length=100)


class MoreDatasets(BaseModel):
    """Datasets that a model is to learn from, too."""

    model_config = ConfigDict(extra="forbid")

    datasets: list[str] = Field(max_length=MOST_DATASETS)


async def listed(request: web.Request) -> web.Response:
    """The names a client may ask for, as OpenAI's clients list them, and records: one's own models and their bases."""
    services = services_of(request)
    names = services.engines.models
    shown, records = await services.store.run(_listed, names, owner_of(request))
    body = {"object": "list", "data": [openai.model_object(name) for name in shown], "models": records}
    return web.json_response(body)


async def show(request: web.Request) -> web.Response:
    """One by its name, as `models.retrieve` of OpenAI's client asks, or one of one's own by its id. Raises NotFound."""
    services, ref = services_of(request), request.match_info["model"]
    record = await services.store.run(_record, ref, owner_of(request))
    known = ref in services.engines.models
    if known and not is_uuid(ref):
        told = (record or {}) | json.loads(openai.model_entry(ref))
    elif record:
        told = {"id": record["model_id"], "object": "model", "owned_by": OWNER} | record
    else:
        names = ", ".join(services.engines.models)
        raise NotFound(f"There is no model {ref[:40]!r} here; there is {names}.", field="model")
    return web.json_response(told)


async def create(request: web.Request) -> web.Response:
    """Ask for a model of these datasets; `POST /v1/train` trains it. Raises BadOption, NotFound, LimitReached."""
    name = check_name((await read_json(request, NewModel, BODY_BYTES)).name)
    refs, store = several(request, "dataset-id"), services_of(request).store
    owner, bound = owner_of(request), bound_on_models(request)
    record = await store.run(_create, name, refs, own_datasets(request), owner, bound)
    return web.json_response(record, status=201)


async def put_datasets(request: web.Request) -> web.Response:
    """Let a model learn from more datasets: in the query by `dataset-id`, or `{"datasets": […]}`. Raises NotFound."""
    refs = several(request, "dataset-id")
    if not refs:
        refs = (await read_json(request, MoreDatasets, BODY_BYTES)).datasets
    arguments = request.match_info["model"], refs, own_datasets(request), owner_of(request)
    return web.json_response(await services_of(request).store.run(_add_datasets, *arguments))


async def delete(request: web.Request) -> web.Response:
    """Give a model up: it answers nobody any more, and there is room for another. Raises NotFound, Conflict."""
    store, owner = services_of(request).store, owner_of(request)
    ident = await store.run(_delete, request.match_info["model"], owner)
    return web.json_response({"id": ident, "object": "model", "deleted": True})


def _listed(database: Database, names: Sequence[str], owner: str) -> tuple[list[str], list[dict[str, Any]]]:
    """The names that this key is shown, others' custom models left out, and all records."""
    with database.read() as connection:
        mine = custom_models.listed(connection, owner)
        own = {each.name for each in mine}
        shown = [name for name in names if name in own or not custom_models.is_named(connection, name)]
        records = [record_of(custom_models.standing(connection, each)) for each in mine]
        return shown, records + [general_record(model) for model in _bases(connection)]


def _bases(connection: Connection) -> list[Model]:
    """The models that anybody may train on from: those that have answered everybody."""
    return [model for model in models.listed(connection) if custom_models.is_general(connection, model)]


def _record(database: Database, ref: str, owner: str) -> dict[str, Any] | None:
    with database.read() as connection:
        try:
            return record_of(custom_models.standing(connection, custom_models.get(connection, ref, owner)))
        except NotFound:
            return next((general_record(model) for model in _bases(connection) if model.id == ref), None)


def _create(
    database: Database, name: str, refs: Sequence[str], maker: str | None, owner: str, bound: int
) -> dict[str, Any]:
    with database.write() as connection:
        migrate.lock(connection)
        do = "delete one by DELETE /v1/models/{model-id}"
        check_room(custom_models.count(connection, owner), bound, what="models", do=do, setting="key_models")
        ids = [find_own(connection, ref, maker).id for ref in refs]
        made = custom_models.create(connection, name, owner, ids, now())
        return record_of(custom_models.standing(connection, made))


def _add_datasets(database: Database, ref: str, refs: Sequence[str], maker: str | None, owner: str) -> dict[str, Any]:
    with database.write() as connection:
        model = custom_models.get(connection, ref, owner)
        custom_models.lock(connection, model.id)
        custom_models.add_datasets(connection, model.id, [find_own(connection, each, maker).id for each in refs])
        return record_of(custom_models.standing(connection, custom_models.get(connection, model.id, owner)))


def _delete(database: Database, ref: str, owner: str) -> str:
    with database.read() as connection:
        model = custom_models.get(connection, ref, owner)
        _check_rests(connection, model)  # before anything is changed
    if model.deployed is not None:
        end_deployment(database, model.id, owner)
    with database.write() as connection:
        custom_models.lock(connection, model.id)
        _check_rests(connection, custom_models.get(connection, model.id, owner))
        custom_models.remove(connection, model.id)
    return model.id


def _check_rests(connection: Connection, model: CustomModel) -> None:
    """Raises Conflict while a run of it waits or goes on."""
    run = custom_models.standing(connection, model).run
    if run is not None and run.status in jobs.UNFINISHED:
        raise Conflict(f"The model is being trained; end that by DELETE /v1/train/{run.id} first.")
