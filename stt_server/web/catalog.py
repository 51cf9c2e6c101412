"""`/v1/catalog`: an operator's view of models and routes, and who answers from now on.

Whoever promotes here, in the dashboard too, needs a passed gate report of the model or writes a reason; both are on
record with the key's id.
"""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from stt_server.catalog import lineage as lineages
from stt_server.catalog import promotion
from stt_server.catalog.places import drop_removed
from stt_server.collection.withdrawal import erase_pending
from stt_server.errors import BadOption, EarloopError
from stt_server.logs import EventLog
from stt_server.store import models, routes
from stt_server.store.routes import Kind
from stt_server.web.context import identity_of, services_of
from stt_server.web.payloads import read_json

if TYPE_CHECKING:
    from stt_server.services import Services
    from stt_server.store.database import Database
    from stt_server.store.models import Model
    from stt_server.store.routes import Change, Route

MOST_CHANGES: Final = 500

log = EventLog("catalog")


class _Asked(BaseModel):
    model_config = ConfigDict(extra="forbid")

    reason: str = Field("", max_length=promotion.LONGEST_REASON)
    kind: Kind = Kind.LIVE
    key: str = Field("", max_length=promotion.LONGEST_KEY)


class Promotion(_Asked):
    """Which sessions a model is to answer, and why. `report` is a gate report's id; the model's newest unless said."""

    share: float = Field(1.0, gt=0, le=1)
    report: str | None = Field(None, max_length=32)


class Rollback(_Asked):
    """Which route goes back to the model before."""


async def listed(request: web.Request) -> web.Response:
    """All models, the newest first; with `removed=1` those that were removed, too."""
    removed = request.query.get("removed", "") == "1"
    return web.json_response({"models": await services_of(request).store.run(_listed, removed)})


async def show(request: web.Request) -> web.Response:
    """One model by id, name or name@version. Raises NotFound."""
    return web.json_response(await services_of(request).store.run(_show, _ref(request)))


async def delete(request: web.Request) -> web.Response:
    """Delete the bytes of a model that answers nobody. Raises NotFound, Conflict."""
    services, by = services_of(request), identity_of(request).id
    reason = request.query.get("reason", "")
    gone = await services.store.run(promotion.remove, _ref(request), actor=by, reason=reason)
    await asyncio.to_thread(erase, services)
    return web.json_response(await services.store.run(_show, gone.id))


async def promote(request: web.Request) -> web.Response:
    """Let a model answer the sessions of a route. Raises NotFound, BadOption, Conflict without gate and reason."""
    asked, store = await read_json(request, Promotion), services_of(request).store
    change = await store.run(
        promotion.promote,
        _ref(request),
        actor=identity_of(request).id,
        reason=asked.reason,
        report_id=asked.report,
        kind=asked.kind,
        key=asked.key,
        share=asked.share,
    )
    return web.json_response(_change(change))


async def rollback(request: web.Request) -> web.Response:
    """Give a route back to the model before. Raises NotFound, Conflict where there is none."""
    asked, store = await read_json(request, Rollback), services_of(request).store
    given = {"reason": asked.reason, "kind": asked.kind, "key": asked.key}
    return web.json_response(_change(await store.run(promotion.rollback, actor=identity_of(request).id, **given)))


async def list_routes(request: web.Request) -> web.Response:
    """All routes, and the revision that servers follow."""
    return web.json_response(await services_of(request).store.run(_routes))


async def delete_route(request: web.Request) -> web.Response:
    """End a route. Raises NotFound, Conflict for the live one."""
    store, where = services_of(request).store, (request.match_info["kind"], request.match_info.get("key", ""))
    reason = request.query.get("reason", "")
    return web.json_response(
        _change(await store.run(promotion.unroute, *where, actor=identity_of(request).id, reason=reason))
    )


async def history(request: web.Request) -> web.Response:
    """What was done to the routes, the newest first. Raises BadOption."""
    limit = request.query.get("limit", "50")
    if not (limit.isascii() and limit.isdecimal() and 0 < int(limit[:10]) <= MOST_CHANGES):
        raise BadOption(f"limit is a number from 1 to {MOST_CHANGES}.", field="limit")
    return web.json_response({"changes": await services_of(request).store.run(_changes, int(limit))})


async def lineage(request: web.Request) -> web.Response:
    """Whence a model comes and what came of it; by id, name, or `name version` as a response has it."""
    return web.json_response(await services_of(request).store.run(_model_lineage, _ref(request)))


async def clip_lineage(request: web.Request) -> web.Response:
    """What came of a clip: snapshots, runs, models. Raises NotFound."""
    return web.json_response(await services_of(request).store.run(_clip_lineage, request.match_info["clip"]))


def erase(services: Services) -> None:
    """Delete the bytes at once where the store is there; the sweep does it otherwise."""
    try:
        erase_pending(services.store, services.objects)
    except EarloopError as error:
        log.warning("bytes_not_erased", why=error.message)
    drop_removed(services.store, services.settings.data)


def _ref(request: web.Request) -> str:
    return request.match_info["ref"]


def _listed(database: Database, removed: bool) -> list[dict[str, Any]]:
    with database.read() as connection:
        found = routes.every(connection)
        return [told_model(each, found) for each in models.listed(connection, removed=removed)]


def _show(database: Database, ref: str) -> dict[str, Any]:
    with database.read() as connection:
        return told_model(models.get(connection, ref), routes.every(connection))


def _routes(database: Database) -> dict[str, Any]:
    with database.read() as connection:
        return {
            "revision": routes.revision(connection),
            "routes": [_route(each) | {"model": each.model_id} for each in routes.every(connection)],
        }


def _changes(database: Database, limit: int) -> list[dict[str, Any]]:
    with database.read() as connection:
        return [_change(each) for each in routes.changes(connection, limit)]


def _model_lineage(database: Database, ref: str) -> dict[str, Any]:
    with database.read() as connection:
        return lineages.told(lineages.of_model(connection, ref))


def _clip_lineage(database: Database, clip_id: str) -> dict[str, Any]:
    with database.read() as connection:
        return lineages.told(lineages.of_clip(connection, clip_id))


def told_model(model: Model, found: list[Route]) -> dict[str, Any]:
    """A row as JSON has it, with the routes that lead to it among `found`."""
    names = "id name version language status size created_by person_id base_id job_id snapshot_id error_rates lineage"
    told = {name: getattr(model, name) for name in names.split()}
    answers = [_route(each) for each in found if each.model_id == model.id]
    return told | {"created": model.created.isoformat(), "sha256": model.sha256.hex(), "routes": answers}


def _route(route: Route) -> dict[str, Any]:
    return {"kind": route.kind, "key": route.key, "share": route.share}


def _change(change: Change) -> dict[str, Any]:
    return asdict(change) | {"moment": change.moment.isoformat(), "ungated": change.ungated}
