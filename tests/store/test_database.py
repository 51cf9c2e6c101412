import asyncio
import shutil
import stat
import subprocess
import sys
import threading
import traceback
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import inspect, select, text

from stt_server.errors import BadInput, BadOption, Conflict, Unavailable
from stt_server.store import database as module
from stt_server.store import datasets, keys, migrate
from stt_server.store.database import Database, open_database
from stt_server.store.rights import Scope
from stt_server.store.tables import KEYS, METADATA

DESCRIPTORS = Path("/proc/self/fd")


@pytest.fixture
def database(tmp_path: Path, database_url: str):
    with closing(open_database(tmp_path / "data", database_url)) as opened:
        yield opened


@pytest.fixture
def file(tmp_path: Path):
    """A database in SQLite, for what concerns its file."""
    with closing(open_database(tmp_path / "data")) as opened:
        yield opened


def test_migrated_from_nothing_the_tables_are_those_the_program_knows(database: Database):
    with database.read() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, METADATA) == []
        assert migrate.revision(connection) == migrate.newest_revision()


def test_the_comparison_can_fail(database: Database):
    with database.write() as connection:
        connection.execute(text("ALTER TABLE keys DROP COLUMN name"))
        assert compare_metadata(MigrationContext.configure(connection), METADATA) != []


def test_only_the_owner_may_read_what_is_kept(file: Database, tmp_path: Path):
    with file.write() as connection:
        connection.execute(text("DELETE FROM key_usage"))
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "data").iterdir()}
    assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o700
    assert set(modes) == {"earloop.db", "earloop.db-wal", "earloop.db-shm"}
    assert set(modes.values()) == {0o600}


def test_a_folder_that_is_there_keeps_its_rights(tmp_path: Path):
    tmp_path.chmod(0o755)
    open_database(tmp_path).close()
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755


def test_a_second_start_finds_nothing_to_do(database: Database):
    with database.write() as connection:
        assert migrate.upgrade(connection) is False


def test_servers_that_start_at_once_over_nothing_all_come_up(tmp_path: Path, database_url: str):
    program = "import sys; from pathlib import Path; from stt_server.store.database import open_database as o; "
    command = [sys.executable, "-c", program + "o(Path(sys.argv[1]), sys.argv[2]).close()", str(tmp_path), database_url]
    processes = [subprocess.Popen(command, stderr=subprocess.PIPE) for _ in range(5)]
    assert [process.communicate(timeout=60)[1] for process in processes] == [b""] * 5
    assert [process.returncode for process in processes] == [0] * 5


def test_a_database_of_an_earlier_version_is_upgraded_with_its_rows(tmp_path: Path, database_url: str):
    """From 0003, which once gave a model's place 200 letters; SQLite never kept to that."""
    row = "INSERT INTO datasets (id, name, description, licence, created, created_by) VALUES "
    with closing(open_database(tmp_path, database_url, as_it_is=True)) as early, early.write() as connection:
        config = migrate._config()
        config.attributes["connection"] = connection
        command.upgrade(config, "0003")
        connection.execute(text(row + "('a', 'kitchen', '', '', '2026-01-01', 'somebody')"))
        if database_url:
            connection.execute(text("ALTER TABLE models ALTER COLUMN place TYPE VARCHAR(200)"))
    with closing(open_database(tmp_path, database_url)) as upgraded, upgraded.read() as connection:
        assert compare_metadata(MigrationContext.configure(connection), METADATA) == []
        assert [(each.name, each.removed) for each in datasets.every(connection)] == [("kitchen", None)]


def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path):
    (tmp_path / "earloop.db").write_bytes(b"this is no database" * 300)
    with pytest.raises(Unavailable, match=r"earloop\.db is no database, or damaged; restore a backup"):
        open_database(tmp_path)
    assert (tmp_path / "earloop.db").read_bytes().startswith(b"this is no database")


def test_a_damaged_database_is_refused(tmp_path: Path):
    open_database(tmp_path).close()
    with (tmp_path / "earloop.db").open("r+b") as file:
        file.seek(100)
        file.write(b"\xff" * 8000)
    with pytest.raises(Unavailable, match=r"earloop\.db is (no database, or )?damaged"):
        open_database(tmp_path)


def test_a_database_that_cannot_be_written_is_refused(tmp_path: Path):
    open_database(tmp_path).close()
    with pytest.raises(Unavailable, match="cannot be written"):
        open_database(tmp_path, f"sqlite:///file:{tmp_path}/earloop.db?mode=ro&uri=true")


