"""Waiting until somebody changes the catalog, in this process or in another one.

PostgreSQL tells: the wait is a connection that listens. SQLite cannot tell other processes anything, so there the
newest revision is read again and again: one look into an index, which takes no lock that a writer waits for.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from stt_server.errors import Unavailable
from stt_server.store import routes

if TYPE_CHECKING:
    from stt_server.store.database import Connection, Database

POLL_S: Final = 0.25  # of the 2 s within which every server must follow


def wait_for_change(database: Database, known: int, timeout_s: float) -> int:
    """The catalog's revision as soon as it is another one than `known`, or what it is after `timeout_s`.

    Blocking, for a thread. A change that came before the call is seen at once. Raises Unavailable where the database
    is away, or goes away while this waits.
    """
    deadline = time.monotonic() + timeout_s
    if database.backend == "postgresql":
        with database.alone() as connection:
            return _listen(connection, known, deadline)
    return _poll(database, known, deadline)


def current(database: Database) -> int:
    """The catalog's revision now."""
    with database.read() as connection:
        return routes.revision(connection)


def _poll(database: Database, known: int, deadline: float) -> int:
    while (found := current(database)) == known and (left := deadline - time.monotonic()) > 0:
        time.sleep(min(POLL_S, left))
    return found


def _listen(connection: Connection, known: int, deadline: float) -> int:
    """Listening begins before the revision is read, so nothing falls between the two."""
    raw = connection.connection.driver_connection
    assert raw is not None, "a connection that is open"
    connection.exec_driver_sql(f"LISTEN {routes.CHANNEL}")
    try:
        while (found := routes.revision(connection)) == known and (left := deadline - time.monotonic()) > 0:
            for _ in raw.notifies(timeout=left, stop_after=1):
                pass
    except connection.dialect.loaded_dbapi.Error as error:  # the driver's own, for SQLAlchemy did not call it
        connection.invalidate()
        raise Unavailable("The database went away while its catalog was watched.") from error
    connection.exec_driver_sql(f"UNLISTEN {routes.CHANNEL}")
    return found
