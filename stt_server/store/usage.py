"""Seconds of audio per key and day of UTC, and by which models they were heard."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sqlalchemy import func, select

from stt_server.store.tables import KEY_USAGE, MODEL_USAGE
from stt_server.store.upsert import insert_into

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    from sqlalchemy import Connection


LONGEST_MODEL: Final = 100  # letters of a name


@dataclass(frozen=True, slots=True)
class Used:
    """What one model did for one key on a day."""

    audio_s: float = 0.0
    streams: int = 0
    uploads: int = 0

    def __add__(self, other: Used) -> Used:
        return Used(self.audio_s + other.audio_s, self.streams + other.streams, self.uploads + other.uploads)


def add(connection: Connection, used: Mapping[tuple[str, date], float]) -> None:
    """Add seconds to what keys used on days, given as {(key id, day): seconds}. Several servers may add at once."""
    for (ident, day), seconds in used.items():
        row = insert_into(connection, KEY_USAGE).values(key_id=ident, day=day, audio_s=seconds)
        summed = {"audio_s": KEY_USAGE.c.audio_s + row.excluded.audio_s}
        connection.execute(row.on_conflict_do_update(index_elements=[KEY_USAGE.c.key_id, KEY_USAGE.c.day], set_=summed))


def add_models(connection: Connection, used: Mapping[tuple[str, date, str], Used]) -> None:
    """Add what models did, given as {(key id, day, model): used}. Several servers may add at once."""
    at = [MODEL_USAGE.c.key_id, MODEL_USAGE.c.day, MODEL_USAGE.c.model]
    for (ident, day, model), more in used.items():
        counts = {name: getattr(more, name) for name in Used.__slots__}
        row = insert_into(connection, MODEL_USAGE).values(key_id=ident, day=day, model=model[:LONGEST_MODEL], **counts)
        summed = {name: MODEL_USAGE.c[name] + row.excluded[name] for name in counts}
        connection.execute(row.on_conflict_do_update(index_elements=at, set_=summed))


def by_model(
    connection: Connection, first: date, last: date, key_id: str | None = None
) -> list[tuple[str, date, str, Used]]:
    """(key id, day, model, used) by day, of all keys or one, these days included."""
    query = select(MODEL_USAGE).where(MODEL_USAGE.c.day.between(first, last))
    if key_id is not None:
        query = query.where(MODEL_USAGE.c.key_id == key_id)
    rows = connection.execute(query.order_by(MODEL_USAGE.c.day, MODEL_USAGE.c.key_id, MODEL_USAGE.c.model))
    return [(row.key_id, row.day, row.model, Used(row.audio_s, row.streams, row.uploads)) for row in rows]


def of_day(connection: Connection, day: date) -> dict[str, float]:
    """What each key used on that day, in seconds."""
    rows = connection.execute(select(KEY_USAGE.c.key_id, KEY_USAGE.c.audio_s).where(KEY_USAGE.c.day == day))
    return {row.key_id: row.audio_s for row in rows}


def in_all(connection: Connection) -> dict[str, float]:
    """What each key used since it was made, in seconds."""
    total = func.sum(KEY_USAGE.c.audio_s).label("total")
    return {
        row.key_id: row.total
        for row in connection.execute(select(KEY_USAGE.c.key_id, total).group_by(KEY_USAGE.c.key_id))
    }
