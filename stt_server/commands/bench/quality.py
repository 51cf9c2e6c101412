"""`earloop bench grammar` and `earloop bench hotwords`: what a stream's own words and sentences do to what is heard.

Both speak with synthetic voices that no model was trained on, and need neither a server nor a corpus.
"""

from __future__ import annotations

import json
import tempfile
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stt_server.commands.folders import check_folders

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from stt_server.speech.recognizer import Recognizer

Model = Annotated[str, typer.Option(help="The model that hears, its name or its bundle; else the server's.")]
Others = Annotated[int, typer.Option(help="Sentences of other speech.", min=1, max=10_000)]
Folder = Annotated[Path | None, typer.Option(help="Keep what is spoken and heard here, and take it from here.")]
File = Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write all figures as JSON.")]


def grammar(
    model: Model = "",
    commands: Annotated[int, typer.Option(help="So many of 200 commands are spoken.", min=1, max=200)] = 200,
    others: Others = 400,
    folder: Folder = None,
    file: File = None,
) -> None:
    """Speak commands for a home to a grammar of 200, and other speech: what is heard exactly, what rejected."""
    from stt_server.commands.bench.grammar import run_grammar, table

    check_folders(file)
    with _place(folder) as place:
        rows = run_grammar(_ears(model), place, commands, others, _tell)
    _answer(rows, table(rows), file)


def hotwords(
    model: Model = "",
    words: Annotated[int, typer.Option(help="Rare words that are spoken, each in three sentences.", min=1)] = 50,
    others: Others = 1000,
    folder: Folder = None,
    file: File = None,
) -> None:
    """Speak rare words, hear them as hotwords of several boosts and as none; count hotwords where none was said."""
    from stt_server.commands.bench.hotwords import run_hotwords, table

    check_folders(file)
    with _place(folder) as place:
        rows = run_hotwords(_ears(model), place, words, others, _tell)
    _answer(rows, table(rows), file)


def _ears(model: str) -> Recognizer:
    """The model with its native search. Raises Unsupported where that was not built."""
    from stt_server.settings import load_settings
    from stt_server.speech.bundle import find_bundle
    from stt_server.speech.recognizer import Recognizer

    settings = load_settings(model=model or None)
    return Recognizer.load(find_bundle(settings.model, settings.data), threads=settings.threads, decoder="native")


@contextmanager
def _place(folder: Path | None) -> Iterator[Path]:
    if folder is not None:
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="earloop-bench-") as temporary:
        yield Path(temporary)


def _answer(rows: Sequence[Any], lines: Sequence[str], file: Path | None) -> None:
    if file:
        file.write_text(json.dumps([asdict(row) for row in rows], indent=2) + "\n", encoding="utf-8")
    for line in lines:
        typer.echo(line)


def _tell(sentence: str) -> None:
    typer.echo(sentence, err=True)
