"""What watches a server: is it alive, may it be sent work, what has it measured."""

from __future__ import annotations

from aiohttp import web

from stt_server.web.context import services_of


async def healthz(request: web.Request) -> web.Response:
    """200 while every inference thread runs; one that died does not come back, so 503 means: restart me."""
    engines = services_of(request).engines
    alive = engines.alive
    return web.json_response({"status": "ok" if alive else "dead"}, status=200 if alive else 503)


async def readyz(request: web.Request) -> web.Response:
    """200 while new streams are welcome; 503 from the moment of SIGTERM on.

    An `alarm` is for people: a model that was to answer did not load, and the one before it goes on.
    """
    engines = services_of(request).engines
    ready = engines.ready
    said = {
        "status": "ready" if ready else "draining" if engines.alive else "dead",
        "model": engines.name,
        "language": engines.language,
        "streams": engines.open_streams,
        "lag_ms": round(engines.lag_s * 1000),
        "version": engines.recognizer.version,
        "models": list(engines.models),
        "revision": engines.lineup.revision,
        "alarm": engines.lineup.alarm or None,
    }
    return web.json_response(said, status=200 if ready else 503)


async def metrics(request: web.Request) -> web.Response:
    """Prometheus text."""
    measured = services_of(request).metrics
    return web.Response(body=measured.render(), headers={"Content-Type": measured.CONTENT_TYPE})
