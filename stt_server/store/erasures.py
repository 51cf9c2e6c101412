"""Bytes that nothing points to any more. The row that names them is written where the last pointer is deleted, in the
same transaction, and goes when the bytes are gone: a crash between the two is made good by whoever looks next.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import delete, func, insert, select

from stt_server.store.tables import ERASURES

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy import Connection


def ask(connection: Connection, object_keys: Sequence[str], now: datetime) -> None:
    """Have these objects deleted. A key is asked for once: no two clips share one."""
    if object_keys:
        connection.execute(insert(ERASURES), [{"object_key": key, "asked": now} for key in object_keys])


def pending(connection: Connection, limit: int, after: str = "") -> list[str]:
    """Keys whose bytes must go, in the order of the keys, from one of them on."""
    query = select(ERASURES.c.object_key).where(ERASURES.c.object_key > after).order_by(ERASURES.c.object_key)
    return list(connection.scalars(query.limit(limit)))


def count(connection: Connection) -> int:
    """How many objects must still go."""
    return connection.scalar(select(func.count()).select_from(ERASURES)) or 0


def done(connection: Connection, object_keys: Sequence[str]) -> None:
    """Their bytes are gone."""
    connection.execute(delete(ERASURES).where(ERASURES.c.object_key.in_(object_keys)))