def test_a_data_folder_that_cannot_be_made_is_refused(tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(Unavailable, match=r"cannot be made .*choose one with --data"):
        open_database(tmp_path / "file" / "data")


def test_a_folder_in_the_place_of_the_file_is_refused(tmp_path: Path):
    (tmp_path / "earloop.db").mkdir()
    with pytest.raises(Unavailable, match="cannot be opened"):
        open_database(tmp_path)


def test_a_database_of_a_newer_program_is_refused_and_left_alone(tmp_path: Path, database_url: str):
    with closing(open_database(tmp_path, database_url)) as database:
        with database.write() as connection:
            connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
        with pytest.raises(Conflict, match=r"revision 9999, which this Earloop does not know.*newer"):
            open_database(tmp_path, database_url)
        with database.read() as connection:
            assert connection.execute(text("SELECT version_num FROM alembic_version")).all() == [("9999",)]


def test_a_migration_that_fails_leaves_the_database_as_it_was(
    tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
):
    folder = tmp_path / "migrations"
    shutil.copytree(migrate.FOLDER, folder)
    broken = "from alembic import op\nrevision, down_revision = '0000', None\n"
    broken += "def upgrade():\n    op.execute('CREATE TABLE half (id INTEGER)')\n    op.execute('nonsense')\n"
    shutil.rmtree(folder / "versions")
    (folder / "versions").mkdir()
    (folder / "versions" / "v0000_broken.py").write_text(broken)
    monkeypatch.setattr(migrate, "FOLDER", folder)
    with pytest.raises(Unavailable, match="nonsense"):
        open_database(tmp_path, database_url)
    with closing(open_database(tmp_path, database_url, as_it_is=True)) as left, left.read() as connection:
        assert inspect(connection).get_table_names() == []


@pytest.mark.parametrize("url", ["nonsense", "mysql://host/earloop", "sqlite://", "no+such://host/earloop"])
def test_a_url_that_names_no_database_of_ours_is_a_bad_option(tmp_path: Path, url: str):
    with pytest.raises(BadOption, match="Setting database takes a URL") as caught:
        open_database(tmp_path, url)
    assert caught.value.field == "database"


def test_a_url_may_name_another_file(tmp_path: Path):
    open_database(tmp_path / "data", f"sqlite:///{tmp_path}/other.db").close()
    assert (tmp_path / "other.db").exists()
    assert not (tmp_path / "data").exists()


def test_a_url_of_postgresql_need_not_name_our_driver(tmp_path: Path, postgres_url: str):
    with closing(open_database(tmp_path, postgres_url.replace("+psycopg", ""))) as opened, opened.read() as connection:
        assert connection.scalar(text("select 1")) == 1


@pytest.mark.skipif(not DESCRIPTORS.is_dir(), reason="descriptors are counted in /proc")
def test_a_server_that_opened_all_connections_opens_none_when_all_are_wanted(file: Database):
    def held() -> int:
        return sum("earloop.db" in str(each.readlink()) for each in DESCRIPTORS.iterdir() if each.is_symlink())

    file.open_all()
    before = held()
    with ExitStack() as stack:
        for _ in range(module.CONNECTIONS):
            stack.enter_context(file.read()).execute(select(KEYS))
        assert held() == before > module.CONNECTIONS
    assert held() == before


def test_a_reader_does_not_wait_for_a_writer(database: Database):
    with database.write() as writer, database.read() as reader:
        keys.create(writer, "kitchen", [Scope.STREAM], datetime.now(UTC))
        assert reader.scalar(text("SELECT count(*) FROM keys")) == 0


def test_a_writer_waits_for_another_only_so_long_and_says_so(database: Database):
    def wait() -> None:
        with database.write(wait_s=0.05) as second:  # here SQLite waits …
            migrate.lock(second)  # … and here PostgreSQL

    with database.write() as first:
        migrate.lock(first)
        with pytest.raises(Unavailable, match="locked by another process"):
            wait()


def test_what_no_database_could_keep_is_the_callers_mistake(database: Database):
    with pytest.raises(BadInput, match="no text"), database.read() as connection:
        connection.execute(select(KEYS).where(KEYS.c.name == "half a pair \ud800"))


def test_postgresql_takes_no_text_with_a_nul(tmp_path: Path, postgres_url: str):
    with (
        closing(open_database(tmp_path, postgres_url)) as database,
        pytest.raises(BadInput, match="no text"),
        database.read() as connection,
    ):
        connection.execute(select(KEYS).where(KEYS.c.name == "one\0two"))


async def test_the_event_loop_waits_for_the_database_only_so_long(database: Database, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "RUN_S", 0.05)
    over = threading.Event()
    try:
        with pytest.raises(Unavailable, match="did not answer"):
            await database.run(lambda _: over.wait(30))
    finally:
        over.set()


async def test_calls_that_wait_for_the_database_have_a_bound(database: Database):
    over = threading.Event()
    calls = [asyncio.ensure_future(database.run(lambda _: over.wait(30))) for _ in range(module.WAITING)]
    try:
        await asyncio.sleep(0)
        with pytest.raises(Unavailable, match="too slow"):
            await database.run(lambda _: None)
    finally:
        over.set()
        assert all(await asyncio.gather(*calls))
    assert await database.run(lambda _: 1) == 1


def test_what_goes_wrong_in_the_database_says_nothing_of_what_was_to_be_kept(database: Database):
    row = {"id": "a", "name": "heliotrope", "secret_sha256": b"", "scopes": "", "created": datetime.now(UTC)}
    with pytest.raises(Unavailable) as caught, database.write() as connection:
        connection.execute(KEYS.insert(), [row, row])
    assert "heliotrope" not in "".join(traceback.format_exception(caught.value))
