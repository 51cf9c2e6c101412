"""`earloop transcribe FILES…`: text on standard output, everything else on standard error."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress

from stt_server.errors import BadOption, EarloopError, NotFound
from stt_server.messages import Endpointing, Open
from stt_server.services import recognizer_settings
from stt_server.settings import load_settings
from stt_server.speech.bundle import find_bundle
from stt_server.speech.offline import transcribe_files
from stt_server.speech.recognizer import Recognizer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

    from stt_server.messages import Transcript

STDIN = Path("-")
IN_MEMORY = 32 << 20  # bytes of standard input; more goes to a temporary file
AUDIO = set(".wav .flac .ogg .opus .mp3 .mpga .aiff .aif .m4a .mp4 .webm .mpeg .aac".split())  # in folders


def transcribe(
    files: Annotated[list[Path], typer.Argument(help="audio files, folders of them, or - for standard input")],
    model: Annotated[str | None, typer.Option(help="a model's name or a bundle's path")] = None,
    lm: Annotated[Path | None, typer.Option(help="an ARPA language model instead of the bundle's")] = None,
    decoder: Annotated[str | None, typer.Option(help="greedy, native or reference")] = None,
    precision: Annotated[str, typer.Option(help="fp32 or int8")] = "fp32",
    no_vad: Annotated[bool, typer.Option("--no-vad", help="hear each file as one utterance")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object a line, with words and times")] = False,
) -> None:
    """Write down what is said in audio files. Files that cannot be read are named; the others go on."""
    if lm is not None and decoder == "greedy":
        raise BadOption("the greedy decoder uses no language model; leave out --lm or --decoder greedy", field="lm")
    settings = load_settings(model=model)
    paths = [path for given in files for path in _expanded(given)]
    recognizer = Recognizer.load(
        find_bundle(settings.model, settings.data),
        precision=precision,
        threads=settings.threads,
        lm=lm,
        decoder=decoder,
        settings=recognizer_settings(settings),
    )
    options = Open("transcribe", endpointing=Endpointing(enabled=not no_vad))
    errors: list[EarloopError] = []
    with _standard_input(wanted=STDIN in paths) as stdin, progress_bar() as progress:
        task = progress.add_task("transcribing", total=len(paths))
        sources = [stdin if path == STDIN else path for path in paths]
        for path, outcome in zip(paths, transcribe_files(recognizer, sources, options), strict=True):
            progress.advance(task)
            if isinstance(outcome, EarloopError):
                errors.append(outcome)
                typer.echo(f"earloop: {_named(path, outcome)}", err=True)
            else:
                typer.echo(_line(path, outcome, as_json=as_json, named=len(paths) > 1))
    if errors:
        raise typer.Exit(errors[0].exit_code)


def progress_bar() -> Progress:
    """On standard error, where that is a terminal. Left to itself rich would send standard output there as well."""
    console = Console(stderr=True)
    disable = not sys.stderr.isatty()
    return Progress(console=console, transient=True, disable=disable, redirect_stdout=False, redirect_stderr=False)


@contextmanager
def _standard_input(*, wanted: bool) -> Iterator[BinaryIO]:
    """All of standard input as a file in which one can go back, for headers must be looked at."""
    with tempfile.SpooledTemporaryFile(IN_MEMORY) as kept:
        if wanted:
            shutil.copyfileobj(sys.stdin.buffer, kept)
        yield kept  # type: ignore[misc]  # it has all of a BinaryIO's methods but not its name


def _named(path: Path, error: EarloopError) -> str:
    """The error's sentence, which begins with the file's name where it comes from reading the file."""
    return str(error) if str(error).startswith(str(path)) else f"{path}: {error}"


def _expanded(path: Path) -> list[Path]:
    """The path itself, or the audio files under it."""
    if not path.is_dir():
        return [path]
    found = sorted(each for each in path.rglob("*") if each.suffix.lower() in AUDIO and each.is_file())
    if not found:
        raise NotFound(f"there is no audio file under {path}; looked for {', '.join(sorted(AUDIO))}")
    return found


def _line(path: Path, transcript: Transcript, *, as_json: bool, named: bool) -> str:
    if as_json:
        return json.dumps(_described(path, transcript), ensure_ascii=False)
    return f"{path}: {transcript.text}" if named else transcript.text


def _described(path: Path, transcript: Transcript) -> dict[str, Any]:
    utterances = [
        {
            "text": final.text,
            "start": final.start_s,
            "end": final.end_s,
            "words": [
                {"word": word.text, "start": word.start_s, "end": word.end_s, "confidence": word.confidence}
                for word in final.words
            ],
        }
        for final in transcript.finals
        if final.text
    ]
    facts = {"file": str(path), "text": transcript.text, "model": transcript.model, "language": transcript.language}
    return {**facts, "audio_s": transcript.audio_s, "utterances": utterances}
