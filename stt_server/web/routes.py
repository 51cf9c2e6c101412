"""All routes on one screen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from aiohttp import web

from stt_server.web import health, page, streams, uploads
from stt_server.web.context import SERVICES
from stt_server.web.errors import render_errors

if TYPE_CHECKING:
    from stt_server.services import Services

ROUTES: Final = (
    web.get("/", page.front),  # the page; as WebSocket vosk-server's protocol
    web.get("/static/{name}", page.static),
    web.get("/v1/stream", streams.native),  # WebSocket
    web.post("/stt", uploads.stt),
    web.put("/stt", uploads.stt),
    web.post("/v1/audio/transcriptions", uploads.transcriptions),
    web.get("/v1/models", health.models),
    web.get("/healthz", health.healthz),
    web.get("/readyz", health.readyz),
    web.get("/metrics", health.metrics),
)


def application(services: Services) -> web.Application:
    """The routes over these services, with errors and headers as they must be."""
    app = web.Application(middlewares=[render_errors])
    app[SERVICES] = services
    app.on_response_prepare.append(page.add_headers)
    app.add_routes(ROUTES)
    return app
