"""Which person a request comes from, for what is given or judged. Who may come in at all is `access.py`.

| where | as |
| --- | --- |
| `X-Contributor` | a token `elc_<id>_<secret>` |
| query `contributor` | the same, for clients that can set no header, such as a browser's WebSocket |
| a login by cookie | the contributor whose token logged in |
| none of these | the API key's own person, made when something is first given or judged with the key |

Who judges with an API key is the key's own person, whatever token comes along. On a server that asks for no keys
somebody without a token is nobody: nothing of theirs can be kept.

A request may ask that nothing of it is kept, `collect=false` in the query or `X-Collect: false`; nothing in a request
can ask for the opposite.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from stt_server.errors import BadInput, BadOption, Unauthorized
from stt_server.store import people
from stt_server.store.rights import Scope, allows
from stt_server.store.ring import now
from stt_server.web.context import ANONYMOUS, identity_of, services_of

if TYPE_CHECKING:
    from aiohttp import web

    from stt_server.store.database import Database
    from stt_server.store.people import Person

HEADER: Final = "X-Contributor"
COLLECT_HEADER: Final = "X-Collect"
IN_QUERY: Final = ("contributor", "collect")
_TRUTH: Final = {"true": True, "1": True, "false": False, "0": False}


async def person_of(request: web.Request, *, make: bool = False) -> Person | None:
    """Who gives or judges; None for nobody. With `make` a key that may give or judge has a person from now on.

    Raises Unauthorized for a token that is not valid, BadInput for two different ones.
    """
    ring, identity = services_of(request).consents, identity_of(request)
    if token := _token(request):
        return await _shown(request, token)
    if identity.person is not None:
        return ring.person(identity.person)
    return None if identity is ANONYMOUS else await _own(request, make=make)


async def judge_of(request: web.Request) -> Person | None:
    """Who judges: as `person_of`, but with an API key the key's own person, whatever token comes along.

    One key can make any number of tokens; if each were another judge, its holder could agree with themselves.
    """
    identity = identity_of(request)
    by_key = identity is not ANONYMOUS and identity.person is None
    return await _own(request, make=True) if by_key else await person_of(request)


async def contributor_of(request: web.Request) -> Person | None:
    """Whose speech this is, for what may be kept of it; None where the request wants nothing kept.

    Raises as `person_of`, and BadOption for a `collect` that is neither true nor false.
    """
    return await person_of(request) if may_collect(request) else None


async def _own(request: web.Request, *, make: bool) -> Person | None:
    """The person of the API key itself."""
    ring, identity = services_of(request).consents, identity_of(request)
    may = any(allows(identity.scopes, scope) for scope in (Scope.CONTRIBUTE, Scope.TAG, Scope.CURATE))
    known = ring.of_key(identity.id)
    if known is None and make and may:
        return await services_of(request).store.run(_of_key, identity.id)
    return known


def may_collect(request: web.Request) -> bool:
    """What the request says; nothing is kept for a yes alone. Raises BadOption."""
    said = [*request.headers.getall(COLLECT_HEADER, []), *request.query.getall("collect", [])]
    for value in said:
        if value.strip().casefold() not in _TRUTH:
            raise BadOption(f"collect must be true or false, not {ascii(value)[:40]}.", field="collect")
    return all(_TRUTH[value.strip().casefold()] for value in said)


async def _shown(request: web.Request, token: str) -> Person:
    ring = services_of(request).consents
    shown = people.parse_token(token)
    person = ring.find(shown) if shown else None
    if person is None and shown and ring.person(shown.id) is None:
        await ring.renewed()  # it may have been made a moment ago
        person = ring.find(shown)
    if person is None:
        raise Unauthorized("The contributor's token is not valid; without one nothing of what you say is kept.")
    return person


def _token(request: web.Request) -> str | None:
    shown = {*request.headers.getall(HEADER, []), *request.query.getall("contributor", [])}
    if len(shown) > 1:
        raise BadInput("The request has two different contributors' tokens; send one.", field="contributor")
    return shown.pop() if shown else None


def _of_key(database: Database, key_id: str) -> Person:
    with database.write() as connection:
        return people.of_key(connection, key_id, now())
