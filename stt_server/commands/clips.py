"""`earloop clips list|import|remove`: what is kept, from where the server runs. Works beside a running one."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import replace
from pathlib import Path  # noqa: TC003 - typer looks at it when the command is built
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from stt_server.collection.intake import Said, import_clips, stated
from stt_server.collection.keeping import Heard
from stt_server.collection.withdrawal import take_back
from stt_server.corpus.formats.table import read_corpus
from stt_server.errors import NotFound
from stt_server.services import load_recognizer, rules
from stt_server.settings import load_settings
from stt_server.store import clips
from stt_server.store.clips import ClipFilter
from stt_server.store.database import open_database
from stt_server.store.objects import open_objects
from stt_server.store.withdrawal import Why

if TYPE_CHECKING:
    from collections.abc import Callable

    from stt_server.settings import Settings
    from stt_server.speech.pcm import Samples
    from stt_server.store.clips import KeptClip
    from stt_server.store.database import Database

app = typer.Typer()

ACTOR: Final = "command"

Json = Annotated[bool, typer.Option("--json", help="print JSON")]


@app.command("list")
def list_clips(
    status: Annotated[str | None, typer.Option(help="waiting, decided, parked, quarantined; or disputed")] = None,
    dataset: Annotated[str | None, typer.Option(help="those of this dataset")] = None,
    origin: Annotated[str | None, typer.Option(help="stream, upload, ovos, recorder or import")] = None,
    person: Annotated[str | None, typer.Option(help="those of this contributor, by id")] = None,
    text: Annotated[str | None, typer.Option(help="those in which this was heard or agreed on")] = None,
    limit: Annotated[int, typer.Option(min=1, max=clips.MOST_LISTED, help="how many")] = 50,
    as_json: Json = False,
) -> None:
    """The newest clips: when, how long, what was heard, how its judging stands."""
    wanted = ClipFilter(person, status, origin, dataset, text)
    with closing(_database(load_settings())) as database, database.read() as connection:
        found = clips.listed(connection, wanted, limit=limit)
    if as_json:
        typer.echo(json.dumps([_row(clip) for clip in found], ensure_ascii=False))
        return
    for clip in found:
        said = clip.text if clip.text is not None else clip.hypothesis
        typer.echo(f"{clip.id}  {clip.created:%Y-%m-%d %H:%M}  {clip.duration_s:5.1f} s  {clip.status:11}  {said}")
    if not found:
        typer.echo("no clip")


@app.command("import")
def import_folder(
    path: Annotated[Path, typer.Argument(help="a folder of recordings with texts, a CSV of DeepSpeech, or another")],
    statement: Annotated[str, typer.Option(help="why these recordings may be kept and learned from")],
    licence: Annotated[str, typer.Option(help="their licence, where their list names none")] = "",
    release: Annotated[bool, typer.Option("--release", help="they may be given to the public, too")] = False,
    dataset: Annotated[str | None, typer.Option(help="put them into this dataset, which must be there")] = None,
    layout: Annotated[str | None, typer.Option("--format", help="how they are laid out, if that is not seen")] = None,
    checked: Annotated[
        bool, typer.Option("--checked", help="their texts are right: nobody needs to judge them")
    ] = False,
    recognise: Annotated[
        bool, typer.Option("--recognise", help="hear each with the model, instead of its text")
    ] = False,
    as_json: Json = False,
) -> None:
    """Keep recordings that are there already. What was imported before is not imported twice."""
    settings = load_settings()
    said = Said(dataset=dataset, licence=licence, statement=statement.strip(), release=release)
    stated(replace(said, release=False))  # refuse before anything is read; a list may name licences of its own
    reading = read_corpus(path, layout)
    hear = _hearing(settings) if recognise else None
    objects = open_objects(settings.data, settings.objects)
    with closing(_database(settings)) as database:
        done = import_clips(database, objects, reading.clips, said, rules(settings), checked=checked, hear=hear)
    failed = [*((str(finding.clip.path), finding.sentence) for finding in reading.findings), *done.faults]
    told = {"kept": done.kept, "known": done.known, "failed": done.failed + len(reading.findings)}
    if as_json:
        typer.echo(json.dumps(told | {"faults": [[str(file), why] for file, why in failed]}, ensure_ascii=False))
        return
    typer.echo(f"{done.kept} clips kept, {done.known} were there, {told['failed']} could not be read")
    for file, why in failed:
        typer.echo(f"  {file}: {why}", err=True)


@app.command()
def remove(ids: Annotated[list[str], typer.Argument(metavar="ID", help="clips by id")], as_json: Json = False) -> None:
    """Let clips leave: rows, votes and bytes; snapshots that have them refuse them from now on."""
    settings = load_settings()
    objects = open_objects(settings.data, settings.objects)
    with closing(_database(settings)) as database:
        with database.read() as connection:
            known = clips.with_ids(connection, ids)
        if missing := [ident for ident in ids if ident not in known]:
            raise NotFound(f"There is no clip {missing[0][:64]}; `earloop clips list` shows them. None was removed.")
        report = take_back(database, objects, ids, ACTOR, Why.CURATOR)
    told = {"clips": report.clips, "votes": report.votes, "snapshots": len(report.snapshots), "left": report.left}
    typer.echo(
        json.dumps(told | {"models": list(report.models)})
        if as_json
        else f"{report.clips} clips and {report.votes} votes removed"
    )


def _database(settings: Settings) -> Database:
    return open_database(settings.data, settings.database)


def _hearing(settings: Settings) -> Callable[[Samples], Heard]:
    """What the server's model hears in a recording."""
    from stt_server.speech.recognizer import Recognizer

    recognizer = load_recognizer(settings)
    assert isinstance(recognizer, Recognizer), "a bundle's"

    def hear(samples: Samples) -> Heard:
        said = recognizer.transcribe(samples)
        return Heard(said.text, said.words, recognizer.version, recognizer.lm, recognizer.language)

    return hear


def _row(clip: KeptClip) -> dict[str, Any]:
    names = "id person_id origin protocol device duration_s hypothesis confidence model language licence".split()
    names += ["status", "verdict", "text", "duplicate_of"]
    return {"created": clip.created.isoformat(), **{name: getattr(clip, name) for name in names}}
