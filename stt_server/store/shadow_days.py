"""What a candidate heard otherwise than the model that answered, per day of UTC: counts, never words."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from stt_server.store.tables import SHADOW_DAYS
from stt_server.store.upsert import insert_into

if TYPE_CHECKING:
    from datetime import date

    from sqlalchemy import Connection


@dataclass(frozen=True, slots=True)
class Pair:
    """A day, the model in the shadow and the one that answered."""

    day: date
    model_id: str
    live_id: str


@dataclass(frozen=True, slots=True)
class Figures:
    """`differing` of `utterances` had other words; `edits` lie between the `words` answered and the shadow's."""

    utterances: int = 0
    differing: int = 0
    words: int = 0
    edits: int = 0


def add(connection: Connection, pair: Pair, figures: Figures) -> None:
    """Add to what was counted. Several servers may add at once."""
    added = asdict(figures)
    row = insert_into(connection, SHADOW_DAYS).values(asdict(pair) | added)
    summed: dict[str, Any] = {name: SHADOW_DAYS.c[name] + row.excluded[name] for name in added}
    keys = [SHADOW_DAYS.c.day, SHADOW_DAYS.c.model_id, SHADOW_DAYS.c.live_id]
    connection.execute(row.on_conflict_do_update(index_elements=keys, set_=summed))


def since(connection: Connection, day: date) -> dict[Pair, Figures]:
    """All of that day and later ones, the oldest first."""
    ordered = select(SHADOW_DAYS).where(SHADOW_DAYS.c.day >= day).order_by(SHADOW_DAYS.c.day, SHADOW_DAYS.c.model_id)
    return {
        Pair(row.day, row.model_id, row.live_id): Figures(row.utterances, row.differing, row.words, row.edits)
        for row in connection.execute(ordered)
    }
