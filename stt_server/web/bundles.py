"""`POST /v1/catalog/models`: a zipped bundle becomes a candidate. It is verified by ear beside the live streams."""

from __future__ import annotations

import asyncio
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web

from stt_server.catalog.importing import import_bundle
from stt_server.errors import BadBundle, Unavailable
from stt_server.logs import EventLog
from stt_server.store import routes
from stt_server.web.bodies import Body, Pace, check_length
from stt_server.web.catalog import told_model
from stt_server.web.context import identity_of, services_of

if TYPE_CHECKING:
    from stt_server.services import Services
    from stt_server.store.database import Database
    from stt_server.store.models import Model

IMPORTING_S: Final = 120.0  # how long an answer waits for a bundle to be heard; the importing does not stop with it
_FOLDERS: Final = re.compile(r"(?<!\S)/(?:[^\s/]+/)*")  # what a message says of where a body lay on our disk

log = EventLog("catalog")


async def create(request: web.Request) -> web.Response:
    """Import the zipped bundle that is the body, as a candidate. Raises BadBundle, BadOption, TooLarge."""
    services, by = services_of(request), identity_of(request).id
    bound = services.settings.max_body_mb << 20
    check_length(request.content_length, bound)
    body = Body(request.content, bound, Pace(request.content, services.settings.idle_timeout_s))
    folder = tempfile.TemporaryDirectory(prefix="earloop-import-")  # closed by the thread that reads it
    try:
        path = Path(folder.name) / "model.zip"
        await _write(body, path)
    except BaseException:
        await asyncio.to_thread(folder.cleanup)
        raise
    model = await _imported(services, folder, path, request.query.get("name"), by)
    return web.json_response(await services.store.run(_told, model), status=201)


async def _write(body: Body, path: Path) -> None:
    try:
        with path.open("wb") as file:
            async for piece in body.pieces():
                await asyncio.to_thread(file.write, piece)
    except OSError as error:
        raise Unavailable(f"The server has no room for the bundle ({error.strerror}); try again later.") from error


async def _imported(
    services: Services, folder: tempfile.TemporaryDirectory[str], path: Path, name: str | None, by: str
) -> Model:
    def work() -> Model:
        with folder:
            return import_bundle(services.store, services.objects, path, name=name, actor=by)

    importing = asyncio.ensure_future(asyncio.to_thread(work))
    importing.add_done_callback(_note)
    try:
        return await asyncio.wait_for(asyncio.shield(importing), IMPORTING_S)
    except TimeoutError:
        raise Unavailable("The bundle is still being heard; look for it in a while.") from None
    except BadBundle as error:
        raise BadBundle(_FOLDERS.sub("", error.message), field=error.field) from error


def _note(importing: asyncio.Future[Model]) -> None:
    """Somebody may not have waited for it."""
    if not importing.cancelled() and (error := importing.exception()):
        log.info("model_not_imported", why=type(error).__name__)


def _told(database: Database, model: Model) -> dict[str, Any]:
    with database.read() as connection:
        return told_model(model, routes.every(connection))
