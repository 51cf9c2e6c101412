"""Who answers from now on: promotion and rollback, each one transaction.

Servers follow the revision that it leaves. A model takes over only with a reason that is on record:

| who | needs |
| --- | --- |
| an operator at the machine (`command`) | nothing; without a passed gate it is on record as ungated |
| everybody else: a worker, an operator over HTTP, the dashboard | a passed gate report, or a reason in words |
| anybody, for a shadow | nothing: it answers nobody |

A gate report says that a model is better than one other model. For the live route it counts only while that one is
still live, so of two runs that beat the same model the second must be held against the first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from stt_server.catalog.routing import tag
from stt_server.errors import BadOption, Conflict, NotFound
from stt_server.store import audit, erasures, models, people, routes
from stt_server.store.models import Status
from stt_server.store.ring import now
from stt_server.store.routes import KEYED, SHARED, Action, Change, Kind, Route

if TYPE_CHECKING:
    from stt_server.store.database import Connection, Database
    from stt_server.store.models import Model

LONGEST_KEY: Final = 100
LONGEST_REASON: Final = 1000
WITHDRAWN: Final = "its contributor withdrew"
UNGATED: Final = "ungated: an operator's own act"


def promote(
    database: Database,
    ref: str,
    *,
    actor: str,
    reason: str = "",
    report_id: str | None = None,
    kind: str = Kind.LIVE,
    key: str = "",
    share: float = 1.0,
) -> Change:
    """Let a model answer the sessions of a route, from the next one on. What is so already is left as it is.

    Without `report_id` the newest passed report of the model counts. Raises NotFound for the model, BadOption for a
    route that is none, Conflict where the model may not, or nothing says why it should.
    """
    with database.write() as connection:
        return promote_within(
            connection, ref, actor=actor, reason=reason, report_id=report_id, kind=kind, key=key, share=share
        )


def promote_within(
    connection: Connection,
    ref: str,
    *,
    actor: str,
    reason: str = "",
    report_id: str | None = None,
    kind: str = Kind.LIVE,
    key: str = "",
    share: float = 1.0,
) -> Change:
    """The same in a transaction that is open already."""
    wanted = _route(kind, key, share)
    routes.lock(connection)
    model = models.get(connection, ref)
    _check_may_answer(connection, model, wanted)
    route = Route(wanted.kind, wanted.key, model.id, wanted.share, model.language)
    if standing := _standing(connection, route, actor):
        return standing
    before = routes.find(connection, route.kind, route.key)
    if before is not None and before.model_id == model.id:
        action = Action.PROMOTE if before.share == route.share else Action.ROUTE
        return routes.put(connection, route, actor=actor, action=action, reason=_reason(reason))
    report = _report(connection, model, route, actor, _reason(reason), report_id)
    return _take_over(connection, model, route, actor, report, _reason(reason))


def rollback(database: Database, *, actor: str, reason: str = "", kind: str = Kind.LIVE, key: str = "") -> Change:
    """Give a route back to the model that it had before, and at the next call to the one before that.

    A canary and a shadow end, and so does any other route but the live one where no model was before. Raises NotFound
    where there is no such route, Conflict where the live model is the first.
    """
    wanted = _route(kind, key, 1.0)
    with database.write() as connection:
        routes.lock(connection)
        route = _existing(connection, wanted.kind, wanted.key)
        before, reason = _before(connection, route), _reason(reason)
        if before is not None and route.kind not in SHARED:
            earlier = Route(route.kind, route.key, before)
            return routes.put(connection, earlier, actor=actor, action=Action.ROLLBACK, reason=reason)
        if route.kind == Kind.LIVE:
            raise Conflict("There is no earlier live model to go back to; promote another one.", field="kind")
        return routes.drop(connection, route, actor=actor, action=Action.ROLLBACK, reason=reason)


def unroute(database: Database, kind: str, key: str = "", *, actor: str, reason: str = "") -> Change:
    """Let a route end; its sessions are the live model's from then on. Raises NotFound, Conflict for the live route."""
    with database.write() as connection:
        routes.lock(connection)
        route = _existing(connection, kind, tag(key) if kind == Kind.LANGUAGE else key)
        if route.kind == Kind.LIVE:
            raise Conflict("Some model must be live; promote another one instead.", field="kind")
        return routes.drop(connection, route, actor=actor, reason=_reason(reason))


def remove(database: Database, ref: str, *, actor: str, reason: str = "") -> Model:
    """Let a model's bytes be erased; its row stays, so that what it answered can be traced.

    The bytes go with the next `erase_pending`. Raises NotFound, Conflict while a route leads to it.
    """
    with database.write() as connection:
        routes.lock(connection)
        model = models.get(connection, ref)
        if model.status == Status.REMOVED:
            raise NotFound(f"The model {model.ref} was removed already.", field="model")
        if leading := routes.of_model(connection, model.id):
            told = ", ".join(f"{route.kind} {route.key}".strip() for route in leading)
            raise Conflict(f"{model.ref} still answers ({told}); give that to another model first.", field="model")
        _erase(connection, model, actor, _reason(reason))
        return model


def retire(connection: Connection, person_id: str, actor: str) -> int:
    """Let somebody's own models answer nobody and their bytes be erased, because they withdrew; says how many.

    In the caller's transaction, which has begun to write.
    """
    routes.lock(connection)
    own = [model for model in models.listed(connection) if model.person_id == person_id]
    for model in own:
        for route in routes.of_model(connection, model.id):
            routes.drop(connection, route, actor=actor, reason=WITHDRAWN)
        _erase(connection, model, actor, WITHDRAWN)
    return len(own)


