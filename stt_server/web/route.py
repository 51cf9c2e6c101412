"""What a route is, and which of them a request asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from stt_server.store.rights import Scope

    Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

VERSION: Final = "/v1"
WEBSOCKET: Final = "WEBSOCKET"  # as a method: a GET that asks for the upgrade


@dataclass(frozen=True, slots=True)
class Route:
    """One thing that can be asked. `scope` None is open to everybody; with `bare` it answers without `/v1`, too."""

    method: str
    path: str
    handler: Handler
    scope: Scope | None
    summary: str
    bare: bool = False

    @property
    def paths(self) -> tuple[str, ...]:
        """Where it is found."""
        return (self.path, self.path.removeprefix(VERSION)) if self.bare else (self.path,)


TABLE: Final = web.AppKey("routes", dict[Any, Any])  # {(method, path): Route}


def add_routes(app: web.Application, routes: Iterable[Route]) -> None:
    """Add them to the router, and to the table that `route_of` looks into."""
    app[TABLE] = {(route.method, path): route for route in routes for path in route.paths}
    for path in dict.fromkeys(path for _, path in app[TABLE]):
        if any((method, path) in app[TABLE] for method in (WEBSOCKET, "GET")):
            app.router.add_get(path, _answer)
    for method, path in app[TABLE]:
        if method not in {WEBSOCKET, "GET"}:
            app.router.add_route(method, path, _answer)


def route_of(request: web.Request) -> Route | None:
    """The route that was asked for; None where there is none, which the router refuses with 404 or 405.

    What is only a WebSocket gets plain GETs, too: it refuses them with a sentence.
    """
    if request.match_info.http_exception is not None:
        return None
    resource = request.match_info.route.resource
    assert resource is not None, "every route has a path"
    method = "GET" if request.method == "HEAD" else request.method
    wanted = [WEBSOCKET, "GET"] if method == "GET" and wants_socket(request) else [method, WEBSOCKET]
    table = request.app[TABLE]
    found: Route = next(table[each, resource.canonical] for each in wanted if (each, resource.canonical) in table)
    return found


def wants_socket(request: web.Request) -> bool:
    """Whether the client asks for the upgrade to a WebSocket."""
    return request.headers.get("Upgrade", "").casefold() == "websocket"


async def _answer(request: web.Request) -> web.StreamResponse:
    route = route_of(request)
    assert route is not None, "the router came here by one"
    return await route.handler(request)
