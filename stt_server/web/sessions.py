"""Who is logged in at a page: a signed cookie, so that scripts never hold a key and a copied page never has one.

    POST /v1/login {"key": …} ──► Set-Cookie: earloop_session=<who>.<until>.<nonce>.<signature>
    every request  ──► signature, moment, and whether the key or the contributor still lives

| a cookie | how |
| --- | --- |
| is not read by scripts | HttpOnly |
| comes with requests of our own pages only | SameSite=Strict; beside it, not believed where Origin names another site |
| changes nothing without our page's script | what is no GET needs X-CSRF-Token, which only `GET /v1/me` tells |
| ends | after `LASTS_S`, at logout in that browser, everywhere when its key is revoked or expires |

Nothing is kept on the server: a cookie that somebody stole works until it ends or its key is revoked.
"""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from aiohttp import web

from stt_server.errors import Forbidden
from stt_server.web.origins import ORIGINS, SAFE
from stt_server.web.signing import SIGNER

COOKIE: Final = "earloop_session"
CSRF_HEADER: Final = "X-CSRF-Token"
LASTS_S: Final = 12 * 3600
NONCE_BYTES: Final = 12


class Who(StrEnum):
    """What somebody logged in with."""

    KEY = "key"
    PERSON = "person"  # a contributor's token


@dataclass(frozen=True, slots=True)
class Session:
    """A login that is believed. `id` is of a key or a person, of which the session says nothing more."""

    who: Who
    id: str
    until: int  # seconds of Unix time
    nonce: str

    @property
    def parts(self) -> tuple[str, ...]:
        return self.who.value, self.id, str(self.until), self.nonce


SESSION: Final = web.RequestKey("session", Session)  # of who came by a cookie and by nothing else


def begin(request: web.Request, response: web.StreamResponse, who: Who, ident: str) -> None:
    """Log somebody in whose key or token was right."""
    session = Session(who, ident, int(time.time()) + LASTS_S, secrets.token_hex(NONCE_BYTES))
    response.set_cookie(
        COOKIE,
        ".".join([*session.parts, request.app[SIGNER].sign("session", *session.parts)]),
        max_age=LASTS_S,
        httponly=True,
        samesite="Strict",
        secure=request.secure,
    )


def end(request: web.Request, response: web.StreamResponse) -> None:
    """Log out."""
    response.del_cookie(COOKIE, httponly=True, samesite="Strict", secure=request.secure)


def session_of(request: web.Request) -> Session | None:
    """The login that the request's cookie proves; None without one, or with one that is over or not ours."""
    *parts, signature = request.cookies.get(COOKIE, "").split(".")
    if len(parts) != len(Session.__slots__) or not request.app[ORIGINS].is_own(request):
        return None
    if not request.app[SIGNER].verify(signature, "session", *parts):
        return None
    session = Session(Who(parts[0]), parts[1], int(parts[2]), parts[3])
    return session if time.time() < session.until else None


def csrf_token(request: web.Request, session: Session) -> str:
    """What our page must send back with whatever changes something."""
    return request.app[SIGNER].sign("csrf", *session.parts)


def check_csrf(request: web.Request, session: Session) -> None:
    """Raises Forbidden for what changes something and was not sent by a page of ours that has asked who it is."""
    token = request.headers.get(CSRF_HEADER, "")
    if request.method not in SAFE and not request.app[SIGNER].verify(token, "csrf", *session.parts):
        raise Forbidden(f"A login by cookie needs the header {CSRF_HEADER}; `GET /v1/me` tells its value.")
