"""What a request handler works with: the application's services, and who asks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from aiohttp import web

from stt_server.services import Services
from stt_server.store.rights import ALL_SCOPES, NO_LIMITS, KeyLimits, Scope


@dataclass(frozen=True, slots=True)
class Identity:
    """Who asks, and what that one may do."""

    id: str
    name: str
    scopes: frozenset[Scope]
    limits: KeyLimits = NO_LIMITS
    vocabulary: str | None = None  # that its streams hear unless they say otherwise
    person: str | None = None  # the contributor whose token logged in, where no key did; then `id` is that person's


ANONYMOUS: Final = Identity("anonymous", "anonymous", ALL_SCOPES)  # everybody, on a server that asks for no keys

SERVICES: Final = web.AppKey("services", Services)
IDENTITY: Final = web.RequestKey("identity", Identity)
MAY_OPEN: Final = web.RequestKey("may_open", bool)  # not who is over its limit, let in to resume a stream


def services_of(request: web.Request) -> Services:
    """The services behind the application that was asked."""
    return request.app[SERVICES]


def identity_of(request: web.Request) -> Identity:
    """Who asks. On a server that asks for no keys that is `ANONYMOUS`, who may do everything."""
    return request[IDENTITY] if IDENTITY in request else ANONYMOUS  # noqa: SIM401 - `get` has no type
