"""`earloop vocabularies put|list|show|delete`: names and sentences of assistants. Running servers follow within 2 s."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from stt_server.settings import load_settings
from stt_server.store import vocabularies as rows
from stt_server.store.database import open_database
from stt_server.store.ring import now
from stt_server.store.vocabularies import SHARED, check_name
from stt_server.vocabularies.compiling import compiled
from stt_server.vocabularies.definition import Definition, read_definition

if TYPE_CHECKING:
    from stt_server.store.database import Database
    from stt_server.store.vocabularies import Vocabulary

EVERYBODY: Final = "shared"

app = typer.Typer()

Name = Annotated[str, typer.Argument(metavar="NAME", help="what it is called")]
Owner = Annotated[str, typer.Option(metavar="KEY_ID", help="the key that it belongs to; shared by all unless said")]
Json = Annotated[bool, typer.Option("--json", help="print JSON")]


@app.command()
def put(
    name: Name,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="JSON as stt_server/vocabularies/README.md has it")],
    owner: Owner = EVERYBODY,
    as_json: Json = False,
) -> None:
    """Make a vocabulary, or put another one in its place; tells the names in it that are not heard.

    What the model of a server does not know, `PUT /v1/vocabularies/NAME` tells, too.
    """
    check_name(name)
    definition = read_definition(file)
    made = compiled(definition)
    with closing(_database()) as database, database.write() as connection:
        row = rows.put(connection, _key(owner), name, definition.body(), now())
    problems = [each.told() for each in made.problems]
    if as_json:
        typer.echo(json.dumps(_told(row) | {"hotwords": len(made.hotwords), "problems": problems}))
        return
    typer.echo(f"{name}: version {row.version}, mode {row.body['mode']}, {len(made.phrases)} names and spoken forms")
    for each in problems:
        typer.echo(f"{each['kind']}: {each['message']}", err=True)


@app.command("list")
def list_vocabularies(as_json: Json = False) -> None:
    """All there are, of every key, without what is in them."""
    with closing(_database()) as database, database.read() as connection:
        found = [_told(each) for each in rows.listed(connection, None)]
    if as_json:
        typer.echo(json.dumps(found))
        return
    for each in found:
        changed = f"version {each['version']} of {each['changed']}"
        typer.echo(f"{each['name']:24}  {each['owner']:16}  {each['mode']:8}  {changed}")
    if not found:
        typer.echo("there is no vocabulary; `earloop vocabularies put NAME FILE` makes one")


@app.command()
def show(name: Name, owner: Owner = EVERYBODY) -> None:
    """What is in one, as JSON that `put` takes; problems go to standard error."""
    with closing(_database()) as database, database.read() as connection:
        row = rows.get(connection, _key(owner), name)
    typer.echo(json.dumps(row.body, ensure_ascii=False, indent=2))
    for each in compiled(Definition.model_validate(row.body)).problems:
        typer.echo(f"{each.kind}: {each.message}", err=True)


@app.command()
def delete(name: Name, owner: Owner = EVERYBODY) -> None:
    """Delete one that is no key's default."""
    with closing(_database()) as database, database.write() as connection:
        rows.remove(connection, _key(owner), name, now())
    typer.echo("deleted")


def _database() -> Database:
    settings = load_settings()
    return open_database(settings.data, settings.database)


def _key(owner: str) -> str:
    return SHARED if owner == EVERYBODY else owner


def _told(row: Vocabulary) -> dict[str, Any]:
    changed = row.changed.isoformat(timespec="minutes").replace("+00:00", "Z")
    return {
        "name": row.name,
        "owner": row.key_id or EVERYBODY,
        "version": row.version,
        "mode": row.body["mode"],
        "changed": changed,
    }
