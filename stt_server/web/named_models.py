"""`/v1/catalog/language-models`: an operator's view of the language models that every server over the database offers.

curl -H "X-API-Key: KEY" --data-binary @home.lm "http://127.0.0.1:2700/v1/catalog/language-models?name=home&alpha=0.8"
"""

from __future__ import annotations

import asyncio
import math
from functools import partial
from typing import TYPE_CHECKING, Any

from aiohttp import web

from stt_server.catalog.language_models import Weights, import_language_model, remove_language_model
from stt_server.errors import BadOption
from stt_server.store import language_models
from stt_server.web.catalog import erase
from stt_server.web.context import identity_of, services_of
from stt_server.web.imports import imported

if TYPE_CHECKING:
    from stt_server.store.database import Connection, Database
    from stt_server.store.language_models import LanguageModel


async def listed(request: web.Request) -> web.Response:
    """All by name, the newest version first; with `removed=1` those that were removed, too: the whole history."""
    removed = request.query.get("removed", "") == "1"
    return web.json_response({"language_models": await services_of(request).store.run(_listed, removed)})


async def show(request: web.Request) -> web.Response:
    """One by name, name@version or id. Raises NotFound."""
    return web.json_response(await services_of(request).store.run(_show, request.match_info["ref"]))


async def create(request: web.Request) -> web.Response:
    """The file that is the body becomes the newest version of `name`. Raises BadBundle, BadOption, TooLarge."""
    services, query = services_of(request), request.query
    keep = partial(
        import_language_model,
        services.store,
        services.objects,
        name=query.get("name", ""),
        actor=identity_of(request).id,
        weights=Weights(_number(query.get("alpha"), "alpha"), _number(query.get("beta"), "beta")),
        reason=query.get("reason", ""),
    )
    model = await imported(request, "body", keep)
    return web.json_response(await services.store.run(_show, model.id), status=201)


async def delete(request: web.Request) -> web.Response:
    """Remove a version, or by its name alone all of one; the version before answers, where there is one."""
    services, by = services_of(request), identity_of(request).id
    ref, reason = request.match_info["ref"], request.query.get("reason", "")
    gone = await services.store.run(remove_language_model, ref, actor=by, reason=reason)
    await asyncio.to_thread(erase, services)
    return web.json_response({"removed": await services.store.run(_shown, [each.id for each in gone])})


def _number(given: str | None, field: str) -> float | None:
    if given is None:
        return None
    try:
        value = float(given)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise BadOption(f"{field} is a number.", field=field)
    return value


def _listed(database: Database, removed: bool) -> list[dict[str, Any]]:
    with database.read() as connection:
        return _all_told(connection, language_models.listed(connection, removed=removed))


def _show(database: Database, ref: str) -> dict[str, Any]:
    return _shown(database, [ref])[0]


def _shown(database: Database, refs: list[str]) -> list[dict[str, Any]]:
    with database.read() as connection:
        return _all_told(connection, [language_models.get(connection, ref) for ref in refs])


def _all_told(connection: Connection, models: list[LanguageModel]) -> list[dict[str, Any]]:
    """Rows as JSON has them. `heard`: how many of the clips that are kept were first heard with it."""
    answers = {each.id for each in language_models.answering(connection)}
    return [
        told(each) | {"answers": each.id in answers, "heard": language_models.heard_with(connection, each.ref)}
        for each in models
    ]


def told(model: LanguageModel) -> dict[str, Any]:
    """Without what other rows know of it."""
    names = "id name version size alpha beta lineage reason created_by removed_by removed_reason"
    moments = {
        name: moment and moment.isoformat() for name in ("created", "removed") for moment in [getattr(model, name)]
    }
    return {name: getattr(model, name) for name in names.split()} | moments | {"sha256": model.sha256.hex()}
