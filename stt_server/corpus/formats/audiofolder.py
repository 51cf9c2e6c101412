"""Hugging Face `audiofolder`: recordings in folders of their split, beside a `metadata.csv` that says what is said.

    train/metadata.csv    file_name,transcription       `load_dataset("audiofolder", data_dir=…)` reads it so
    train/….flac

Paths in it are relative to it. Without folders of splits one `metadata.csv` lists all; `metadata.jsonl`, the other
spelling, is not read. Further columns may be there; ours are speaker, duration and licence.
"""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING, Final

from stt_server.corpus.clip import Clip
from stt_server.corpus.formats.format import Format
from stt_server.corpus.manifest import SPLITS
from stt_server.corpus.rows import Fault, csv_rows, first_line
from stt_server.errors import BadInput, EarloopError, NotFound

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

METADATA: Final = "metadata.csv"
TEXTS: Final = ("transcription", "text", "sentence")  # what others call it; we write the first
COLUMNS: Final = ("file_name", TEXTS[0], "speaker", "duration_s", "licence")


def _recognise(path: Path) -> bool:
    return any(_is_metadata(each) for each in _lists(path))


def _read(path: Path) -> Iterator[Clip | Fault]:
    lists = _lists(path)
    if not lists:
        raise NotFound(f"{path}: there is no {METADATA} in it nor in a folder {', '.join(SPLITS)}")
    for each in lists:
        if not _is_metadata(each):
            raise BadInput(f"{each}, line 1: no audiofolder; it has a column file_name and one of {', '.join(TEXTS)}")
        split = each.parent.name if each.parent.name in SPLITS else None
        for line, row in csv_rows(each):
            yield row if isinstance(row, Fault) else _clip(row, each, line, split)


def _clip(row: dict[str, object], metadata: Path, line: int, split: str | None) -> Clip | Fault:
    folder = metadata.parent
    name, text = str(row.get("file_name") or ""), next((str(row[each]) for each in TEXTS if each in row), "")
    if not name.strip():
        told = f"{metadata}, line {line}: file_name is missing; name the audio file, relative to {METADATA}"
        return Fault(BadInput(told), metadata)
    duration = str(row.get("duration_s") or "")
    return Clip(
        folder / name,
        text,
        (folder.parent if split else folder).absolute().name,
        str(row.get("speaker") or "") or None,
        duration_s=float(duration) if duration.replace(".", "", 1).isdecimal() else None,
        split=split,
        licence=str(row.get("licence") or "") or None,
    )


def _write(path: Path, clips: Sequence[Clip]) -> list[Path]:
    """A `metadata.csv` per split. Audio is not copied: a clip outside its split's folder keeps its absolute path."""
    written = []
    for split in (*SPLITS, None):
        if part := [clip for clip in clips if clip.split == split]:
            folder = path / split if split else path
            folder.mkdir(parents=True, exist_ok=True)
            written.append(folder / METADATA)
            with written[-1].open("w", encoding="utf-8", newline="") as file:
                rows = csv.writer(file, lineterminator="\n")
                rows.writerow(COLUMNS)
                rows.writerows(_row(clip, folder) for clip in part)
    return written


def _row(clip: Clip, folder: Path) -> tuple[object, ...]:
    path, beside = clip.path.absolute(), folder.absolute()
    name = path.relative_to(beside) if path.is_relative_to(beside) else path
    return name.as_posix(), clip.text, clip.speaker or "", clip.duration_s or "", clip.licence or ""


def _lists(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path] if path.name == METADATA else []
    return [each for each in (*(path / split / METADATA for split in SPLITS), path / METADATA) if each.is_file()]


def _is_metadata(path: Path) -> bool:
    try:
        columns = next(csv.reader([first_line(path)]), [])
    except EarloopError:
        return False
    return "file_name" in columns and bool(set(TEXTS) & set(columns))


AUDIOFOLDER_FORMAT = Format(
    "audiofolder", "Hugging Face: metadata.csv with file_name and transcription, per split", _recognise, _read, _write
)
