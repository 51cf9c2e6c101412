"""`earloop lm import|list|remove`: language models that every server over the database offers by name."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path  # noqa: TC003 - typer looks at it when the command is built
from typing import TYPE_CHECKING, Annotated

import typer

from stt_server.catalog.language_models import Weights, import_language_model, remove_language_model
from stt_server.collection.withdrawal import erase_pending
from stt_server.settings import load_settings
from stt_server.store import audit, language_models
from stt_server.store.database import open_database
from stt_server.store.objects import open_objects

if TYPE_CHECKING:
    from typing import Any

    from stt_server.store.language_models import LanguageModel

Reason = Annotated[str, typer.Option(help="why, for the history")]
Json = Annotated[bool, typer.Option("--json", help="print JSON")]


def import_model(
    path: Annotated[Path, typer.Argument(metavar="FILE", help=".lm, .arpa.gz or .arpa; .lm is there at once")],
    name: Annotated[str, typer.Option(help="what streams ask for in their option lm")],
    alpha: Annotated[float | None, typer.Option(help="its weight; else the bundle's")] = None,
    beta: Annotated[float | None, typer.Option(help="bonus for each word; else the bundle's")] = None,
    reason: Reason = "",
    as_json: Json = False,
) -> None:
    """Keep a language model in the catalog as the newest version of a name. Every server offers it within 2 s."""
    settings = load_settings()
    objects = open_objects(settings.data, settings.objects)
    with closing(open_database(settings.data, settings.database)) as database:
        weights, by = Weights(alpha, beta), audit.COMMAND
        model = import_language_model(database, objects, path, name=name, actor=by, weights=weights, reason=reason)
    typer.echo(json.dumps(_told(model)) if as_json else f"{model.ref}  {model.id}")


def list_models(
    removed: Annotated[bool, typer.Option("--removed", help="the removed ones, too: the whole history")] = False,
    as_json: Json = False,
) -> None:
    """List the catalog's language models, the newest version of each first, which is the one that answers."""
    settings = load_settings()
    with closing(open_database(settings.data, settings.database)) as database, database.read() as connection:
        found = language_models.listed(connection, removed=removed)
    if as_json:
        typer.echo(json.dumps([_told(each) for each in found], ensure_ascii=False))
        return
    for each in found:
        typer.echo(_line(each))


def remove(
    model: Annotated[str, typer.Argument(metavar="NAME", help="name for all versions, name@version or id for one")],
    yes: Annotated[bool, typer.Option("--yes", help="do not ask")] = False,
    reason: Reason = "",
) -> None:
    """Delete a language model from the catalog; the version before answers, where there is one. Rows stay."""
    settings = load_settings()
    objects = open_objects(settings.data, settings.objects)
    with closing(open_database(settings.data, settings.database)) as database:
        with database.read() as connection:
            meant = ", ".join(each.ref for each in language_models.versions(connection, model))
        if not yes:
            typer.confirm(f"Delete {meant} for ever?", abort=True)
        gone = remove_language_model(database, model, actor=audit.COMMAND, reason=reason)
        erase_pending(database, objects)
    typer.echo(f"{', '.join(each.ref for each in gone)}: removed")


def _line(model: LanguageModel) -> str:
    weights = ", ".join(
        f"{name} {value:g}" for name in ("alpha", "beta") if (value := getattr(model, name)) is not None
    )
    state = f"removed {model.removed:%Y-%m-%d} by {model.removed_by}" if model.removed else weights
    size = f"{model.size / 1e6:8.2f} MB"
    return f"{model.ref:28} {size}  {model.created:%Y-%m-%d}  {model.created_by:10} {model.id}  {state}".rstrip()


def _told(model: LanguageModel) -> dict[str, Any]:
    names = "id name version size alpha beta lineage reason created_by removed_by"
    moments = {name: str(moment) for name in ("created", "removed") if (moment := getattr(model, name))}
    return {name: getattr(model, name) for name in names.split()} | moments
