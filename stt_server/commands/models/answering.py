"""`earloop models import|promote|rollback|remove|route`: which models there are, and which of them answers whom.

What is done here is an operator's own act: at once, for all servers of the database, on record as done by `command`.
"""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path  # noqa: TC003 - typer looks at it when the command is built
from typing import TYPE_CHECKING, Annotated, Final

import typer

from stt_server.catalog import promotion
from stt_server.catalog.importing import import_bundle
from stt_server.catalog.places import drop_removed
from stt_server.collection.withdrawal import erase_pending
from stt_server.commands.models import said
from stt_server.errors import BadOption
from stt_server.settings import load_settings
from stt_server.store import audit, models, routes
from stt_server.store.objects import open_objects
from stt_server.store.routes import Kind, Route

if TYPE_CHECKING:
    from stt_server.store.database import Database
    from stt_server.store.routes import Change

KINDS: Final = ", ".join(Kind)
LAST_CHANGES: Final = 20

Ref = Annotated[str, typer.Argument(metavar="MODEL", help="a model of the catalog: its name, name@version or id")]
Yes = Annotated[bool, typer.Option("--yes", help="do not ask")]
Reason = Annotated[str, typer.Option(help="why, for the history")]
WhichKind = Annotated[str, typer.Option(help=f"of which route: {KINDS}")]
Key = Annotated[str, typer.Option(help="of a route of the kind language, name or person: which one")]
Share = Annotated[float, typer.Option(help="of a canary or shadow: its share of sessions, 1 at most")]
Json = Annotated[bool, typer.Option("--json", help="print JSON")]


def import_model(
    path: Annotated[Path, typer.Argument(metavar="DIR", help="a bundle's folder or zip")],
    name: Annotated[str | None, typer.Option(help="what clients call it; as in its manifest unless said")] = None,
    as_json: Json = False,
) -> None:
    """Verify a bundle, by ear too, and keep it in the catalog as a candidate. The same again changes nothing."""
    settings = load_settings()
    objects = open_objects(settings.data, settings.objects)
    with closing(said.database(settings)) as database:
        model = import_bundle(database, objects, path, name=name, actor=audit.COMMAND)
    typer.echo(json.dumps(said.told(model, {})) if as_json else f"{model.ref}  {model.id}")


def promote(
    model: Ref,
    yes: Yes = False,
    reason: Reason = "",
    kind: WhichKind = Kind.LIVE,
    key: Key = "",
    share: Share = 1.0,
) -> None:
    """Let a model answer from now on: every server follows within 2 s, open streams end on the old one."""
    with closing(said.database(load_settings())) as database:
        with database.read() as connection:
            chosen = models.get(connection, model)
        _ask(f"Let {chosen.ref} answer the sessions of the route {said.called(kind, key)}?", yes)
        _promote(database, Route(kind, key, chosen.id, share), reason)


def rollback(reason: Reason = "", kind: WhichKind = Kind.LIVE, key: Key = "") -> None:
    """Give a route back to the model before; again, to the one before that. A canary and a shadow end."""
    with closing(said.database(load_settings())) as database:
        _say(database, promotion.rollback(database, actor=audit.COMMAND, reason=reason, kind=kind, key=key))


def remove(model: Ref, yes: Yes = False, reason: Reason = "") -> None:
    """Delete a model that answers nobody. Its row stays, so that what it answered can be traced."""
    settings = load_settings()
    objects = open_objects(settings.data, settings.objects)
    with closing(said.database(settings)) as database:
        with database.read() as connection:
            chosen = models.get(connection, model)
        _ask(f"Delete the bundle of {chosen.ref} for ever?", yes)
        promotion.remove(database, chosen.id, actor=audit.COMMAND, reason=reason)
        erase_pending(database, objects)
        drop_removed(database, settings.data)
    typer.echo(f"{chosen.ref} is removed")


def route(
    kind: Annotated[str | None, typer.Argument(help=f"of the route: {KINDS}")] = None,
    model: Annotated[str | None, typer.Argument(metavar="MODEL", help="which answers; none with --end")] = None,
    key: Key = "",
    share: Share = 1.0,
    end: Annotated[bool, typer.Option("--end", help="end the route")] = False,
    reason: Reason = "",
    as_json: Json = False,
) -> None:
    """Show the routes and the last changes; or let a route lead to a model, or end."""
    with closing(said.database(load_settings())) as database:
        if kind is None:
            _show_routes(database, as_json)
        elif end:
            _say(database, promotion.unroute(database, kind, key, actor=audit.COMMAND, reason=reason))
        elif model is None:
            raise BadOption("Name the model that the route is to lead to, or --end.", field="model")
        else:
            _promote(database, Route(kind, key, model, share), reason)


def _show_routes(database: Database, as_json: bool) -> None:
    with database.read() as connection:
        found, changes = routes.every(connection), routes.changes(connection, LAST_CHANGES)
        known = said.names(connection, found, changes)
    if as_json:
        told = [
            {"kind": each.kind, "key": each.key, "model": known[each.model_id], "share": each.share} for each in found
        ]
        typer.echo(json.dumps(told, ensure_ascii=False))
        return
    for each in found:
        share = "" if each.share == 1 else f"  {each.share:.1%} of sessions"
        typer.echo(f"{said.called(each.kind, each.key):24} {known[each.model_id]}{share}")
    for change in changes:
        typer.echo(f"{change.moment:%Y-%m-%d %H:%M:%S}  {change.actor:10} {said.change(change, known)}")


def _say(database: Database, change: Change) -> None:
    with database.read() as connection:
        typer.echo(said.change(change, said.names(connection, [], [change])))


def _ask(question: str, yes: bool) -> None:
    if not yes:
        typer.confirm(question, abort=True)


def _promote(database: Database, wanted: Route, reason: str) -> None:
    """Its model may be any name of one."""
    where = {"kind": wanted.kind, "key": wanted.key, "reason": reason}
    change = promotion.promote(database, wanted.model_id, actor=audit.COMMAND, share=wanted.share, **where)
    _say(database, change)
