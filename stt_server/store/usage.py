"""Seconds of audio per key and day of UTC."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import func, select
from sqlalchemy.dialects import postgresql, sqlite

from stt_server.store.tables import KEY_USAGE

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    from sqlalchemy import Connection


def add(connection: Connection, used: Mapping[tuple[str, date], float]) -> None:
    """Add seconds to what keys used on days, given as {(key id, day): seconds}. Several servers may add at once."""
    for (ident, day), seconds in used.items():
        row = _insert(connection).values(key_id=ident, day=day, audio_s=seconds)
        summed = {"audio_s": KEY_USAGE.c.audio_s + row.excluded.audio_s}
        connection.execute(row.on_conflict_do_update(index_elements=[KEY_USAGE.c.key_id, KEY_USAGE.c.day], set_=summed))


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


def _insert(connection: Connection) -> sqlite.Insert | postgresql.Insert:
    """An insert that can say what to do about a row that is there: one spelling, two classes."""
    return sqlite.insert(KEY_USAGE) if connection.dialect.name == "sqlite" else postgresql.insert(KEY_USAGE)
