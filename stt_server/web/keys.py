"""`POST /v1/keys`: a key made over HTTP by an admin, for somebody who then works with it alone.

    curl -X POST -u USERNAME:PASSWORD http://127.0.0.1:2700/v1/keys?name="test"

USERNAME and PASSWORD are the id and the secret of an admin's key, in either order. On a server that asks for no keys
yet anybody on the machine is an admin, and the first key that is made closes it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from aiohttp import web

from stt_server.store import keys
from stt_server.store.rights import KeyLimits, Scope, parse_scopes
from stt_server.store.ring import now
from stt_server.web.asked import required
from stt_server.web.context import services_of

if TYPE_CHECKING:
    from stt_server.store.database import Database

SCOPES: Final = frozenset({Scope.STREAM, Scope.TRAIN})  # speech recognised, and models of one's own


async def create(request: web.Request) -> web.Response:
    """Make a key and show it, this once. `scope`, repeated for each, says what it may. Raises BadOption."""
    services, name = services_of(request), required(request, "name")
    scopes = parse_scopes(request.query.getall("scope", [])) or SCOPES
    hours = services.settings.key_audio_hours_per_day
    made = await services.store.run(_create, name, scopes, KeyLimits(audio_s_per_day=hours * 3600 if hours else None))
    await services.keys.renewed()  # the next request may come with it
    shown = keys.parse_key(made)
    assert shown is not None, "a key is made so that it can be read"
    told = {"key": shown.id, "secret": shown.secret, "api_key": made, "name": name, "scopes": sorted(scopes)}
    return web.json_response(told, status=201)


def _create(database: Database, name: str, scopes: frozenset[Scope], limits: KeyLimits) -> str:
    with database.write() as connection:
        return keys.create(connection, name, scopes, now(), limits=limits)
