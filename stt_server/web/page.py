"""The pages, their files, and the headers that keep a browser from running anything else."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Final

from aiohttp import web

from stt_server.addresses import host_name, is_loopback
from stt_server.errors import NotFound

PAGES: Final = Path(__file__).parent / "pages"
STATIC: Final = Path(__file__).parent / "static"
TABLE: Final = {  # where each page stands; a page is added here and in routes.py
    "/": "index.html",
    "/tag": "tag.html",
    "/record": "record.html",
    "/datasets": "datasets.html",
    "/consent": "consent.html",
    "/dashboard": "dashboard.html",
    "/login": "login.html",
}

# No inline script or style, nothing from elsewhere, nobody may frame us. `'self'` in connect-src covers our WebSocket;
# `blob:` is what a page has recorded or fetched itself and plays.
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "media-src 'self' blob:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
NOTHING: Final = "default-src 'none'; frame-ancestors 'none'"  # for what is no page: nothing may run from it
_ALWAYS: Final = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "Server": "earloop",
    "X-Content-Type-Options": "nosniff",
}
# Asked for again each time and answered 304 by ETag: files have no hash in their name, and a page must fit its server.
CACHE: Final = "no-cache"
# Said here: by itself Python asks the machine, which may call a script something that no browser runs.
TYPES: Final = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


async def show(request: web.Request) -> web.StreamResponse:
    """The page at this path."""
    return web.FileResponse(PAGES / TABLE[request.path], headers={"Cache-Control": CACHE})


async def static(request: web.Request) -> web.FileResponse:
    """A file of the pages. Raises NotFound."""
    name = request.match_info["name"]
    if name not in _static_files():
        raise NotFound(f"There is nothing at {request.path}.")
    path = STATIC / name
    return web.FileResponse(path, headers={"Content-Type": f"{TYPES[path.suffix]}; charset=utf-8"})


@cache
def _static_files() -> frozenset[str]:
    return frozenset(path.name for path in STATIC.iterdir() if path.is_file())


async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
    """On every answer: no sniffing of types, no frame around it, no word of which server this is."""
    ours = request.path in TABLE or request.path.startswith("/static/")
    response.headers.update(_ALWAYS)
    if ours:
        response.headers["Content-Security-Policy"] = POLICY
    response.headers.setdefault("Content-Security-Policy", NOTHING)
    response.headers.setdefault("Cache-Control", CACHE if ours else "no-store")
    if ours:
        response.headers["Permissions-Policy"] = "microphone=(self)"
    if request.secure and not is_loopback(host_name(request.host)):  # the ports of localhost are not all ours
        response.headers["Strict-Transport-Security"] = "max-age=31536000"
