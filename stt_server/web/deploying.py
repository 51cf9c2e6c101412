"""`/v1/models/{model}/deploy`: letting a custom model answer, and ending that.

A deployed model is what the key that had it trained gets by itself, and what everybody gets who asks for it by name or
by id, as in `/stt?model=Proof-in-the-Pudding`. Those are routes of the catalog (`store/routes.py`), so that every
server follows within seconds. The live model, which all others get, is not touched; that takes the gate.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from aiohttp import web

from stt_server.catalog.promotion import promote_within
from stt_server.errors import Conflict, LimitReached
from stt_server.store import custom_models, models, routes
from stt_server.store.ring import now
from stt_server.store.routes import Action, Kind, Route
from stt_server.web.allowances import RETRY_S, bound_on_deployed, check_room, owner_of
from stt_server.web.asked import given
from stt_server.web.context import ANONYMOUS, identity_of, services_of
from stt_server.web.model_records import check_name, record_of
from stt_server.web.people import person_of

if TYPE_CHECKING:
    from stt_server.store.custom_models import CustomModel
    from stt_server.store.database import Connection, Database

REASON: Final = "deployed by the key that had it trained, for who asks for it"
ENDED: Final = "its deployment was ended"


async def deploy(request: web.Request) -> web.Response:
    """Let it answer, as `name` in the query where that is said, else by its own name.

    Raises NotFound, Conflict before it is trained or where another model has the name, LimitReached.
    """
    ref, name = request.match_info["model"], given(request, "name")
    store, owner, bound = services_of(request).store, owner_of(request), bound_on_deployed(request)
    person = await person_of(request, make=True)
    actor, most = identity_of(request).id, services_of(request).settings.max_models
    told = await store.run(_deploy, ref, name, owner, person.id if person else None, actor, bound, most)
    return web.json_response(told)


async def undeploy(request: web.Request) -> web.Response:
    """Let it answer nobody any more. Raises NotFound, Conflict for one that is not deployed."""
    owner = owner_of(request)
    return web.json_response(await services_of(request).store.run(_undeploy, request.match_info["model"], owner))


def end_deployment(database: Database, ident: str, owner: str) -> None:
    """Take the routes to a custom model back. Another that its key has deployed becomes what the key gets by itself."""
    with database.write() as connection:
        routes.lock(connection)
        model = custom_models.get(connection, ident, owner)
        others = [each for each in custom_models.listed(connection, owner) if each.deployed and each.id != model.id]
        standing_in = routes.find(connection, Kind.NAME, others[0].id) if others else None
        for route in _routes_of(connection, model):
            if route.kind == Kind.PERSON and standing_in:
                again = Route(route.kind, route.key, standing_in.model_id)
                routes.put(connection, again, actor=owner or ANONYMOUS.id, action=Action.ROLLBACK, reason=ENDED)
            else:
                routes.drop(connection, route, actor=owner or ANONYMOUS.id, reason=ENDED)
        custom_models.set_deployed(connection, model.id, None, model.name)


def _deploy(
    database: Database,
    ref: str,
    name: str | None,
    owner: str,
    person_id: str | None,
    actor: str,
    bound: int,
    most: int,
) -> dict[str, Any]:
    with database.write() as connection:
        routes.lock(connection)
        model = custom_models.get(connection, ref, owner)
        made = custom_models.made_of(custom_models.standing(connection, model))
        if made is None:
            raise Conflict(f"{model.name} is not trained yet; POST /v1/train?model-id={model.id} has it trained.")
        if model.deployed is None:
            do = "take one back by DELETE /v1/models/{model-id}/deploy"
            count = custom_models.count(connection, owner, deployed=True)
            check_room(count, bound, what="deployed models", do=do, setting="key_deployed")
        name = check_name(name or model.name)
        _check_free(connection, name, model)
        keys = [(Kind.NAME, model.id), (Kind.NAME, name), *([(Kind.PERSON, person_id)] if person_id else [])]
        for route in _routes_of(connection, model):
            if route.kind == Kind.NAME and (Kind.NAME, route.key) not in keys:
                routes.drop(connection, route, actor=actor, reason=f"called {name} from now on")
        for kind, key in keys:
            promote_within(connection, made, actor=actor, reason=REASON, kind=kind, key=key)
        _check_loaded(connection, most)
        custom_models.set_deployed(connection, model.id, now(), name)
        return _record(connection, model.id, owner)


def _undeploy(database: Database, ref: str, owner: str) -> dict[str, Any]:
    with database.read() as connection:
        model = custom_models.get(connection, ref, owner)
    if model.deployed is None:
        raise Conflict(f"{model.name} is not deployed.")
    end_deployment(database, model.id, owner)
    with database.read() as connection:
        return _record(connection, model.id, owner)


def _record(connection: Connection, ident: str, owner: str) -> dict[str, Any]:
    return record_of(custom_models.standing(connection, custom_models.get(connection, ident, owner)))


def _routes_of(connection: Connection, model: CustomModel) -> list[Route]:
    """Those by which it is reached, whichever of its versions they lead to. Its id is the key of one of them."""
    by_id = routes.find(connection, Kind.NAME, model.id)
    found = routes.of_model(connection, by_id.model_id) if by_id else []
    return [route for route in found if route.kind in (Kind.NAME, Kind.PERSON)]


def _check_loaded(connection: Connection, most: int) -> None:
    """Raises LimitReached where servers would have to load more models than they do, and one of them would be none."""
    if len({route.model_id for route in routes.every(connection) if route.kind != Kind.PERSON}) > most:
        raise LimitReached(
            f"The server answers with {most} models at once; have one of them taken back, or its `max_models` raised.",
            retry_after_s=RETRY_S,
        )


def _check_free(connection: Connection, name: str, model: CustomModel) -> None:
    """Raises Conflict where clients that ask for this name mean something else."""
    route = routes.find(connection, Kind.NAME, name)
    others = route is not None and custom_models.asked_for(connection, route.model_id) != model.id
    if others or models.listed(connection, name):
        raise Conflict(f"Another model answers by the name {name}; deploy yours by another, `?name=…`.", field="name")
