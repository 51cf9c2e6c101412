"""`earloop keys create|list|set|revoke`: who may use the server. A running one follows in seconds."""

from __future__ import annotations

import json
import re
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from stt_server.errors import BadOption
from stt_server.settings import load_settings
from stt_server.store import keys, usage, vocabularies
from stt_server.store.database import open_database
from stt_server.store.rights import KeyLimits, Scope, parse_scopes
from stt_server.store.vocabularies import NONE

if TYPE_CHECKING:
    from stt_server.store.database import Database
    from stt_server.store.keys import Key

app = typer.Typer()

UNITS: Final = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}
SCOPES: Final = ", ".join(Scope)

Json = Annotated[bool, typer.Option("--json", help="print JSON")]


@app.command()
def create(
    name: Annotated[str, typer.Option(help="whose key it is, for the list")],
    scope: Annotated[list[str] | None, typer.Option(help=f"what it may, repeated for each: {SCOPES}")] = None,
    expires: Annotated[str | None, typer.Option(help="when it ends, such as 12h, 30d or 8w; never unless said")] = None,
    max_streams: Annotated[int | None, typer.Option(min=0, help="live streams at once")] = None,
    max_uploads: Annotated[int | None, typer.Option(min=0, help="uploads at once")] = None,
    audio_hours_per_day: Annotated[float | None, typer.Option(min=0, help="hours of audio in a day of UTC")] = None,
    requests_per_minute: Annotated[int | None, typer.Option(min=0, help="uploads in any minute")] = None,
    as_json: Json = False,
) -> None:
    """Make a key and print it, this once; its scope is `stream` unless said."""
    now = datetime.now(UTC)
    scopes = parse_scopes(scope or [Scope.STREAM])
    ends = None if expires is None else now + _duration(expires)
    daily_s = None if audio_hours_per_day is None else audio_hours_per_day * 3600
    limits = KeyLimits(max_streams, max_uploads, daily_s, requests_per_minute)
    with closing(_database()) as database, database.write() as connection:
        key = keys.create(connection, name, scopes, now, expires=ends, limits=limits)
    shown = keys.parse_key(key)
    assert shown is not None, "a key is made so that it can be read"
    if as_json:
        made = {"id": shown.id, "key": key, "name": name, "scopes": sorted(scopes), "expires": _iso(ends)}
        typer.echo(json.dumps(made))
    else:
        typer.echo(key)
        typer.echo("Keep it: it cannot be shown again.", err=True)


@app.command("list")
def list_keys(as_json: Json = False) -> None:
    """Every key by id and name: what it may, whether it lives, what it used. Never its secret."""
    with closing(_database()) as database, database.read() as connection:
        found, used = keys.every(connection), usage.in_all(connection)
    rows = [_row(key, used.get(key.id, 0.0)) for key in found]
    if as_json:
        typer.echo(json.dumps(rows))
        return
    for row in rows:
        limits = " ".join(f"{field}={value:g}" for field, value in row["limits"].items() if value is not None)
        parts = [row["id"], f"{row['name']:20}", f"{row['state']:8}", ",".join(row["scopes"])]
        parts += [f"used {row['audio_s'] / 3600:.2f} h", f"last {row['last_used'] or 'never'}"]
        parts += [f"expires {row['expires']}"] * bool(row["expires"]) + [limits] * bool(limits)
        parts += [f"vocabulary {row['vocabulary']}"] * bool(row["vocabulary"])
        typer.echo("  ".join(parts))
    if not rows:
        typer.echo("there is no key; a server on loopback is open to everybody on this machine")


@app.command("set")
def set_default(
    ident: Annotated[str, typer.Argument(metavar="ID", help="the key's id")],
    vocabulary: Annotated[str, typer.Option(help="what its streams hear by default, by name; `none` is nothing")],
) -> None:
    """Change a key's default vocabulary. Running servers follow in seconds."""
    with closing(_database()) as database, database.write() as connection:
        vocabularies.make_default(connection, ident, None if vocabulary == NONE else vocabulary)
    typer.echo("changed")


@app.command()
def revoke(ident: Annotated[str, typer.Argument(metavar="ID", help="the key's id, or the key itself")]) -> None:
    """End a key. Running servers refuse it, and end its streams, within seconds."""
    with closing(_database()) as database, database.write() as connection:
        keys.revoke(connection, ident, datetime.now(UTC))
    typer.echo("revoked")


def _database() -> Database:
    settings = load_settings()
    return open_database(settings.data, settings.database)


def _duration(text: str) -> timedelta:
    found = re.fullmatch(r"(\d{1,5})([mhdw])", text.strip())
    if not found or not int(found[1]):
        raise BadOption(
            f"--expires cannot be {text!r}; it takes a number and m, h, d or w, such as 30d.", field="expires"
        )
    return int(found[1]) * UNITS[found[2]]


def _row(key: Key, used_s: float) -> dict[str, Any]:
    alive = key.lives(datetime.now(UTC))
    return {
        "id": key.id,
        "name": key.name,
        "state": "live" if alive else "revoked" if key.revoked else "expired",
        "scopes": sorted(key.scopes),
        "created": _iso(key.created),
        "expires": _iso(key.expires),
        "revoked": _iso(key.revoked),
        "last_used": _iso(key.last_used),
        "audio_s": round(used_s, 3),
        "vocabulary": key.vocabulary,
        "limits": {field: getattr(key.limits, field) for field in KeyLimits.__slots__},
    }


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat(timespec="minutes").replace("+00:00", "Z")
