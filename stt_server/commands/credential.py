"""The option by which a command shows its API key to a server."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from stt_server.errors import NotFound

Key = Annotated[
    str,
    typer.Option("--key", metavar="KEY|@FILE", help="API key, or @FILE to read it from: arguments are seen by others."),
]


def key_of(said: str) -> str | None:
    """The key itself; None where none was given. Raises NotFound for a file that cannot be read."""
    if not said.startswith("@"):
        return said or None
    try:
        return Path(said[1:]).expanduser().read_text(encoding="utf-8").strip() or None
    except (OSError, UnicodeDecodeError) as error:
        raise NotFound(f"There is no key to read in {said[1:]} ({error}).") from error
