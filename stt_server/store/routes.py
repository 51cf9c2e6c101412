"""Routes: which model hears which sessions. The live model is the route of kind `live`.

| kind | key | share | its sessions |
| --- | --- | --- | --- |
| `live` | "" | 1 | all that no other route takes |
| `language` | a language | 1 | those that say they speak it |
| `name` | a name | 1 | those that ask for it |
| `person` | a person's id | 1 | those of one contributor |
| `canary` | "" | of the live route's | some of those that the live model would hear |
| `shadow` | "" | of the live route's | some of the same, which it hears in silence |

Every write leaves a row in `route_changes`: they are the history, and the id of the newest is the revision that servers
follow. Writers take `lock` first, so that revisions are committed in the order of their numbers and none is overlooked.
On PostgreSQL each write also notifies the channel `CHANNEL`, when the transaction commits.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import and_, delete, func, insert, select, text, update

from stt_server.store.ids import new_id
from stt_server.store.ring import now
from stt_server.store.tables import MODELS, ROUTE_CHANGES, ROUTES

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection, Row

CHANNEL: Final = "earloop_catalog"
ADVISORY_LOCK: Final = 0x636174616C6F67  # "catalog"


class Kind(StrEnum):
    """What a route goes by."""

    LIVE = "live"
    LANGUAGE = "language"
    NAME = "name"
    PERSON = "person"
    CANARY = "canary"
    SHADOW = "shadow"


class Action(StrEnum):
    """What was done to a route."""

    PROMOTE = "promote"  # a model was put there
    ROLLBACK = "rollback"  # the one before was
    ROUTE = "route"  # another share
    UNROUTE = "unroute"  # the route is gone
    REMOVE = "remove"  # no route's: a model was removed


KEYED: Final = frozenset({Kind.LANGUAGE, Kind.NAME, Kind.PERSON})  # of these there are many, told apart by keys
SHARED: Final = frozenset({Kind.CANARY, Kind.SHADOW})  # these take a share of sessions


@dataclass(frozen=True, slots=True)
class Route:
    """A row of `routes`, with the language of its model."""

    kind: str
    key: str
    model_id: str
    share: float = 1.0
    language: str = ""


@dataclass(frozen=True, slots=True)
class Change:
    """A row of `route_changes`; its id is the catalog's revision from then on."""

    id: int
    moment: datetime
    actor: str
    action: str
    kind: str
    key: str
    model_id: str | None
    previous_id: str | None
    report_id: str | None
    reason: str

    @property
    def ungated(self) -> bool:
        """A model was put there that no gate had passed."""
        return self.action == Action.PROMOTE and self.report_id is None


def lock(connection: Connection) -> None:
    """Keep others from changing the catalog until the transaction ends; SQLite's writers keep each other out anyway."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": ADVISORY_LOCK})


def revision(connection: Connection) -> int:
    """The id of the newest change; 0 before the first."""
    return connection.scalar(select(func.max(ROUTE_CHANGES.c.id))) or 0


def every(connection: Connection) -> list[Route]:
    """All routes by kind and key."""
    joined = select(ROUTES, MODELS.c.language).join(MODELS, MODELS.c.id == ROUTES.c.model_id)
    return [_route(row) for row in connection.execute(joined.order_by(ROUTES.c.kind, ROUTES.c.key))]


def find(connection: Connection, kind: str, key: str = "") -> Route | None:
    """One of them."""
    query = select(ROUTES, MODELS.c.language).join(MODELS, MODELS.c.id == ROUTES.c.model_id)
    row = connection.execute(query.where(ROUTES.c.kind == kind, ROUTES.c.key == key)).one_or_none()
    return None if row is None else _route(row)


def of_model(connection: Connection, model_id: str) -> list[Route]:
    """Those that lead to a model."""
    return [route for route in every(connection) if route.model_id == model_id]


def changes(connection: Connection, limit: int | None = None) -> list[Change]:
    """The newest first."""
    return [_change(row) for row in connection.execute(_newest_first().limit(limit))]


def changes_of(connection: Connection, kind: str, key: str = "") -> list[Change]:
    """What was done to one route, the oldest first."""
    query = select(ROUTE_CHANGES).where(ROUTE_CHANGES.c.kind == kind, ROUTE_CHANGES.c.key == key)
    return [_change(row) for row in connection.execute(query.order_by(ROUTE_CHANGES.c.id))]


def put(
    connection: Connection,
    route: Route,
    *,
    actor: str,
    action: Action = Action.PROMOTE,
    report_id: str | None = None,
    reason: str = "",
) -> Change:
    """Let a route lead to a model, made where there is none. The caller holds `lock`."""
    before = find(connection, route.kind, route.key)
    told = {"model_id": route.model_id, "share": route.share}
    if before is None:
        row = {"id": new_id(), "kind": route.kind, "key": route.key}
        connection.execute(insert(ROUTES).values(row | told))
    else:
        connection.execute(update(ROUTES).where(_is(route.kind, route.key)).values(told))
    return note(
        connection,
        actor=actor,
        action=action,
        kind=route.kind,
        key=route.key,
        model_id=route.model_id,
        previous_id=before.model_id if before else None,
        report_id=report_id,
        reason=reason,
    )


def drop(
    connection: Connection, route: Route, *, actor: str, action: Action = Action.UNROUTE, reason: str = ""
) -> Change:
    """Let a route be gone. The caller holds `lock`."""
    connection.execute(delete(ROUTES).where(_is(route.kind, route.key)))
    ended = {"kind": route.kind, "key": route.key, "previous_id": route.model_id}
    return note(connection, actor=actor, action=action, reason=reason, model_id=None, **ended)


def note(connection: Connection, **told: Any) -> Change:
    """Write down what was done, and tell those who follow."""
    row = {"moment": now(), "report_id": None, **told}
    result = connection.execute(insert(ROUTE_CHANGES).values(row).returning(ROUTE_CHANGES))
    change = _change(result.one())
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_notify(:channel, :id)"), {"channel": CHANNEL, "id": str(change.id)})
    return change


def _is(kind: str, key: str) -> Any:
    return and_(ROUTES.c.kind == kind, ROUTES.c.key == key)


def _newest_first() -> Any:
    return select(ROUTE_CHANGES).order_by(ROUTE_CHANGES.c.id.desc())


def _route(row: Row[Any]) -> Route:
    return Route(row.kind, row.key, row.model_id, row.share, row.language)


def _change(row: Row[Any]) -> Change:
    return Change(**row._mapping)
