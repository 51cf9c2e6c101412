"""`earloop backup FILE`: database and clips into one file, while the server works."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path  # noqa: TC003 - typer looks at it when the command is built
from typing import Annotated

import typer

from stt_server.settings import load_settings
from stt_server.store.backup import write_backup
from stt_server.store.database import open_database
from stt_server.store.objects import open_objects


def backup(file: Annotated[Path, typer.Argument(help="the file to write; it must not be there yet")]) -> None:
    """Write database and clips into one file. The server may go on working.

    Logins by cookie are not in it. Who has the file has everything else: keep it as you keep the data folder.
    """
    settings = load_settings()
    objects = open_objects(settings.data, settings.objects)
    with closing(open_database(settings.data, settings.database)) as database:
        made = write_backup(database, objects, file)
    typer.echo(f"{file}: {made.clips} clips, {file.stat().st_size / 1e6:.1f} MB")
