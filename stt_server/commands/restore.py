"""`earloop restore FILE`: a backup into an empty data folder, or into an empty database and object store."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - typer looks at it when the command is built
from typing import Annotated

import typer

from stt_server.settings import load_settings
from stt_server.store.backup import read_backup
from stt_server.store.objects import open_objects


def restore(file: Annotated[Path, typer.Argument(help="what `earloop backup` wrote")]) -> None:
    """Restore a backup to where the settings say; nothing is overwritten. Start the server afterwards."""
    settings = load_settings()
    restored = read_backup(file, open_objects(settings.data, settings.objects), settings.data, settings.database)
    typer.echo(f"{restored.clips} clips of {restored.created}")
    if restored.missing:
        typer.echo(f"{restored.missing} clips had left while the backup was made; their rows are gone, too", err=True)
