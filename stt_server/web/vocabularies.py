"""`/v1/vocabularies`: the names and sentences of an assistant, kept on the server, and used by whom they belong to.

    curl -X PUT -H "X-API-Key: KEY" http://127.0.0.1:2700/v1/vocabularies/home -d '{"entities": {"room": ["den"]}}'

A vocabulary belongs to the key that put it there; no other key but an admin's reads or changes it. An admin puts shared
ones with `?owner=shared`, which everybody may use and read, and with `?owner=KEY_ID` those of a key. Where no keys are
asked for, whoever uses the server is its operator, and what is put is shared.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web

from stt_server.errors import Forbidden
from stt_server.store import vocabularies as rows
from stt_server.store.rights import Scope, allows
from stt_server.store.ring import now
from stt_server.store.vocabularies import SHARED, check_name
from stt_server.vocabularies.calling import CALLER, Caller
from stt_server.vocabularies.compiling import compiled
from stt_server.vocabularies.definition import MOST_BYTES, Definition, kept_definition
from stt_server.vocabularies.judging import judged
from stt_server.web.allowances import bound_on_vocabularies, check_room, owner_of
from stt_server.web.asked import given
from stt_server.web.context import identity_of, services_of
from stt_server.web.payloads import read_json
from stt_server.web.route import route_of

if TYPE_CHECKING:
    from stt_server.store.database import Database
    from stt_server.store.vocabularies import Vocabulary
    from stt_server.vocabularies.compiling import Compiled, Problem
    from stt_server.web.route import Handler

EVERYBODY: Final = "shared"  # as `owner` in a query
ALL: Final = "all"
MOST_PROBLEMS: Final = 500  # told one by one


@web.middleware
async def remember(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Note whose vocabularies the streams of a request may use, and the one that its query names."""
    route = route_of(request)
    if route is None or route.scope is not Scope.STREAM:
        return await handler(request)
    asked = request.query.get("vocabulary") or None
    before = CALLER.set(Caller(owner_of(request), identity_of(request).vocabulary, asked))
    try:
        return await handler(request)
    finally:
        CALLER.reset(before)


async def listed(request: web.Request) -> web.Response:
    """One's own and the shared ones by name, without what is in them; all there are for an admin with `owner=all`."""
    owner = None if request.query.get("owner") == ALL and _is_admin(request) else _owner(request)
    found = await services_of(request).store.run(_listed, owner)
    return web.json_response({"vocabularies": [_told(each) for each in found]})


async def show(request: web.Request) -> web.Response:
    """What is in one, and what of it is not heard as it is meant. Raises NotFound, Forbidden, BadInput."""
    services, name = services_of(request), request.match_info["vocabulary"]
    found = await services.store.run(_get, _owner(request), name, "owner" not in request.query)
    return await _answer(request, found, kept_definition(name, found.body))


async def put(request: web.Request) -> web.Response:
    """Make one, or put another in its place; every server uses it within 2 s, this one at once.

    Raises BadInput that names what cannot be, Forbidden, LimitReached for a key that has as many as it may.
    """
    services, name = services_of(request), check_name(request.match_info["vocabulary"])
    owner, bound = _owner(request, changing=True), bound_on_vocabularies(request)
    definition = await read_json(request, Definition, MOST_BYTES)
    made = await asyncio.to_thread(compiled, definition)
    row = await services.store.run(_put, owner, name, definition.body(), bound)
    await services.vocabularies.renewed()
    return await _answer(request, row, definition, made)


async def delete(request: web.Request) -> web.Response:
    """Raises NotFound, Forbidden, and Conflict for one that is a key's default."""
    services, name = services_of(request), request.match_info["vocabulary"]
    await services.store.run(_delete, _owner(request, changing=True), name)
    await services.vocabularies.renewed()
    return web.Response(status=204)


async def _answer(
    request: web.Request, row: Vocabulary, definition: Definition, made: Compiled | None = None
) -> web.Response:
    """A vocabulary whole, judged by the live model."""
    model = services_of(request).engines.recognizer

    def judge() -> tuple[Compiled, tuple[Problem, ...]]:
        ready = made or compiled(definition)
        return ready, judged(ready, model)

    ready, problems = await asyncio.to_thread(judge)
    told = _told(row) | {"vocabulary": row.body, "hotwords": len(ready.hotwords), "problem_count": len(problems)}
    told["problems"] = [each.told() for each in problems[:MOST_PROBLEMS]]
    return web.json_response(told, status=201 if made and row.version == 1 else 200)


def _told(row: Vocabulary) -> dict[str, Any]:
    shared = row.key_id == SHARED
    moments = {"created": row.created.isoformat(), "changed": row.changed.isoformat()}
    told = {"name": row.name, "owner": EVERYBODY if shared else row.key_id, "version": row.version}
    return {**told, "mode": row.body["mode"], **moments}


def _owner(request: web.Request, *, changing: bool = False) -> str:
    """Whose vocabularies are meant. Raises Forbidden for those of another key, and for changing shared ones.

    Only an admin's key may do either.
    """
    own, wanted = owner_of(request), given(request, "owner")
    owner = own if wanted is None else SHARED if wanted == EVERYBODY else wanted
    if owner != own and not _is_admin(request) and (changing or owner != SHARED):
        raise Forbidden("A vocabulary is for its own key and for admins; a shared one is changed by admins.")
    return owner


def _is_admin(request: web.Request) -> bool:
    return allows(identity_of(request).scopes, Scope.ADMIN)


def _listed(database: Database, owner: str | None) -> list[Vocabulary]:
    with database.read() as connection:
        return rows.listed(connection, owner)


def _get(database: Database, owner: str, name: str, or_shared: bool) -> Vocabulary:
    with database.read() as connection:
        shared = rows.find(connection, SHARED, name) if or_shared else None
        return rows.find(connection, owner, name) or shared or rows.get(connection, owner, name)


def _put(database: Database, owner: str, name: str, body: dict[str, Any], bound: int) -> Vocabulary:
    with database.write() as connection:
        if rows.find(connection, owner, name) is None:
            count = rows.count(connection, owner)
            check_room(count, bound, what="vocabularies", do="delete one", setting="key_vocabularies")
        return rows.put(connection, owner, name, body, now())


def _delete(database: Database, owner: str, name: str) -> None:
    with database.write() as connection:
        rows.remove(connection, owner, name, now())
