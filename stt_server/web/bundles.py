"""`POST /v1/catalog/models`: a zipped bundle becomes a candidate. It is verified by ear beside the live streams."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from aiohttp import web

from stt_server.catalog.importing import import_bundle
from stt_server.store import routes
from stt_server.web.catalog import told_model
from stt_server.web.context import identity_of, services_of
from stt_server.web.imports import imported

if TYPE_CHECKING:
    from stt_server.store.database import Database
    from stt_server.store.models import Model


async def create(request: web.Request) -> web.Response:
    """Import the zipped bundle that is the body, as a candidate. Raises BadBundle, BadOption, TooLarge."""
    services, by = services_of(request), identity_of(request).id
    keep = partial(import_bundle, services.store, services.objects, name=request.query.get("name"), actor=by)
    model = await imported(request, "model.zip", keep)
    return web.json_response(await services.store.run(_told, model), status=201)


def _told(database: Database, model: Model) -> dict[str, Any]:
    with database.read() as connection:
        return told_model(model, routes.every(connection))
