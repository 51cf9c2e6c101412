from contextlib import closing
from pathlib import Path

import pytest

from stt_server.store.database import open_database
from stt_server.store.objects import ObjectStore, open_objects


@pytest.fixture
def database(tmp_path: Path, database_url: str):
    """Of SQLite and of PostgreSQL."""
    with closing(open_database(tmp_path / "data", database_url)) as opened:
        yield opened


@pytest.fixture
def file(tmp_path: Path):
    """In SQLite, for what does not concern the database."""
    with closing(open_database(tmp_path / "data")) as opened:
        yield opened


@pytest.fixture
def objects(tmp_path: Path) -> ObjectStore:
    return open_objects(tmp_path / "data")
