"""All routes on one screen, each with the scope a key must have for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from aiohttp import web

from stt_server.store.rights import Scope
from stt_server.web import health, page, parking, streams, transcriptions, uploads
from stt_server.web.context import SERVICES
from stt_server.web.errors import render_errors

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from stt_server.services import Services

    Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

WEBSOCKET: Final = "WEBSOCKET"  # as a method: a GET that asks for the upgrade


@dataclass(frozen=True, slots=True)
class Route:
    """One thing that can be asked. `scope` None is open to everybody."""

    method: str
    path: str
    handler: Handler
    scope: Scope | None
    summary: str


ROUTES: Final = (
    Route("GET", "/", page.front, None, "the page"),
    Route("GET", "/static/{name}", page.static, None, "a file of the page"),
    Route("GET", "/healthz", health.healthz, None, "is the server alive?"),
    Route("GET", "/readyz", health.readyz, None, "does it take new streams?"),
    Route(WEBSOCKET, "/", streams.vosk, Scope.STREAM, "a stream, vosk-server's protocol"),
    Route(WEBSOCKET, "/v1/stream", streams.native, Scope.STREAM, "a stream, Earloop's own protocol"),
    Route("POST", "/stt", uploads.stt, Scope.STREAM, "a recording or raw audio to text"),
    Route("PUT", "/stt", uploads.stt, Scope.STREAM, "the same"),
    Route("POST", "/v1/audio/transcriptions", transcriptions.create, Scope.STREAM, "a recording to text, as OpenAI"),
    Route("POST", "/v1/audio/translations", transcriptions.translate, Scope.STREAM, "refused: nothing is translated"),
    Route("GET", "/v1/models/{model}", transcriptions.model, Scope.STREAM, "one of them"),
    Route("GET", "/v1/models", health.models, Scope.STREAM, "the models a client may name"),
    Route("GET", "/metrics", health.metrics, Scope.MONITOR, "measurements for Prometheus"),
)


def application(services: Services) -> web.Application:
    """The routes over these services, with errors and headers as they must be."""
    app = web.Application(middlewares=[render_errors])
    app[SERVICES] = services
    parking.install(app, services)
    app.on_response_prepare.append(page.add_headers)
    for path in dict.fromkeys(route.path for route in ROUTES):
        _add(app, [route for route in ROUTES if route.path == path])
    return app


def _add(app: web.Application, routes: list[Route]) -> None:
    """The routes of one path. What is only a WebSocket gets plain GETs, too: it refuses them with a sentence."""
    socket = next((route for route in routes if route.method == WEBSOCKET), None)
    plain = next((route for route in routes if route.method == "GET"), None)
    if socket or plain:
        app.router.add_get(routes[0].path, _either(socket, plain))
    for route in routes:
        if route.method not in {WEBSOCKET, "GET"}:
            app.router.add_route(route.method, route.path, route.handler)


def _either(socket: Route | None, plain: Route | None) -> Handler:
    if socket is None or plain is None:
        found = socket or plain
        assert found is not None
        return found.handler

    async def choose(request: web.Request) -> web.StreamResponse:
        return await (socket if wants_socket(request) else plain).handler(request)

    return choose


def wants_socket(request: web.Request) -> bool:
    """Whether the client asks for the upgrade to a WebSocket."""
    return request.headers.get("Upgrade", "").casefold() == "websocket"
