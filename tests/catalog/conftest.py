import json
import shutil
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from stt_server.store import models
from stt_server.store.database import open_database
from stt_server.store.ids import new_id
from stt_server.store.models import Model
from stt_server.store.objects import ObjectStore, open_objects


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def database(data: Path, database_url: str):
    """Of SQLite and of PostgreSQL."""
    with closing(open_database(data, database_url)) as opened:
        yield opened


@pytest.fixture
def file(data: Path):
    """In SQLite, for what does not concern the database."""
    with closing(open_database(data)) as opened:
        yield opened


@pytest.fixture
def objects(data: Path) -> ObjectStore:
    return open_objects(data)


@pytest.fixture
def bundle(tmp_path: Path, tiny_bundle: Path) -> Path:
    """A bundle that may be written to."""
    return Path(shutil.copytree(tiny_bundle, tmp_path / "bundle"))


def rewrite(folder: Path, **values) -> Path:
    """Change a bundle's manifest."""
    manifest = json.loads((folder / "bundle.json").read_text(encoding="utf-8"))
    (folder / "bundle.json").write_text(json.dumps(manifest | values), encoding="utf-8")
    return folder


def add(database, name="tiny", version="1", **more) -> Model:
    """A model's row, without bytes."""
    row: dict[str, Any] = {"id": new_id(), "language": "en", "sha256": b"\0" * 32, "created_by": "test"}
    row |= {"name": name, "version": version, "created": datetime.now(UTC), "place": "tiny"}
    made = Model(**{**row, **more})
    with database.write() as connection:
        models.insert_model(connection, made)
    return made
