"""How many datasets, models, deployed models and vocabularies a key may have. Audio and requests count in `quotas.py`.

The bounds are settings, the same for every key. An admin's key has none, nor has whoever uses a server without keys;
who curates makes as many datasets as the work asks for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from stt_server.errors import LimitReached
from stt_server.store.rights import Scope, allows
from stt_server.web.context import ANONYMOUS, identity_of, services_of

if TYPE_CHECKING:
    from aiohttp import web

RETRY_S: Final = 3600.0  # nothing frees itself; a client that tries again by itself should not do so at once
NO_BOUND: Final = 0


def bound_on_datasets(request: web.Request) -> int:
    """For the key that asks; 0 is none."""
    return _bound(request, services_of(request).settings.key_datasets, Scope.CURATE)


def bound_on_models(request: web.Request) -> int:
    """The same."""
    return _bound(request, services_of(request).settings.key_models, Scope.ADMIN)


def bound_on_deployed(request: web.Request) -> int:
    """The same."""
    return _bound(request, services_of(request).settings.key_deployed, Scope.ADMIN)


def bound_on_vocabularies(request: web.Request) -> int:
    """The same."""
    return _bound(request, services_of(request).settings.key_vocabularies, Scope.ADMIN)


def check_room(count: int, bound: int, *, what: str, do: str, setting: str) -> None:
    """Raises LimitReached where a key has so many already; the sentence says what to `do` about it."""
    if bound != NO_BOUND and count >= bound:
        raise LimitReached(
            f"The key has the {bound} {what} it may have; {do}, or have the server's `{setting}` raised.",
            retry_after_s=RETRY_S,
        )


def owner_of(request: web.Request) -> str:
    """The key that models and datasets of this request belong to; "" on a server that asks for none."""
    identity = identity_of(request)
    return "" if identity is ANONYMOUS else identity.id


def _bound(request: web.Request, bound: int, free: Scope) -> int:
    return NO_BOUND if allows(identity_of(request).scopes, free) else bound
