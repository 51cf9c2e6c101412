"""How rows of the catalog are said on a line."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

from stt_server.store import models, routes
from stt_server.store.database import FILE, open_database

if TYPE_CHECKING:
    from stt_server.settings import Settings
    from stt_server.store.database import Connection, Database
    from stt_server.store.models import Model
    from stt_server.store.routes import Change, Route


def catalog(settings: Settings) -> tuple[list[Model], dict[str, list[str]]]:
    """The rows, and the routes that lead to each; none where there never was a database."""
    leading: dict[str, list[str]] = {}
    if not _has_database(settings):
        return [], leading
    with closing(database(settings)) as opened, opened.read() as connection:
        for each in routes.every(connection):
            leading.setdefault(each.model_id, []).append(called(each.kind, each.key))
        return models.listed(connection), leading


def _has_database(settings: Settings) -> bool:
    return bool(settings.database) or (settings.data / FILE).exists()


def database(settings: Settings) -> Database:
    """The server's."""
    return open_database(settings.data, settings.database)


def row(model: Model, leading: dict[str, list[str]]) -> str:
    """A model, with what it answers."""
    size = f"{model.size / 1e6:6.1f} MB" if model.size else "  shipped"
    answers = ", ".join(leading.get(model.id, []))
    return f"{model.ref:28} {model.status:10} {size}  {model.created:%Y-%m-%d}  {model.id}  {answers}".rstrip()


def told(model: Model, leading: dict[str, list[str]]) -> dict[str, Any]:
    """The same as JSON has it."""
    columns = "id name version language status size base_id job_id snapshot_id person_id".split()
    own = {name: getattr(model, name) for name in columns}
    return own | {"created": model.created.isoformat(), "answers": leading.get(model.id, [])}


def change(done: Change, known: dict[str, str]) -> str:
    """What was done to a route."""
    now, before = (known.get(each or "", "none") for each in (done.model_id, done.previous_id))
    why = f" ({done.reason})" if done.reason else ""
    return f"{done.action} {called(done.kind, done.key)}: {before} → {now}".replace("  ", " ") + why


def names(connection: Connection, found: list[Route], changes: list[Change]) -> dict[str, str]:
    """What the models are called that these name by id."""
    ids = {route.model_id for route in found}
    ids |= {ident for change in changes for ident in (change.model_id, change.previous_id) if ident}
    return {ident: model.ref for ident, model in models.with_ids(connection, ids).items()}


def called(kind: str, key: str) -> str:
    """A route."""
    return f"{kind} {key}".strip()
