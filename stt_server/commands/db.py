"""`earloop db upgrade|show`: the database by hand. A server upgrades it by itself when it starts."""

from __future__ import annotations

from contextlib import closing

import typer

from stt_server.settings import load_settings
from stt_server.store import migrate
from stt_server.store.database import open_database

app = typer.Typer()


@app.command()
def upgrade() -> None:
    """Make the database, or bring it to what this Earloop needs."""
    settings = load_settings()
    open_database(settings.data, settings.database).close()
    typer.echo(f"at revision {migrate.newest_revision()}, the newest")


@app.command()
def show() -> None:
    """Where the database is and at which revision; upgrades nothing."""
    settings = load_settings()
    with closing(open_database(settings.data, settings.database, as_it_is=True)) as database:
        with database.read() as connection:
            present = migrate.revision(connection)
        typer.echo(f"{database.place}: revision {present or 'none'} of {migrate.newest_revision()}")