def follow_settings(database: Database, model: Model, actor: str = audit.SERVER) -> None:
    """Make a server's own bundle the live model, unless somebody else has chosen one."""
    with database.read() as connection:
        if not _is_ours_to_set(connection, model):
            return
    with database.write() as connection:
        routes.lock(connection)
        if _is_ours_to_set(connection, model):
            routes.put(connection, Route(Kind.LIVE, "", model.id), actor=actor, reason="the server's settings")


def _is_ours_to_set(connection: Connection, model: Model) -> bool:
    route = routes.find(connection, Kind.LIVE)
    if route is None:
        return True
    last = routes.changes_of(connection, Kind.LIVE)[-1]
    return route.model_id != model.id and last.actor == audit.SERVER and last.action == Action.PROMOTE


def _route(kind: str, key: str, share: float) -> Route:
    """What is asked for, as a route without a model. Raises BadOption."""
    if kind not in set(Kind):
        raise BadOption(f"A route is one of {', '.join(Kind)}, not {kind[:40]!r}.", field="kind")
    if (kind in KEYED) != bool(key):
        what = f"A {kind} route needs the {kind} as its key." if kind in KEYED else f"A {kind} route has no key."
        raise BadOption(what, field="key")
    if len(key) > LONGEST_KEY or not key.isprintable():
        raise BadOption(f"A key is {LONGEST_KEY} letters at most.", field="key")
    if not 0 < share <= 1 or (kind not in SHARED and share != 1):
        raise BadOption("Only a canary and a shadow have a share; it is above 0 and 1 at most.", field="share")
    return Route(kind, tag(key) if kind == Kind.LANGUAGE else key, "", share)


def _existing(connection: Connection, kind: str, key: str) -> Route:
    route = routes.find(connection, kind, key)
    if route is None:
        raise NotFound(f"There is no {kind[:40]} route {key[:LONGEST_KEY]}".rstrip() + ".", field="kind")
    return route


def _reason(reason: str) -> str:
    if len(reason) > LONGEST_REASON or "\0" in reason:
        raise BadOption(f"A reason is text of {LONGEST_REASON} letters at most.", field="reason")
    return reason.strip()


def _check_may_answer(connection: Connection, model: Model, route: Route) -> None:
    """Raises Conflict for a removed model, and for somebody's own one but for who it is of, and has not withdrawn."""
    if model.status == Status.REMOVED:
        raise Conflict(f"{model.ref} was removed; import it again.", field="model")
    if model.person_id is not None and (route.kind, route.key) != (Kind.PERSON, model.person_id):
        raise Conflict(f"{model.ref} is a contributor's own model and answers nobody else.", field="model")
    if model.person_id is not None and people.get(connection, model.person_id).withdrawn is not None:
        raise Conflict(f"{model.ref} cannot answer: {WITHDRAWN}.", field="model")


def _standing(connection: Connection, route: Route, actor: str) -> Change | None:
    """The change that made the route what it is to be. What a server has set, somebody may still choose for good."""
    if routes.find(connection, route.kind, route.key) != route:
        return None
    last = routes.changes_of(connection, route.kind, route.key)[-1]
    return last if last.actor != audit.SERVER or actor == audit.SERVER else None


def _report(
    connection: Connection, model: Model, route: Route, actor: str, reason: str, report_id: str | None
) -> str | None:
    """The id of the gate report by which a model takes over; None where something else lets it. Raises Conflict."""
    report = models.passed_report(connection, model.id, report_id)
    live = routes.find(connection, Kind.LIVE)
    beaten = report.base_id if report else None
    stale = report is not None and route.kind == Kind.LIVE and live is not None and beaten not in (None, live.model_id)
    if report is not None and not stale:
        return report.id
    if route.kind == Kind.SHADOW or reason or actor == audit.COMMAND:
        return None
    what = "its gate report is about another model than the live one" if stale else "it has passed no gate"
    raise Conflict(f"{model.ref} cannot take over: {what}. Hold it against the live model, or give a reason.")


def _take_over(
    connection: Connection, model: Model, route: Route, actor: str, report_id: str | None, reason: str
) -> Change:
    if route.kind == Kind.LIVE:
        for tried in routes.of_model(connection, model.id):
            if tried.kind in SHARED:
                routes.drop(connection, tried, actor=actor, reason="live now")
    if route.kind not in SHARED:
        models.set_status(connection, model.id, Status.ACCEPTED)
    ungated = report_id is None and actor == audit.COMMAND and route.kind != Kind.SHADOW
    reason = reason or (UNGATED if ungated else "")
    return routes.put(connection, route, actor=actor, report_id=report_id, reason=reason)


def _erase(connection: Connection, model: Model, actor: str, reason: str) -> None:
    erasures.ask(connection, [model.object_key] if model.object_key else [], now())
    models.forget_bytes(connection, model.id)
    told = {"kind": "", "key": "", "model_id": None, "previous_id": model.id}
    routes.note(connection, actor=actor, action=Action.REMOVE, reason=reason, **told)


def _before(connection: Connection, route: Route) -> str | None:
    """The model that a rollback leads to: promotions lay a model on the pile, a rollback takes one off."""
    pile: list[str] = []
    for change in routes.changes_of(connection, route.kind, route.key):
        if change.model_id is None:
            pile.clear()
        elif change.action == Action.ROLLBACK:
            while pile and pile[-1] != change.model_id:
                pile.pop()
        elif not pile or pile[-1] != change.model_id:
            pile.append(change.model_id)
    known = models.with_ids(connection, pile)
    earlier = [ident for ident in pile[:-1] if known[ident].status != Status.REMOVED and ident != route.model_id]
    return earlier[-1] if earlier else None
