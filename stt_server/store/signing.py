"""The secret that the servers over one database sign cookies and links with: 256 random bits, made at first need.

It is in the database and not in a file, so that whoever logs in at one server is known at the others. A backup does not
hold it: who finds one must not be able to sign.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Final

from sqlalchemy import delete, insert, select

from stt_server.store import migrate
from stt_server.store.tables import SECRETS

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from stt_server.store.database import Database

NAME: Final = "signing"
BYTES: Final = 32


def secret(database: Database) -> bytes:
    """The secret; of two servers that start at once one makes it and both have it."""
    with database.read() as connection:
        found = _find(connection)
    if found is not None:
        return found
    with database.write() as connection:
        migrate.lock(connection)
        found = _find(connection)
        if found is None:
            found = secrets.token_bytes(BYTES)
            connection.execute(insert(SECRETS).values(name=NAME, value=found))
        return found


def forget(connection: Connection) -> None:
    """Take it out: the next server makes another, and whoever is logged in logs in again."""
    connection.execute(delete(SECRETS).where(SECRETS.c.name == NAME))


def _find(connection: Connection) -> bytes | None:
    found: bytes | None = connection.scalar(select(SECRETS.c.value).where(SECRETS.c.name == NAME))
    return found
