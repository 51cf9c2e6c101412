"""Reading and writing manifests, a clip at a time, so that a corpus of millions of clips fits.

Paths in a manifest are relative to the folder it is in, or absolute. Which layouts there are, `layouts` says.
"""

from __future__ import annotations

import csv
import json
import math
from typing import TYPE_CHECKING, TextIO

from stt_server.corpus.clip import Clip
from stt_server.corpus.layouts import EARLOOP, LABELS, NEMO, Layout, detect_layout, read_rows
from stt_server.errors import BadInput, NotFound, Unsupported
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
    layout = detect_layout(path)
    for line, row in read_rows(path, layout):
        yield _clip(row, layout, path, f"{path}, line {line}")


def write_manifest(path: Path, clips: Iterable[Clip], layout: Layout | None = None) -> None:
    """Write clips as `layout` (by default NeMo's for .jsonl and .json, ours otherwise).

    The file appears complete or not at all. DeepSpeech's layout has no place for source, split, speaker and licence;
    NeMo's wants durations, which are read from the audio where a clip has none.
    """
    layout = layout or (NEMO if path.suffix in (".jsonl", ".json") else EARLOOP)
    rows = (_row(clip, layout, path.parent) for clip in clips)
    partial = path.with_name(f".{path.name}.partial")
    try:
        with partial.open("w", encoding="utf-8", newline="") as lines:
            (_write_json if layout.is_json else _write_csv)(lines, rows, layout)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _clip(row: dict[str, object], layout: Layout, manifest: Path, where: str) -> Clip:
    if row.get("offset"):
        raise Unsupported(f"{where}: a clip that starts inside its file (offset); cut it into a file of its own")
    labels = {label: str(row.get(label) or "") or None for label in LABELS}
    named_split = manifest.stem if manifest.stem in SPLITS else None
    return Clip(
        path=manifest.parent / _required(row, layout.path, where),
        text=_text(row, layout.text, where),
        source=labels["source"] or manifest.absolute().parent.name,
        speaker=labels["speaker"],
        duration_s=_duration(row.get(layout.duration_s), layout.duration_s, where),
        split=labels["split"] or named_split,
        licence=labels["licence"],
    )


def _required(row: dict[str, object], key: str, where: str) -> str:
    value = row.get(key)
    if not isinstance(value, str) or not value.strip():
        raise BadInput(f"{where}: {key} is missing; name the audio file, relative to the manifest's folder")
    return value


def _text(row: dict[str, object], key: str, where: str) -> str:
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


def _row(clip: Clip, layout: Layout, folder: Path) -> dict[str, object]:
    """A value for every column of `layout`; "" for what is not known."""
    values: dict[str, object] = {label: getattr(clip, label) or "" for label in LABELS}
    values |= {layout.path: _relative(clip.path, folder), layout.text: clip.text}
    if layout.size:
        values[layout.size] = _size(clip.path)
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


def _write_csv(lines: TextIO, rows: Iterable[dict[str, object]], layout: Layout) -> None:
    writer = csv.DictWriter(lines, layout.columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)


def _write_json(lines: TextIO, rows: Iterable[dict[str, object]], layout: Layout) -> None:
    for row in rows:
        known = {key: value for key, value in row.items() if value != "" or key == layout.text}
        lines.write(json.dumps(known, ensure_ascii=False) + "\n")
