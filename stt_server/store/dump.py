"""A whole database as one file, and back, while others read and write it.

SQLite copies itself by its online backup (https://sqlite.org/backup.html), in one transaction, so that no half of an
act is in it. PostgreSQL is left to its own programs, pg_dump and pg_restore, which must be installed where this runs.
What servers sign with is in neither: who finds a backup must not be able to log in with it.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sqlalchemy import inspect, make_url

from stt_server.errors import Conflict, Unavailable, Unsupported
from stt_server.store.database import FILE, open_database
from stt_server.store.tables import SECRETS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import URL, Connection

    from stt_server.store.database import Database

SQLITE: Final = "sqlite"
POSTGRESQL: Final = "postgresql"
LONGEST_S: Final = 4 * 3600.0  # that a program of PostgreSQL may take


def dump(database: Database, path: Path) -> str:
    """Write all rows into a file that is not there yet; says of which kind it is.

    Raises Unavailable where it cannot, Unsupported without pg_dump.
    """
    with database.read() as connection:
        if connection.dialect.name == SQLITE:
            _copy(connection, path)
            return SQLITE
        url = connection.engine.url
    options = ["--format=custom", "--no-owner", "--no-privileges", f"--exclude-table-data={SECRETS.name}"]
    _run("pg_dump", url, [*options, f"--file={path}"])
    return POSTGRESQL


def load(path: Path, kind: str, data: Path, url: str = "") -> None:
    """Let a database that is empty or not there be what a file says, upgraded to this program where it is older.

    Raises Conflict for one that is not empty, of another kind than the file, or changed by a newer Earloop;
    Unavailable, Unsupported.
    """
    check_empty(data, url, kind)
    if kind == SQLITE:
        path.chmod(0o600)
        _check(path)
        _file(data, url).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.replace(_file(data, url))
    else:
        with closing(open_database(data, url, as_it_is=True)) as database, database.read() as connection:
            place = connection.engine.url
        options = ["--no-owner", "--no-privileges", "--exit-on-error", "--single-transaction"]
        _run("pg_restore", place, [*options, str(path)])
    open_database(data, url).close()


def check_empty(data: Path, url: str, kind: str) -> None:
    """Raises Conflict where something would be overwritten, or where a backup is of another kind of database."""
    if kind != (make_url(url).get_backend_name() if url else SQLITE):
        raise Conflict(f"The backup is of a database in {kind}; restore it into one: see the setting `database`.")
    if kind == SQLITE:
        if _file(data, url).exists():
            raise Conflict(f"There is a database at {_file(data, url)} already; restore elsewhere, or move it away.")
        return
    with closing(open_database(data, url, as_it_is=True)) as database, database.read() as connection:
        if inspect(connection).get_table_names():
            raise Conflict(f"The database {database.place} is not empty; restore into a new one.")


def _file(data: Path, url: str) -> Path:
    return Path(make_url(url).database or "") if url else data / FILE


def _copy(connection: Connection, path: Path) -> None:
    """The file again, vacuumed: nothing that was deleted is left in its free pages."""
    source = connection.connection.driver_connection
    assert isinstance(source, sqlite3.Connection)
    with closing(sqlite3.connect(path, isolation_level=None)) as target:
        path.chmod(0o600)
        source.backup(target)
        target.execute(f"DELETE FROM {SECRETS.name}")  # noqa: S608 - a name of ours
        target.execute("PRAGMA journal_mode = DELETE")  # one file, whatever its source was
        target.execute("VACUUM")


def _check(path: Path) -> None:
    try:
        with closing(sqlite3.connect(path)) as connection:
            (found,) = connection.execute("PRAGMA integrity_check").fetchone()
    except sqlite3.Error as error:
        raise Unavailable(f"The database in the backup is damaged: {error}.") from error
    if found != "ok":
        raise Unavailable(f"The database in the backup is damaged: {found}.")


def _run(name: str, url: URL, options: Sequence[str]) -> None:
    """A program of PostgreSQL's. The password goes by its environment: arguments are everybody's to read."""
    program = shutil.which(name)
    if program is None:
        raise Unsupported(
            f"{name} is not installed here; install PostgreSQL's client programs of the server's version, or newer."
        )
    plain = url.set(drivername=POSTGRESQL, password=None).render_as_string()
    password = {"PGPASSWORD": str(url.password)} if url.password else {}
    command = [program, f"--dbname={plain}", "--no-password", *options]
    try:
        done = subprocess.run(
            command, env={**os.environ, **password}, capture_output=True, text=True, timeout=LONGEST_S, check=False
        )
    except subprocess.TimeoutExpired:
        raise Unavailable(f"{name} took more than {LONGEST_S / 3600:g} hours.") from None
    if done.returncode:
        raise Unavailable(f"{name} failed: {(done.stderr.strip().splitlines() or ['it said nothing'])[-1]}")
