"""Hotwords from the assistant's own files: names of rooms, devices, people and songs that skills know.

A skill keeps them one to a line in `*.entity` and `*.voc`, in a folder for each language (`locale/en-us/`). Lines with
the marks of templates (`(a|b)`, `{name}`, `#`) are no phrases and are passed over.
"""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

LOG = logging.getLogger(__name__)

MOST_PHRASES = 500
MOST_WORDS = 4
MOST_FILES = 2000
KINDS = {".entity", ".voc", ".txt"}
_PHRASE = re.compile(r"[^\W\d_]+(?:['’ -][^\W\d_]+)*")
_TAG = re.compile(r"[a-z]{2,3}(?:[-_][a-z]{2,4})?", re.IGNORECASE)


def phrases_in(places: Iterable[str], language: str) -> tuple[str, ...]:
    """Phrases of these files and folders, each once, at most `MOST_PHRASES`; of other languages' folders none."""
    found: dict[str, None] = {}
    for file in _files(places, language.partition("-")[0].lower()):
        for phrase in _lines(file):
            if len(found) == MOST_PHRASES:
                LOG.warning("Only the first %d phrases of hotword_files are used.", MOST_PHRASES)
                return tuple(found)
            found[phrase] = None
    return tuple(found)


def _files(places: Iterable[str], language: str) -> Iterator[Path]:
    left = MOST_FILES
    for place in places:
        path = Path(place).expanduser()
        if not path.exists():
            LOG.warning("hotword_files: there is no %s.", path)
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.suffix in KINDS and file.is_file() and left and _speaks(file.relative_to(path), language):
                left -= 1
                yield file


def _speaks(file: Path, language: str) -> bool:
    """Whether no folder on the way is another language's. `vocab` and `locale` are too long for one."""
    tags = [part.lower() for part in file.parts[:-1] if _TAG.fullmatch(part)]
    return not language or not tags or any(re.split("[-_]", tag)[0] == language for tag in tags)


def _lines(file: Path) -> Iterator[str]:
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        LOG.warning("hotword_files: %s cannot be read (%s).", file, error)
        return
    for line in text.splitlines():
        phrase = " ".join(line.lower().replace("-", " ").replace("’", "'").split())
        if _PHRASE.fullmatch(phrase) and len(phrase.split()) <= MOST_WORDS:
            yield phrase
