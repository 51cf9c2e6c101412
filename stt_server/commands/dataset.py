"""`earloop dataset list|create|remove|add|snapshot|export|diff`: from clips to versions that models learn from."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path  # noqa: TC003 - typer looks at it when the command is built
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from stt_server.datasets.archives import ARCHIVES, Container, into_archive, into_folder
from stt_server.datasets.export import FORMATS, described, files, note_export, open_export
from stt_server.datasets.making import compare, make_snapshot
from stt_server.settings import load_settings
from stt_server.store import audit, datasets, migrate, snapshots
from stt_server.store.database import open_database
from stt_server.store.objects import open_objects
from stt_server.store.rights import Purpose
from stt_server.store.ring import now

if TYPE_CHECKING:
    from stt_server.store.database import Database

app = typer.Typer()

SHOWN: Final = 20  # ids of each kind in a difference

Json = Annotated[bool, typer.Option("--json", help="print JSON")]
Name = Annotated[str, typer.Argument(help="the dataset's name")]


@app.command("list")
def list_all(
    name: Annotated[str | None, typer.Argument(help="a dataset, to list its snapshots")] = None, as_json: Json = False
) -> None:
    """Every dataset with what is in it, or the snapshots of one."""
    with closing(_database()) as database:
        datasets.settle(database, now())
        with database.read() as connection:
            found = [] if name else datasets.every(connection)
            versions = snapshots.listed(connection, name) if name else []
    if as_json:
        rows = [{"name": each.name, "clips": each.clips, "hours": _hours(each.audio_s)} for each in found]
        typer.echo(json.dumps(rows or [described(each) for each in versions], ensure_ascii=False))
        return
    for each in found:
        told = [f"{each.clips} clips", f"{_hours(each.audio_s):.2f} h", f"{each.snapshots} snapshots", each.description]
        typer.echo("  ".join([f"{each.name:20}", *(part for part in told if part)]))
    for version in versions:
        typer.echo(_line(described(version)))


@app.command()
def create(
    name: Name,
    description: Annotated[str, typer.Option(help="what it is for")] = "",
    licence: Annotated[str, typer.Option(help="of clips that have none of their own, such as CC0-1.0")] = "",
) -> None:
    """Make a dataset; clips come into it by recording, by upload and by `earloop dataset add`."""
    with closing(_database()) as database, database.write() as connection:
        datasets.create(connection, name, audit.COMMAND, now(), description=description, licence=licence)


@app.command()
def remove(name: Name, yes: Annotated[bool, typer.Option("--yes", help="do not ask")] = False) -> None:
    """Delete a dataset. Its clips stay where else they are, and its snapshots can still be traced."""
    if not yes:
        typer.confirm(f"Delete the dataset {name}?", abort=True)
    with closing(_database()) as database, database.write() as connection:
        migrate.lock(connection)
        gone = datasets.get(connection, name)
        datasets.remove_dataset(connection, gone, now())
        told = {"clips": gone.clips, "snapshots": gone.snapshots}
        audit.note(connection, now(), "dataset_deleted", audit.COMMAND, gone.id, **told)
    typer.echo(f"{name} is deleted")


@app.command()
def add(name: Name, clips: Annotated[list[str], typer.Argument(help="ids of clips")]) -> None:
    """Put clips into a dataset."""
    with closing(_database()) as database, database.write() as connection:
        added = datasets.add(connection, name, clips, now())
    typer.echo(f"{added} clips put in")


@app.command()
def snapshot(
    name: Name,
    purpose: Annotated[Purpose, typer.Option(help="training; or release, which names nobody")] = Purpose.TRAINING,
    strict: Annotated[
        bool | None,
        typer.Option("--strict/--fill", help="divide no speaker; or do where a part would be empty, as for training"),
    ] = None,
    as_json: Json = False,
) -> None:
    """Make a version of a dataset that stays as it is: what taggers agree on and may be used for the purpose."""
    with closing(_database()) as database:
        made = described(make_snapshot(database, name, purpose, audit.COMMAND, strict=strict))
    typer.echo(json.dumps(made, ensure_ascii=False) if as_json else _line(made))
    if not as_json:
        typer.echo(made["statistics"]["holds_for"])


@app.command()
def export(
    name: Name,
    to: Annotated[Path, typer.Argument(metavar="TO", help="a folder to be made, or a file that ends in .zip or .tar")],
    number: Annotated[int | None, typer.Option(help="which snapshot; the newest by default")] = None,
    format_: Annotated[str, typer.Option("--format", help=", ".join(FORMATS))] = FORMATS[0],
) -> None:
    """Write a snapshot out, such as for `earloop train --train TO`."""
    settings = load_settings()
    objects = open_objects(settings.data, settings.objects)
    with closing(open_database(settings.data, settings.database)) as database:
        chosen = open_export(database, name, number, format_)
        note_export(database, chosen, audit.COMMAND)
        container = next((each for each in Container if to.suffix == f".{each}"), None)
        if container:
            into_archive(ARCHIVES[container](files(chosen, objects)), to)
        else:
            into_folder(files(chosen, objects), to)
    typer.echo(f"{to}: {name} {chosen.snapshot.number} as {format_}, {len(chosen.lines)} clips")


@app.command()
def diff(
    name: Name,
    before: Annotated[int, typer.Argument(metavar="FROM", help="number of a snapshot")],
    after: Annotated[int, typer.Argument(metavar="TO", help="number of another")],
    as_json: Json = False,
) -> None:
    """What came, went, changed and was withdrawn from one snapshot to another."""
    with closing(_database()) as database:
        found: dict[str, Any] = compare(database, name, before, after)
    if as_json:
        typer.echo(json.dumps(found))
        return
    for kind, count in found["counts"].items():
        shown = found.get(kind, [])[:SHOWN]
        more = " …" * (len(found.get(kind, [])) > len(shown))
        typer.echo("  ".join([f"{kind:10} {count:6}", *shown]) + more)


def _database() -> Database:
    settings = load_settings()
    return open_database(settings.data, settings.database)


def _hours(seconds: float) -> float:
    return round(seconds / 3600, 4)


def _line(told: dict[str, Any]) -> str:
    numbers = told["statistics"]
    parts = [f"{told['dataset']} {told['number']}", told["purpose"], told["created"], f"{numbers['clips']} clips"]
    parts += [f"{numbers['hours']:.2f} h", f"{numbers['speakers']} speakers", f"{numbers['sentences']} sentences"]
    return "  ".join([*parts, *[f"{told['withdrawn']} withdrawn"] * bool(told["withdrawn"]), told["sha256"][:12]])
