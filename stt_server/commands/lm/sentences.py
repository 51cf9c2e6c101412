"""Text files as sentences, one a line, and what had to be left out of them."""

from __future__ import annotations

import gzip
import io
import sys
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TextIO

import typer

from stt_server.errors import BadInput, NotFound
from stt_server.speech.text import find_unspellable, normalize

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

SHOWN = 3  # lines left out that are named; the rest are counted

Texts = Annotated[
    list[str], typer.Argument(metavar="TEXT", help="Text files, one sentence a line; .gz too; - is standard input.")
]
Column = Annotated[
    int | None,
    typer.Option(help="Which tab-separated field holds the sentence, from 1; the last by default.", min=1),
]
Normalized = Annotated[
    bool, typer.Option("--normalize/--no-normalize", help="Lower-case, drop punctuation, put digits into words.")
]


@dataclass(slots=True)
class Sentences:
    """Reads text files as sentences, and remembers what it had to leave out."""

    column: int | None
    normalized: bool
    taken: int = 0
    left_out: int = 0
    shown: list[str] = field(default_factory=list)

    def read(self, texts: Sequence[str]) -> Iterator[str]:
        """Every sentence with a word in it. Raises NotFound and BadInput naming file and line."""
        for name in texts:
            with _open(name) as lines:
                for number, line in enumerate(_decoded(name, lines), 1):
                    sentence = self._sentence(line.rstrip("\r\n"), f"{name}, line {number}")
                    if sentence:
                        self.taken += 1
                        yield sentence

    def report(self) -> None:
        """Say on standard error what was left out, if anything was."""
        for line in self.shown:
            typer.echo(line, err=True)
        if self.left_out > len(self.shown):
            typer.echo(f"left out {self.left_out} lines in all", err=True)

    def _sentence(self, line: str, where: str) -> str:
        fields = line.split("\t")
        if self.column is not None and self.column > len(fields):
            raise BadInput(f"{where}: {len(fields)} tab-separated fields; there is no column {self.column}")
        text = fields[-1 if self.column is None else self.column - 1]
        if not self.normalized:
            return text.strip()
        unspellable = find_unspellable(text)
        if not unspellable:
            return normalize(text)
        self.left_out += 1
        if len(self.shown) < SHOWN:
            self.shown.append(f"{where}: left out, {unspellable[:10]!r} cannot be spelled a-z")
        return ""


@contextmanager
def _open(name: str) -> Iterator[TextIO]:
    """A text file, plain or compressed, or standard input."""
    if name == "-":
        yield sys.stdin
        return
    try:
        file = gzip.open(name) if name.endswith(".gz") else Path(name).open("rb")  # noqa: SIM115  closed below
    except FileNotFoundError as error:
        raise NotFound(f"{name}: there is no such text file") from error
    except OSError as error:
        raise BadInput(f"{name}: cannot be read: {error.strerror}") from error
    with io.TextIOWrapper(file, encoding="utf-8-sig") as lines:
        yield lines


def _decoded(name: str, lines: TextIO) -> Iterator[str]:
    try:
        yield from lines
    except UnicodeDecodeError as error:
        raise BadInput(f"{name}: not UTF-8 text; save it as UTF-8") from error
    except (EOFError, gzip.BadGzipFile) as error:
        raise BadInput(f"{name}: damaged or no gzip file: {error}") from error
