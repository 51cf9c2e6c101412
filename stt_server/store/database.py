"""The database behind a server: a SQLite file in the data folder, or whatever a URL names.

    with database.write() as connection: …            in a thread, or in a command
    await database.run(function, argument, …)         on the event loop: the same in a thread, with a deadline

SQLite runs with a write-ahead log, so that readers never wait for the one writer; a writer takes the lock when it
begins, so that no transaction fails half-way for having read first. PostgreSQL lets many write at once; there a
transaction locks the rows that it decides about (`with_for_update`).
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
from contextlib import ExitStack, closing, contextmanager
from typing import TYPE_CHECKING, Any, Concatenate, Final, ParamSpec, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError, DataError, NoSuchModuleError, SQLAlchemyError

from stt_server.errors import BadInput, BadOption, EarloopError, Unavailable
from stt_server.logs import EventLog
from stt_server.store import migrate
from stt_server.threads import pool

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from sqlalchemy import URL

__all__ = ["Connection", "Database", "open_database"]  # a transaction, as the floors above may name its type

P = ParamSpec("P")
T = TypeVar("T")

FILE: Final = "earloop.db"
BUSY_S: Final = 5.0  # how long one statement waits for another process's write
STATEMENT_S: Final = 60.0  # how long PostgreSQL works on one statement
START_S: Final = 60.0  # the same while tables are being migrated
RUN_S: Final = 10.0  # how long the event loop waits for an answer
THREADS: Final = 2
CONNECTIONS: Final = 5  # that stay open
WAITING: Final = 64  # calls that may wait for a thread; the next is refused

log = EventLog("store")


class Database:
    """An open, migrated database; made by `open_database`. Safe to use from any thread."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._threads = pool(THREADS, "earloop-store")
        self._waiting = 0

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that only reads. Raises Unavailable for whatever the database cannot."""
        with _as_ours(self._engine.url), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def write(self, wait_s: float = BUSY_S) -> Iterator[Connection]:
        """A transaction that may write, committed at the end unless something was raised; waits so long for others."""
        with _as_ours(self._engine.url), self._engine.connect() as plain:
            connection = plain.execution_options(wait_s=wait_s)
            with connection.begin():
                yield connection

    @contextmanager
    def alone(self) -> Iterator[Connection]:
        """A connection to PostgreSQL whose statements stand alone, in no transaction: to listen for what it tells."""
        with _as_ours(self._engine.url), self._engine.connect() as plain:
            yield plain.execution_options(isolation_level="AUTOCOMMIT")

    async def run(self, work: Callable[Concatenate[Database, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """`work(database, …)` in a thread. Raises Unavailable when it takes more than `RUN_S` or too much waits.

        A call that was given up still ends in its thread, by the deadlines of the database's own.
        """
        if self._waiting >= WAITING:
            raise Unavailable("The database is too slow for what is asked of it; try again later.")
        self._waiting += 1
        call = asyncio.get_running_loop().run_in_executor(self._threads, lambda: work(self, *args, **kwargs))
        call.add_done_callback(self._done)
        try:
            return await asyncio.wait_for(asyncio.shield(call), RUN_S)
        except TimeoutError:
            raise Unavailable(f"The database did not answer within {RUN_S:g} s; try again later.") from None

    def open_all(self) -> None:
        """Open every connection to a SQLite file that stays open, so that a server holds no more later than at first.

        PostgreSQL counts connections for all its clients: there they come when they are needed. Raises Unavailable.
        """
        if self._engine.dialect.name != "sqlite":
            return
        with _as_ours(self._engine.url), ExitStack() as connections:
            for _ in range(CONNECTIONS):
                connections.enter_context(self._engine.connect())

    def scrub(self) -> bool:
        """Leave nothing of deleted rows in SQLite's files; False while somebody still reads or writes them.

        The file is written anew, for `secure_delete` overwrites a row where it was last and not where it was before:
        when SQLite shares a full page among its neighbours, copies of the rows that moved stay in what is free of it.
        Then the write-ahead log is emptied. PostgreSQL does the same by itself, in its autovacuum.
        """
        if self._engine.dialect.name != "sqlite":
            return True
        with (
            _as_ours(self._engine.url),
            closing(self._engine.raw_connection()) as connection,
            closing(connection.cursor()) as cursor,
        ):
            cursor.execute(f"PRAGMA busy_timeout = {round(BUSY_S * 1000)}")
            try:
                cursor.execute("VACUUM")
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                    raise
                return False
            cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            busy, *_ = cursor.fetchone() or (1,)
        return not busy

    @property
    def backend(self) -> str:
        """`sqlite` or `postgresql`."""
        return self._engine.dialect.name

    @property
    def place(self) -> str:
        """Where it is, without a password."""
        return _place(self._engine.url)

    def close(self) -> None:
        self._threads.shutdown(wait=True, cancel_futures=True)
        self._engine.dispose()

    def _done(self, call: asyncio.Future[Any]) -> None:
        self._waiting -= 1
        if not call.cancelled():
            call.exception()  # nobody may be left to ask for it


def open_database(data: Path, url: str = "", *, as_it_is: bool = False) -> Database:
    """The database at `url`, else the file in the data folder, made where there is none.

    It is upgraded where it is old, unless wanted as it is. Raises BadOption for a URL that is none, Unavailable for a
    database that is damaged or cannot be reached or written, Conflict for one that a newer Earloop has changed.
    """
    database = Database(_engine(data, url))
    try:
        if not as_it_is:
            _upgrade(database)
    except BaseException:
        database.close()
        raise
    return database


def _upgrade(database: Database) -> None:
    with database.write(START_S) as connection:
        before = migrate.revision(connection)
        if migrate.upgrade(connection) and before:
            log.info("database_upgraded", before=before, now=migrate.newest_revision())
        connection.execute(text("UPDATE alembic_version SET version_num = version_num"))  # can it be written?


def _engine(data: Path, url: str) -> Engine:
    place = _url(url) if url else _file_url(data)
    if place.get_backend_name() == "postgresql":
        return _postgres(place)
    with _as_ours(place):
        _make_private(place)
        engine = create_engine(
            place,
            pool_size=CONNECTIONS,
            pool_timeout=BUSY_S,
            connect_args={"timeout": BUSY_S},
            hide_parameters=True,
        )
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _postgres(place: URL) -> Engine:
    deadlines = f"-c lock_timeout={round(BUSY_S * 1000)} -c statement_timeout={round(STATEMENT_S * 1000)}"
    arguments = {"connect_timeout": round(BUSY_S), "options": deadlines}
    try:
        options: dict[str, Any] = {"pool_pre_ping": True, "pool_timeout": BUSY_S, "connect_args": arguments}
        engine = create_engine(place, **options, hide_parameters=True)  # a traceback must not hold what was said
    except ModuleNotFoundError as error:
        raise BadOption(
            f"A database in PostgreSQL needs {error.name}: install earloop[postgres].", field="database"
        ) from error
    event.listen(engine, "begin", _begin_postgres)
    return engine


def _url(url: str) -> URL:
    try:
        place = make_url(url)
        backend = place.get_backend_name()
    except (ArgumentError, NoSuchModuleError) as error:
        raise _no_url() from error
    if backend != "postgresql" and not (backend == "sqlite" and place.database):
        raise _no_url()
    return place.set(drivername="postgresql+psycopg") if place.drivername == "postgresql" else place


def _no_url() -> BadOption:
    return BadOption(
        "Setting database takes a URL such as postgresql://user@host/earloop, or nothing for a file in the "
        "data folder.",
        field="database",
    )


def _file_url(data: Path) -> URL:
    try:
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        why = f"{error.strerror}: {error.filename}"
        raise Unavailable(f"The data folder {data} cannot be made ({why}); choose one with --data.") from error
    return make_url("sqlite://").set(database=str(data / FILE))


def _make_private(place: URL) -> None:
    """Make the file so that only its owner may read it; SQLite gives the same rights to the files beside it."""
    path = place.database or ""
    if not path.startswith("file:"):  # a URI of SQLite's own
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))


def _prepare_sqlite(connection: sqlite3.Connection, _: object) -> None:
    connection.isolation_level = None  # no transactions of Python's own; `_begin_sqlite` says when
    for statement in (
        "PRAGMA journal_mode = WAL",
        "PRAGMA synchronous = NORMAL",
        "PRAGMA foreign_keys = ON",
        "PRAGMA secure_delete = ON",  # what is withdrawn is overwritten, not only unlinked; `scrub` does the rest
    ):
        connection.execute(statement).close()


def _begin_sqlite(connection: Connection) -> None:
    wait_s = connection.get_execution_options().get("wait_s")
    if wait_s is None:
        connection.exec_driver_sql("BEGIN")
    else:
        connection.exec_driver_sql(f"PRAGMA busy_timeout = {round(wait_s * 1000)}")
        connection.exec_driver_sql("BEGIN IMMEDIATE")


def _begin_postgres(connection: Connection) -> None:
    if (wait_s := connection.get_execution_options().get("wait_s")) not in (None, BUSY_S):
        connection.exec_driver_sql(f"SET LOCAL lock_timeout = {round(wait_s * 1000)}")


@contextmanager
def _as_ours(url: URL) -> Iterator[None]:
    """What a database or disk cannot, as an Unavailable that says what to do; what none could, as BadInput."""
    try:
        yield
    except EarloopError:
        raise
    except (DataError, UnicodeEncodeError) as error:  # a NUL, half a surrogate pair, a text too long for its column
        raise BadInput("The database cannot keep a text that was sent: it is too long, or no text.") from error
    except (SQLAlchemyError, sqlite3.Error, OSError) as error:
        raise Unavailable(_sentence(url, getattr(error, "orig", None) or error)) from error


# What PostgreSQL calls faults that SQLite has a number for: a lock not given in time, a deadlock, a full disk.
_POSTGRES: Final = {"55P03": sqlite3.SQLITE_BUSY, "40P01": sqlite3.SQLITE_BUSY, "53100": sqlite3.SQLITE_FULL}


def _sentence(url: URL, error: BaseException) -> str:
    code = _POSTGRES.get(getattr(error, "sqlstate", None) or "", getattr(error, "sqlite_errorcode", 0) & 0xFF)
    remedies = {
        sqlite3.SQLITE_CORRUPT: "is damaged; restore a backup, or move it away to begin with an empty one",
        sqlite3.SQLITE_NOTADB: "is no database, or damaged; restore a backup, or move it away",
        sqlite3.SQLITE_READONLY: "cannot be written; give its folder and file to the user that runs Earloop",
        sqlite3.SQLITE_CANTOPEN: "cannot be opened; give its folder and file to the user that runs Earloop",
        sqlite3.SQLITE_FULL: "is on a disk that is full; make room",
        sqlite3.SQLITE_BUSY: "is locked by another process; stop that one, or try again",
    }
    if isinstance(error, PermissionError | IsADirectoryError):
        code = sqlite3.SQLITE_CANTOPEN
    return f"The database {_place(url)} {remedies.get(code) or f'cannot be used: {str(error).splitlines()[0]}'}."


def _place(url: URL) -> str:
    file = url.database if url.get_backend_name() == "sqlite" else None
    return file or url.render_as_string(hide_password=True)
