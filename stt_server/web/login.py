"""`POST /v1/login`, `POST /v1/logout`, `GET /v1/me`: how a page gets in, leaves, and learns who it speaks for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from stt_server.errors import Unauthorized
from stt_server.store.keys import Credential, parse_key
from stt_server.store.people import parse_token
from stt_server.store.rights import held
from stt_server.web import sessions
from stt_server.web.access import ACCESS
from stt_server.web.context import IDENTITY
from stt_server.web.payloads import read_json
from stt_server.web.people import person_of
from stt_server.web.sessions import SESSION, Who, csrf_token

if TYPE_CHECKING:
    from stt_server.web.context import Identity

BOUND_BYTES: Final = 4096


class Login(BaseModel):
    """What logs in."""

    model_config = ConfigDict(extra="forbid")

    key: str = Field(min_length=1, max_length=200)


async def login(request: web.Request) -> web.Response:
    """Let a page in by a key or a contributor's token.

    Raises Unauthorized, LimitReached after too many wrong ones, BadInput.
    """
    shown = (await read_json(request, Login, BOUND_BYTES)).key.strip()
    access, response = request.app[ACCESS], web.Response(status=204)
    if token := parse_token(shown):
        sessions.begin(request, response, Who.PERSON, (await access.right_person(request, token)).id)
    else:
        key = await access.right_key(request, parse_key(shown) or Credential("", shown))
        sessions.begin(request, response, Who.KEY, key.id)
    return response


async def logout(request: web.Request) -> web.Response:
    """Take the cookie back; no matter whether there was one."""
    response = web.Response(status=204)
    sessions.end(request, response)
    return response


async def me(request: web.Request) -> web.Response:
    """Who asks and what that one may; without scopes it is nobody, who may log in. Raises LimitReached, BadInput."""
    access = request.app[ACCESS]
    try:
        identity = await access.identify(request)
    except Unauthorized:
        identity = None
    session = request[SESSION] if SESSION in request else None  # noqa: SIM401 - `get` has no type
    told = {
        "person": await _person(request, identity),
        "name": identity.name if identity else "",
        "scopes": sorted(held(identity.scopes)) if identity else [],
        "open": not access.needs_key,
        "csrf": csrf_token(request, session) if session else None,
    }
    return web.json_response(told)


async def _person(request: web.Request, identity: Identity | None) -> str | None:
    """Whom clips and votes of this request would be of, if that one has given or judged before."""
    if identity is None:
        return None
    request[IDENTITY] = identity  # which the middleware sets only where a scope is needed
    person = await person_of(request)
    return person.id if person else None
