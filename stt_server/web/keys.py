"""`POST /v1/keys`: a key made over HTTP by an admin, for somebody who then works with it alone.

    curl -X POST -u USERNAME:PASSWORD http://127.0.0.1:2700/v1/keys?name="test"

USERNAME and PASSWORD are the id and the secret of an admin's key, in either order. On a server that asks for no keys
yet anybody on the machine is an admin, and the first key that is made closes it.

`PATCH /v1/keys/me` with `{"vocabulary": "home"}` lets the streams of one's own key hear that vocabulary by default.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from stt_server.errors import NotFound
from stt_server.store import keys, vocabularies
from stt_server.store.rights import KeyLimits, Scope, allows, parse_scopes
from stt_server.store.ring import now
from stt_server.web.asked import required
from stt_server.web.context import identity_of, services_of
from stt_server.web.payloads import read_json

if TYPE_CHECKING:
    from stt_server.store.database import Database

ME: Final = "me"  # the key that asks
SCOPES: Final = frozenset({Scope.STREAM, Scope.TRAIN})  # speech recognised, and models of one's own


class Changes(BaseModel):
    """What of a key may be changed."""

    model_config = ConfigDict(extra="forbid")

    vocabulary: str | None = Field(max_length=64)  # that its streams hear unless they say otherwise; None: none


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


async def change(request: web.Request) -> web.Response:
    """Give a key, one's own as `me`, the vocabulary that is its streams' default, or none.

    Raises NotFound for a key or a vocabulary that there is not, and for another's key unless an admin asks.
    """
    services, identity, ident = services_of(request), identity_of(request), request.match_info["key"]
    ident = identity.id if ident == ME else ident
    if ident != identity.id and not allows(identity.scopes, Scope.ADMIN):
        raise NotFound("There is no such key that you may change; `me` is the one that asks.", field="key")
    wanted = (await read_json(request, Changes)).vocabulary
    await services.store.run(_change, ident, wanted)
    await services.keys.renewed()  # the next request may count on it
    return web.json_response({"key": ident, "vocabulary": wanted})


def _change(database: Database, ident: str, vocabulary: str | None) -> None:
    with database.write() as connection:
        vocabularies.make_default(connection, ident, vocabulary)


def _create(database: Database, name: str, scopes: frozenset[Scope], limits: KeyLimits) -> str:
    with database.write() as connection:
        return keys.create(connection, name, scopes, now(), limits=limits)
