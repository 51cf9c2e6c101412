"""`GET /openapi.json`: the plain HTTP routes as OpenAPI 3.1 describes them, the file `openapi.json` beside this module.

Written by hand, and held to the routes by tests: they name the same paths and methods, and schemathesis asks a running
server for all of it.
"""

from __future__ import annotations

import json
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any, Final

from aiohttp import web

FILE: Final = Path(__file__).with_name("openapi.json")
JSON: Final = "application/json; charset=utf-8"


async def openapi(_: web.Request) -> web.Response:
    """The description, with the version that runs."""
    return web.Response(text=_rendered(), headers={"Content-Type": JSON})


def described() -> dict[str, Any]:
    """The description as an object, with the version that runs."""
    document: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
    document["info"]["version"] = metadata.version("earloop")
    return document


@cache
def _rendered() -> str:
    return json.dumps(described(), ensure_ascii=False)
