"""The manifests we read and write: which column or key holds what, and how to tell them apart by their first line.

| layout       | file | columns or keys                                                   | who writes it             |
| ------------ | ---- | ---------------------------------------------------------------- | ------------------------- |
| earloop      | CSV  | source, split, speaker, path, duration_s, transcript (, licence)   | we do                     |
| deepspeech   | CSV  | wav_filename, wav_filesize, transcript                            | DeepSpeech and Coqui STT  |
| nemo         | JSON | audio_filepath, duration, text (, source, speaker, split, …)       | NVIDIA NeMo, line by line |
| common-voice | TSV  | client_id, path, sentence (, up_votes, age, …)                     | Mozilla Common Voice      |
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from stt_server.corpus.rows import TABS, Row, csv_rows, first_line, json_rows
from stt_server.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from stt_server.corpus.rows import Fault


@dataclass(frozen=True, slots=True)
class Layout:
    """Which column or key holds what; "" where the layout has no place for it."""

    name: str
    suffix: str
    columns: tuple[str, ...]
    path: str
    text: str
    duration_s: str = ""
    size: str = ""
    speaker: str = "speaker"
    folder: str = ""  # beside the manifest, where paths begin if it is there

    @property
    def is_json(self) -> bool:
        return self.suffix == ".jsonl"

    @property
    def dialect(self) -> dict[str, Any]:
        """How the csv module is to read and write it. Common Voice puts no quotes around anything."""
        return TABS if self.suffix == ".tsv" else {}


EARLOOP = Layout(
    "earloop",
    ".csv",
    ("source", "split", "speaker", "path", "duration_s", "transcript", "licence"),
    path="path",
    text="transcript",
    duration_s="duration_s",
)
DEEPSPEECH = Layout(
    "deepspeech",
    ".csv",
    ("wav_filename", "wav_filesize", "transcript"),
    path="wav_filename",
    text="transcript",
    size="wav_filesize",
)
NEMO = Layout(
    "nemo",
    ".jsonl",
    ("audio_filepath", "duration", "text", "source", "split", "speaker", "licence"),
    path="audio_filepath",
    text="text",
    duration_s="duration",
)
COMMON_VOICE = Layout(
    "common-voice",
    ".tsv",
    ("client_id", "path", "sentence"),
    path="path",
    text="sentence",
    speaker="client_id",
    folder="clips",
)
LAYOUTS = (EARLOOP, DEEPSPEECH, NEMO, COMMON_VOICE)


def detect_layout(path: Path) -> Layout:
    """The layout of a manifest, by its first line. Raises NotFound, and BadInput when it is none we know."""
    first = first_line(path)
    if first.lstrip().startswith("{"):
        return NEMO
    tabbed = first.rstrip("\r\n").split("\t")
    if COMMON_VOICE.path in tabbed and COMMON_VOICE.text in tabbed:
        return COMMON_VOICE
    columns = next(csv.reader([first]), [])
    for layout in (EARLOOP, DEEPSPEECH):
        if layout.path in columns and layout.text in columns:
            return layout
    known = ", or ".join(f"{layout.path} and {layout.text}" for layout in (EARLOOP, DEEPSPEECH))
    raise BadInput(
        f"{path}, line 1: the columns {', '.join(columns)[:200] or '(none)'} are no manifest of speech; name the "
        f"columns {known}, or {COMMON_VOICE.path} and {COMMON_VOICE.text} with tabs between them, "
        f"or write one JSON object a line with {NEMO.path} and {NEMO.text}"
    )


def read_rows(path: Path, layout: Layout) -> Iterator[tuple[int, Row | Fault]]:
    """(line, row) of every clip, one at a time."""
    yield from json_rows(path) if layout.is_json else csv_rows(path, **layout.dialect)
