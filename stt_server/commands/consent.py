"""`earloop consent show|grant|withdraw`: who agreed to what. A running server follows in seconds."""

from __future__ import annotations

import json
from contextlib import closing
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stt_server.collection.consent import agree, load_terms
from stt_server.collection.withdrawal import withdraw as withdraw_all
from stt_server.errors import NotFound
from stt_server.settings import load_settings
from stt_server.store import audit, clips, consents, keys, people
from stt_server.store.consents import Way
from stt_server.store.database import open_database
from stt_server.store.objects import open_objects
from stt_server.store.rights import Purpose, parse_purposes
from stt_server.store.ring import now

if TYPE_CHECKING:
    from datetime import datetime

    from stt_server.settings import Settings
    from stt_server.store.database import Database
    from stt_server.store.people import Person

app = typer.Typer()

PURPOSES = ", ".join(Purpose)

Who = Annotated[str, typer.Argument(metavar="PERSON", help="a person's id or token, or the id of an API key")]
Json = Annotated[bool, typer.Option("--json", help="print JSON")]


@app.command()
def show(
    who: Annotated[str | None, typer.Argument(metavar="PERSON", help="whose; everybody's unless said")] = None,
    words: Annotated[
        bool, typer.Option("--words", help="the words that there are to agree to, and nothing else")
    ] = False,
    as_json: Json = False,
) -> None:
    """What people agree to and how many clips of theirs are kept; of one person all there ever was, deeds included."""
    settings = load_settings()
    if words:
        terms = load_terms(settings.consent_words)
        typer.echo(f"version {terms.version}\n\n{terms.text}")
        return
    with closing(_database(settings)) as database:
        rows = _everybody(database) if who is None else [_of(database, _find(database, who))]
    if as_json:
        typer.echo(json.dumps(rows))
    elif not rows:
        typer.echo("nobody has agreed to anything")
    for row in [] if as_json else rows:
        typer.echo("  ".join(f"{name} {_plain(value)}" for name, value in row.items() if value not in (None, [], {})))


@app.command()
def grant(
    who: Annotated[str | None, typer.Argument(metavar="PERSON", help="who agrees; somebody new unless said")] = None,
    purpose: Annotated[list[str] | None, typer.Option(help=f"what for, repeated for each: {PURPOSES}")] = None,
    days: Annotated[int | None, typer.Option(min=0, help="ends after so many days; 0: never. As the server's")] = None,
    as_json: Json = False,
) -> None:
    """Note that somebody has read the words (`show --words`) and agrees; prints the token of somebody new, this once.

    Clips are kept only where the server's setting `collect` is on.
    """
    settings, purposes = load_settings(), parse_purposes(purpose or [Purpose.TRAINING])
    objects = open_objects(settings.data, settings.objects)
    lasts = settings.consent_days if days is None else days
    with closing(_database(settings)) as database:
        person, token = _taken(database, who)
        terms = load_terms(settings.consent_words)
        given = agree(database, objects, person.id, terms, purposes, Way.COMMAND, audit.COMMAND, lasts)
    made = {"person": person.id, "token": token, "consent": given.id, "version": given.version}
    if as_json:
        typer.echo(json.dumps(made | {"purposes": sorted(given.purposes), "expires": _iso(given.expires)}))
    elif token:
        typer.echo(token)
        typer.echo("Keep it: it cannot be shown again.", err=True)
    else:
        typer.echo(f"person {person.id} agrees to {', '.join(sorted(given.purposes))}")


@app.command()
def withdraw(who: Who, as_json: Json = False) -> None:
    """Delete all that somebody gave, now. Running servers keep nothing more of theirs within seconds."""
    settings = load_settings()
    objects = open_objects(settings.data, settings.objects)
    with closing(_database(settings)) as database:
        person = _find(database, who)
        report = withdraw_all(database, objects, person.id, audit.COMMAND)
    told = {"person": person.id, "clips": report.clips, "votes": report.votes, "snapshots": list(report.snapshots)}
    if as_json:
        typer.echo(json.dumps(told | {"models": list(report.models), "left": report.left}))
        return
    typer.echo(
        f"withdrawn: {report.clips} clips, {report.votes} votes on them; earlier snapshots: {len(report.snapshots)}"
    )
    if report.models:
        typer.echo(f"learned from them: {', '.join(report.models)}")
    if report.left:
        typer.echo(f"{report.left} recordings are still to be deleted: their store cannot be reached", err=True)


def _database(settings: Settings) -> Database:
    return open_database(settings.data, settings.database)


def _taken(database: Database, who: str | None) -> tuple[Person, str | None]:
    """Who agrees, and the token of somebody new. A key gets its person here, as at the first use of it."""
    with database.write() as connection:
        if who is None:
            return people.create(connection, now())
        key = who.removeprefix(f"{keys.PREFIX}_").partition("_")[0]
        if any(each.id == key for each in keys.every(connection)):
            return people.of_key(connection, key, now()), None
    return _find(database, who), None


def _find(database: Database, who: str) -> Person:
    """By id, by token, by the id of a key. Raises NotFound."""
    ident = who.removeprefix(f"{people.PREFIX}_").removeprefix(f"{keys.PREFIX}_").partition("_")[0]
    with database.read() as connection:
        for person in people.every(connection):
            if ident in (person.id, person.key_id):
                return person
    raise NotFound(f"There is no person {ident[:40]}; `earloop consent show` lists all.")


def _everybody(database: Database) -> list[dict[str, Any]]:
    with database.read() as connection:
        everybody, given = people.every(connection), consents.living(connection, now())
    return [_row(database, person) | _consent(given.get(person.id)) for person in everybody]


def _of(database: Database, person: Person) -> dict[str, Any]:
    """All that there ever was."""
    with database.read() as connection:
        given, deeds = consents.history(connection, person.id), audit.of(connection, person.id)
    return _row(database, person) | {
        "consents": [_consent(each) | {"ended": _iso(each.ended)} for each in given],
        "audit": [
            {"moment": _iso(each.moment), "action": each.action, "actor": each.actor, **each.details} for each in deeds
        ],
    }


def _row(database: Database, person: Person) -> dict[str, Any]:
    with database.read() as connection:
        kept = len(clips.of_person(connection, person.id))
    return {"person": person.id, "key": person.key_id, "clips": kept, "withdrawn": _iso(person.withdrawn)}


def _consent(given: consents.Consent | None) -> dict[str, Any]:
    if given is None:
        return {"purposes": []}
    times = {"given": _iso(given.given), "expires": _iso(given.expires)}
    return {"purposes": sorted(given.purposes), "version": given.version, "way": given.way, **times}


def _plain(value: object) -> str:
    """A cell of the table for people."""
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return "".join(f"\n  {' '.join(f'{k}={_plain(v)}' for k, v in each.items() if v)}" for each in value)
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat(timespec="seconds").replace("+00:00", "Z")
