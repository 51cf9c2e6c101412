"""Reading and writing manifests, a clip at a time, so that a corpus of millions of clips fits.

Paths in a manifest are relative to the folder it is in, or absolute. Which layouts there are, `layouts` says.
"""

from __future__ import annotations

import csv
import json
import math
from typing import TYPE_CHECKING, TextIO

from stt_server.corpus.clip import Clip
from stt_server.corpus.layouts import EARLOOP, NEMO, Layout, detect_layout, read_rows
from stt_server.corpus.rows import Fault, Row
from stt_server.errors import BadInput, EarloopError, NotFound, Unsupported
from stt_server.speech.files import open_audio

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

SPLITS = ("train", "dev", "test")


def read_manifest(path: Path) -> Iterator[Clip]:
    """The clips of a manifest in any layout. Raises NotFound, or BadInput naming file, line and remedy.

    Where rows name no source, it is the name of the folder; where they name no split, `train.csv`, `dev.jsonl` and the
    like say it by their own name.
    """
    for each in read_clips(path, detect_layout(path)):
        if isinstance(each, Fault):
            raise each.error
        yield each


def read_clips(path: Path, layout: Layout) -> Iterator[Clip | Fault]:
    """The same, and a fault for each row that gives no clip."""
    folder = path.parent / layout.folder if (path.parent / layout.folder).is_dir() else path.parent
    for line, row in read_rows(path, layout):
        yield row if isinstance(row, Fault) else _read(row, layout, path, folder, line)


def write_manifest(path: Path, clips: Iterable[Clip], layout: Layout | None = None) -> None:
    """Write clips as `layout` (by default NeMo's for .jsonl and .json, ours otherwise).

    The file appears complete or not at all. DeepSpeech's layout has no place for source, split, speaker and licence,
    Common Voice's only for the speaker; NeMo's wants durations, which are read from the audio where a clip has none.
    """
    layout = layout or (NEMO if path.suffix in (".jsonl", ".json") else EARLOOP)
    folder = path.parent / layout.folder if (path.parent / layout.folder).is_dir() else path.parent
    rows = (_row(clip, layout, folder) for clip in clips)
    partial = path.with_name(f".{path.name}.partial")
    try:
        with partial.open("w", encoding="utf-8", newline="") as lines:
            (_write_json if layout.is_json else _write_csv)(lines, rows, layout)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _read(row: Row, layout: Layout, manifest: Path, folder: Path, line: int) -> Clip | Fault:
    try:
        return _clip(row, layout, manifest, folder, f"{manifest}, line {line}")
    except EarloopError as error:
        named = row.get(layout.path)
        return Fault(error, folder / named if isinstance(named, str) and named.strip() else manifest)


def _clip(row: Row, layout: Layout, manifest: Path, folder: Path, where: str) -> Clip:
    if row.get("offset"):
        raise Unsupported(f"{where}: a clip that starts inside its file (offset); cut it into a file of its own")
    return Clip(
        path=folder / _required(row, layout.path, where),
        text=_text(row, layout.text, where),
        source=_label(row, "source") or manifest.absolute().parent.name,
        speaker=_label(row, layout.speaker),
        duration_s=_duration(row.get(layout.duration_s), layout.duration_s, where),
        split=_label(row, "split") or (manifest.stem if manifest.stem in SPLITS else None),
        licence=_label(row, "licence"),
    )


def _label(row: Row, key: str) -> str | None:
    value = row.get(key)
    return None if value is None else str(value) or None


def _required(row: Row, key: str, where: str) -> str:
    value = row.get(key)
    if not isinstance(value, str) or not value.strip():
        raise BadInput(f"{where}: {key} is missing; name the audio file, relative to the manifest's folder")
    return value


def _text(row: Row, key: str, where: str) -> str:
    value = row.get(key)
    if not isinstance(value, str):
        raise BadInput(f"{where}: {key} is missing; write what is said, in quotes, or an empty text for silence")
    return value


def _duration(value: object, key: str, where: str) -> float | None:
    """Seconds, None for an empty field."""
    if value is None or value == "":
        return None
    try:
        seconds = float(str(value))
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise BadInput(f"{where}: {key} is {value!r}; write seconds above zero, or leave it empty")
    return seconds


def _row(clip: Clip, layout: Layout, folder: Path) -> Row:
    """A value for every column of `layout`; "" for what is not known."""
    values: Row = {label: getattr(clip, label) or "" for label in ("source", "split", "licence")}
    values |= {layout.path: _relative(clip.path, folder), layout.text: clip.text, layout.speaker: clip.speaker or ""}
    if layout.size:
        values[layout.size] = _size(clip.path) if clip.size is None else clip.size
    if layout.duration_s:
        values[layout.duration_s] = _seconds(clip, layout)
    return {column: values[column] for column in layout.columns}


def _relative(path: Path, folder: Path) -> str:
    path, folder = path.absolute(), folder.absolute()
    return (path.relative_to(folder) if path.is_relative_to(folder) else path).as_posix()


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError as error:
        raise NotFound(f"{path}: no size can be written of a file that is not there") from error


def _seconds(clip: Clip, layout: Layout) -> float | str:
    if clip.duration_s is None and layout is NEMO:
        with open_audio(clip.path) as audio:
            return audio.duration_s or ""
    return "" if clip.duration_s is None else round(clip.duration_s, 3)


def _write_csv(lines: TextIO, rows: Iterable[Row], layout: Layout) -> None:
    """Where nothing is quoted, tabs and line ends inside a text become spaces, as they are between words anyway."""
    writer = csv.DictWriter(lines, layout.columns, lineterminator="\n", **layout.dialect)
    writer.writeheader()
    for row in rows:
        writer.writerow({key: _unbroken(str(value)) for key, value in row.items()} if layout.dialect else row)


def _unbroken(text: str) -> str:
    return text.translate({ord(char): " " for char in "\t\r\n"})


def _write_json(lines: TextIO, rows: Iterable[Row], layout: Layout) -> None:
    for row in rows:
        known = {key: value for key, value in row.items() if value != "" or key == layout.text}
        lines.write(json.dumps(known, ensure_ascii=False) + "\n")
