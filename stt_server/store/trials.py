"""What came of the streams of a canary and of the live model since a trial began, over all servers: counts alone.

A trial's number is that of the change of the routes that began it (`current`), the same on every server. Servers add
what they have counted since they last did; several may at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import func, or_, select

from stt_server.store.routes import Action, Kind
from stt_server.store.tables import ROUTE_CHANGES, TRIAL_COUNTS
from stt_server.store.upsert import insert_into

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Connection

COUNTED: Final = ("streams", "failed", "utterances", "empty", "worded", "confidence", "confidence_squared")
_BEGIN: Final = (Action.PROMOTE, Action.ROLLBACK)


def current(connection: Connection) -> int:
    """The number of the last change by which canary or live route came to lead to another model; 0 before the first."""
    change = ROUTE_CHANGES.c
    other = or_(change.previous_id.is_(None), change.previous_id != change.model_id)
    began = select(func.max(change.id)).where(
        change.kind.in_((Kind.CANARY, Kind.LIVE)), change.action.in_(_BEGIN), other
    )
    return connection.scalar(began) or 0


def add(connection: Connection, trial: int, model_id: str, counts: Mapping[str, float]) -> None:
    """Add to what was counted of a model in a trial; `counts` has all that is `COUNTED`."""
    row = insert_into(connection, TRIAL_COUNTS).values(trial=trial, model_id=model_id, **counts)
    summed: dict[str, Any] = {name: TRIAL_COUNTS.c[name] + row.excluded[name] for name in COUNTED}
    keys = [TRIAL_COUNTS.c.trial, TRIAL_COUNTS.c.model_id]
    connection.execute(row.on_conflict_do_update(index_elements=keys, set_=summed))


def of(connection: Connection, trial: int, model_id: str) -> dict[str, Any]:
    """All that was counted of a model in a trial; nothing where nothing was."""
    columns = [TRIAL_COUNTS.c[name] for name in COUNTED]
    ours = (TRIAL_COUNTS.c.trial == trial, TRIAL_COUNTS.c.model_id == model_id)
    row = connection.execute(select(*columns).where(*ours)).one_or_none()
    return {} if row is None else dict(row._mapping)
