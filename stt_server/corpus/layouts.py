"""The manifest layouts we read and write, and how to tell them apart by what a file begins with.

| layout     | file | columns or keys                                                  | who writes it             |
| ---------- | ---- | ---------------------------------------------------------------- | ------------------------- |
| earloop    | CSV  | source, split, speaker, path, duration_s, transcript (, licence)  | we do                     |
| deepspeech | CSV  | wav_filename, wav_filesize, transcript                           | DeepSpeech and Coqui STT  |
| nemo       | JSON | audio_filepath, duration, text (, source, speaker, split, …)      | NVIDIA NeMo; a line a clip |
"""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, TextIO

from stt_server.errors import BadInput, NotFound

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Layout:
    """Which column or key holds what; "" where the layout has no place for it."""

    name: str
    columns: tuple[str, ...]
    path: str
    text: str
    duration_s: str = ""
    size: str = ""
    is_json: bool = False


LABELS = ("source", "split", "speaker", "licence")  # called the same wherever a layout has room for them
EARLOOP = Layout(
    "earloop",
    ("source", "split", "speaker", "path", "duration_s", "transcript", "licence"),
    path="path",
    text="transcript",
    duration_s="duration_s",
)
DEEPSPEECH = Layout(
    "deepspeech",
    ("wav_filename", "wav_filesize", "transcript"),
    path="wav_filename",
    text="transcript",
    size="wav_filesize",
)
NEMO = Layout(
    "nemo",
    ("audio_filepath", "duration", "text", *LABELS),
    path="audio_filepath",
    text="text",
    duration_s="duration",
    is_json=True,
)


def open_text(path: Path) -> AbstractContextManager[TextIO]:
    """A UTF-8 file, with or without a byte order mark. Raises NotFound and BadInput naming the file."""
    try:
        return path.open(encoding="utf-8-sig", newline="")
    except (FileNotFoundError, NotADirectoryError) as error:
        raise NotFound(f"{path}: there is no such manifest") from error
    except OSError as error:
        raise BadInput(f"{path}: cannot be read as a manifest: {error.strerror}") from error


def detect_layout(path: Path) -> Layout:
    """The layout of a manifest, by its first line. Raises BadInput when it is none we know."""
    try:
        with open_text(path) as lines:
            first = next((line for line in lines if line.strip()), "")
    except UnicodeDecodeError as error:
        raise BadInput(f"{path}: not UTF-8 text; give a manifest, saved as UTF-8") from error
    if first.lstrip().startswith("{"):
        return NEMO
    columns = next(csv.reader([first]), [])
    for layout in (EARLOOP, DEEPSPEECH):
        if layout.path in columns and layout.text in columns:
            return layout
    known = ", or ".join(f"{layout.path} and {layout.text}" for layout in (EARLOOP, DEEPSPEECH))
    raise BadInput(
        f"{path}, line 1: the columns {', '.join(columns) or '(none)'} are no manifest of speech; "
        f"name the columns {known}, or write one JSON object a line with {NEMO.path} and {NEMO.text}"
    )


def read_rows(path: Path, layout: Layout) -> Iterator[tuple[int, dict[str, object]]]:
    """(line, row) of every clip, one at a time. Raises BadInput naming file and line."""
    line = 1
    try:
        with open_text(path) as lines:
            for line, row in _json_rows(path, lines) if layout.is_json else csv_rows(path, lines):
                yield line, row
    except UnicodeDecodeError as error:
        raise BadInput(f"{path}, after line {line}: not UTF-8 text; save the manifest as UTF-8") from error


def csv_rows(path: Path, lines: TextIO) -> Iterator[tuple[int, dict[str, object]]]:
    """The rows under a CSV header, each of as many fields as the header."""
    reader = csv.reader(lines, strict=True)
    try:
        columns = next(reader, [])
        for fields in reader:
            if not fields:
                continue
            if len(fields) != len(columns):
                raise BadInput(
                    f"{path}, line {reader.line_num}: {len(fields)} fields under {len(columns)} columns; "
                    'put quotes around a text that has commas: "no, thanks"'
                )
            yield reader.line_num, dict(zip(columns, fields, strict=True))
    except csv.Error as error:
        raise BadInput(
            f"{path}, line {reader.line_num}: not CSV: {error}; quote texts with commas or quotes"
        ) from error


def _json_rows(path: Path, lines: TextIO) -> Iterator[tuple[int, dict[str, object]]]:
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise BadInput(f"{path}, line {number}: not JSON: {error.msg}; write one object a line") from error
        if not isinstance(row, dict):
            raise BadInput(f'{path}, line {number}: not an object; write {{"{NEMO.path}": …, "{NEMO.text}": …}}')
        yield number, row
