"""The page on `/`, its files, and the headers that keep a browser from running anything else."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Final

from aiohttp import web

from stt_server.errors import NotFound

PAGES: Final = Path(__file__).parent / "pages"
STATIC: Final = Path(__file__).parent / "static"

# No inline script or style, nothing from elsewhere, nobody may frame us. `'self'` in connect-src covers our WebSocket.
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
# Asked for again each time and answered 304 by ETag: files have no hash in their name, and a page must fit its server.
CACHE: Final = "no-cache"


async def front(_: web.Request) -> web.StreamResponse:
    """The page."""
    return web.FileResponse(PAGES / "index.html", headers={"Cache-Control": CACHE})


async def static(request: web.Request) -> web.FileResponse:
    """A file of the page. Raises NotFound."""
    name = request.match_info["name"]
    if name not in _static_files():
        raise NotFound(f"There is nothing at {request.path}.")
    return web.FileResponse(STATIC / name)


@cache
def _static_files() -> frozenset[str]:
    return frozenset(path.name for path in STATIC.iterdir() if path.is_file())


async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
    """On every answer: no sniffing of types, no word of which server this is; the policy where a page may come."""
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Server"] = "earloop"
    if request.path == "/" or request.path.startswith("/static/"):
        response.headers["Content-Security-Policy"] = POLICY
        response.headers["Referrer-Policy"] = "no-referrer"
        response.headers["Permissions-Policy"] = "microphone=(self)"
        response.headers.setdefault("Cache-Control", CACHE)
    else:
        response.headers.setdefault("Cache-Control", "no-store")
