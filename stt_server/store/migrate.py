"""From whatever the database is to what this program needs, one server at a time.

All steps run in the one transaction that also looks which are missing: it holds SQLite's write lock, or an advisory
lock of PostgreSQL, so of two servers that start at once the second waits and finds nothing to do. A step that fails
leaves the database as it was.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text

from stt_server.errors import Conflict

if TYPE_CHECKING:
    from sqlalchemy import Connection

FOLDER: Final = Path(__file__).parent / "migrations"
ADVISORY_LOCK: Final = 0x6561726C6F6F70  # "earloop"


def upgrade(connection: Connection) -> bool:
    """Run what is missing; says whether anything was. The caller has begun a writing transaction and commits it.

    Raises Conflict for a database that a newer Earloop has changed.
    """
    lock(connection)
    present, newest = revision(connection), newest_revision()
    if present == newest:
        return False
    config = _config()
    if present is not None and present not in {script.revision for script in _scripts(config).walk_revisions()}:
        raise Conflict(
            f"The database is at revision {present}, which this Earloop does not know ({newest} is its newest): "
            "a newer one has changed it. Install that one, or restore an older backup."
        )
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
    return True


def revision(connection: Connection) -> str | None:
    """Where the database stands; None for one without tables."""
    return MigrationContext.configure(connection).get_current_revision()


def newest_revision() -> str:
    """Where a database stands that this program has upgraded."""
    head = _scripts(_config()).get_current_head()
    assert head is not None
    return head


def lock(connection: Connection) -> None:
    """Keep other servers out until the transaction ends. A writing transaction of SQLite does so by itself."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": ADVISORY_LOCK})


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    return config


def _scripts(config: Config) -> ScriptDirectory:
    return ScriptDirectory.from_config(config)
