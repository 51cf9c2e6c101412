"""What a request handler works with: the application's services."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from stt_server.services import Services

SERVICES: Final = web.AppKey("services", Services)


def services_of(request: web.Request) -> Services:
    """The services behind the application that was asked."""
    return request.app[SERVICES]
