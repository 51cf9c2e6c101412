"""Synthetic speech is spoken once and lent to every job: `<data>/runs/voices`. It has nobody's recordings in it."""

from __future__ import annotations

import shutil
from contextlib import suppress
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

MADE: Final = "synthetic-*"
MOST: Final = 12  # folders that are kept, the newest


def lend(shared: Path, cache: Path) -> None:
    """Let a job's cache have what others have spoken."""
    cache.mkdir(parents=True, exist_ok=True)
    for made in shared.glob(MADE):
        with suppress(FileExistsError):
            (cache / made.name).symlink_to(made, target_is_directory=True)


def take_back(shared: Path, cache: Path) -> None:
    """Keep what a job has spoken for the next one; of two that spoke the same the first is kept."""
    shared.mkdir(parents=True, exist_ok=True)
    for made in cache.glob(MADE):
        if made.is_dir() and not made.is_symlink():
            with suppress(OSError):  # it is there already, by another job
                made.rename(shared / made.name)
    newest = sorted(shared.glob(MADE), key=lambda each: each.stat().st_mtime, reverse=True)
    for old in newest[MOST:]:
        shutil.rmtree(old, ignore_errors=True)
