"""The rows of a text file that lists clips: CSV, TSV or a JSON object a line, each with the line it stands on.

A row that cannot be read does not end the reading. It comes out as a `Fault`, which says file, line and remedy, so that
whoever reads decides: `read_manifest` raises the first one, `read_corpus` makes a finding of each.
"""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TextIO

from stt_server.errors import BadInput, EarloopError, NotFound

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

Row = dict[str, object]

TABS: Final[dict[str, Any]] = {"delimiter": "\t", "quoting": csv.QUOTE_NONE, "quotechar": None}
LONGEST_HEADER = 1 << 20


@dataclass(frozen=True, slots=True)
class Fault:
    """A row or file that gives no clip. `audio` is the file it is about, the list itself where it names none."""

    error: EarloopError
    audio: Path


def open_text(path: Path) -> AbstractContextManager[TextIO]:
    """A UTF-8 file, with or without a byte order mark. Raises NotFound and BadInput naming the file.

    Bytes that are no UTF-8 come out as lone surrogates, which `is_text` finds: one bad line is one fault.
    """
    try:
        return path.open(encoding="utf-8-sig", errors="surrogateescape", newline="")
    except (FileNotFoundError, NotADirectoryError) as error:
        raise NotFound(f"{path}: there is no such manifest") from error
    except OSError as error:
        raise BadInput(f"{path}: cannot be read as a manifest: {error.strerror}") from error


def is_text(line: str) -> bool:
    """Whether what was read was UTF-8."""
    return not any("\ud800" <= char <= "\udfff" for char in line)


def first_line(path: Path) -> str:
    """The first line that is not blank, "" in an empty file. Raises NotFound, BadInput where it is no text."""
    with open_text(path) as lines:
        line = "\n"
        while line and not line.strip():
            line = lines.readline(LONGEST_HEADER)
    if not is_text(line) or "\0" in line:
        raise BadInput(f"{path}: not UTF-8 text; give a manifest, saved as UTF-8")
    return line


def csv_rows(path: Path, **dialect: Any) -> Iterator[tuple[int, Row | Fault]]:
    """(line, row) under a header, each row of as many fields as that; `dialect` goes to `csv.reader`."""
    with open_text(path) as lines:
        reader = csv.reader(lines, strict=True, **dialect)
        columns: list[str] = []
        while True:
            begins = reader.line_num + 1
            try:
                fields = next(reader, None)
            except csv.Error as error:
                yield begins, _not_csv(path, begins, error)
                if not columns:
                    return
                continue
            if fields is None:
                return
            if not columns:
                columns = fields
            elif fields:
                yield reader.line_num, _row(path, reader.line_num, columns, fields)


def json_rows(path: Path) -> Iterator[tuple[int, Row | Fault]]:
    """(line, row) of a file with a JSON object on each line that is not blank."""
    with open_text(path) as lines:
        for number, line in enumerate(lines, 1):
            if line.strip():
                yield number, _json_row(path, number, line)


def _row(path: Path, line: int, columns: list[str], fields: list[str]) -> Row | Fault:
    if not all(map(is_text, fields)):
        return _fault(path, line, "not UTF-8 text; save the manifest as UTF-8")
    if len(fields) != len(columns):
        told = f"{len(fields)} fields under {len(columns)} columns"
        return _fault(path, line, f'{told}; put quotes around a text that has commas: "no, thanks"')
    return dict(zip(columns, fields, strict=True))


def _not_csv(path: Path, line: int, error: csv.Error) -> Fault:
    if "unexpected end of data" in str(error):
        return _fault(path, line, "not CSV: a quote opens here and never closes, so nothing below was read; close it")
    return _fault(path, line, f"not CSV: {error}; quote texts with commas or quotes")


def _json_row(path: Path, number: int, line: str) -> Row | Fault:
    if not is_text(line):
        return _fault(path, number, "not UTF-8 text; save the manifest as UTF-8")
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        return _fault(path, number, f"not JSON: {getattr(error, 'msg', error)}; write one object a line")
    if isinstance(row, dict) and not all(is_text(value) for value in row.values() if isinstance(value, str)):
        return _fault(path, number, "half a character (a lone surrogate) in a text; write it whole")
    if not isinstance(row, dict):
        return _fault(path, number, 'not an object; write {"audio_filepath": …, "text": …}')
    return row


def _fault(path: Path, line: int, sentence: str) -> Fault:
    return Fault(BadInput(f"{path}, line {line}: {sentence}"), path)
