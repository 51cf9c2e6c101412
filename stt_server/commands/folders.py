"""Files that a command writes in the end, when all the work for them is done."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stt_server.errors import NotFound

if TYPE_CHECKING:
    from pathlib import Path


def check_folders(*files: Path | None) -> None:
    """Before the work: raise NotFound where one of the files could not be written for want of its folder."""
    for file in files:
        if file and not file.absolute().parent.is_dir():
            raise NotFound(f"There is no folder {file.absolute().parent} for {file.name}; make it first.")
