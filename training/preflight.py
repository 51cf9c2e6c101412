"""Pre-flight: every clip listened to before anything is learned, once: what was heard is kept beside the cache.

A clip is known again by path, size and time of its last change. What could not be read is listened to again.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any

from stt_server.corpus.listening import Heard, listen_to_all

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from stt_server.corpus.listening import Outcome

    Progress = Callable[[int, int], None]
    Known = dict[str, dict[str, Any]]

KEPT = "heard.json"
APART_FROM = 100  # clips; fewer are decoded before other processes have started
AT_ONCE = 5000  # clips between which a call that is broken off keeps what it heard
BYTES = ("content", "outline")


def listen_once(paths: Iterable[Path], cache: Path, progress: Progress = lambda done, of: None) -> dict[Path, Outcome]:
    """What each file that is there holds, or the error that says why it cannot be read.

    Decoded in a process per core where there is much of it. Broken off, what was heard until then is kept.
    """
    known = _read(cache / KEPT)
    marks = {path: _mark(path) for path in dict.fromkeys(paths) if path.is_file()}
    heard = {path: _heard(known[mark]) for path, mark in marks.items() if mark in known}
    missing = [path for path in marks if path not in heard]
    workers = (os.cpu_count() or 1) if len(missing) >= APART_FROM else 0
    new: dict[Path, Outcome] = {}
    try:
        for start in range(0, len(missing), AT_ONCE):
            tell = partial(_tell, progress, start, len(missing))
            new |= listen_to_all(missing[start : start + AT_ONCE], workers, tell)
    finally:
        fresh = {marks[path]: _kept(each) for path, each in new.items() if isinstance(each, Heard)}
        if fresh:
            _write(cache / KEPT, known | fresh)
    return {**heard, **new}


def _tell(progress: Progress, before: int, of: int, done: int, _of: int) -> None:
    progress(before + done, of)


def _mark(path: Path) -> str:
    """What a file is known by again."""
    told = path.stat()
    return f"{path.absolute()} {told.st_size} {told.st_mtime_ns}"


def _kept(heard: Heard) -> dict[str, Any]:
    return {name: value.hex() if name in BYTES else value for name, value in asdict(heard).items()}


def _heard(kept: dict[str, Any]) -> Heard:
    whole: dict[str, Any] = {name: bytes.fromhex(value) if name in BYTES else value for name, value in kept.items()}
    return Heard(**whole)


def _read(path: Path) -> Known:
    try:
        known: Known = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # none yet, or of a run that was killed: it is only a cache
        return {}
    return known


def _write(path: Path, known: Known) -> None:
    """Whole or not at all. Of two runs that end at once the later one's stays, and the other listens again."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    part.write_text(json.dumps(known), encoding="utf-8")
    part.replace(path)
