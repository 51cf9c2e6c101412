"""`earloop transcribe FILES…`: text on standard output, everything else on standard error."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress

from stt_server.errors import EarloopError, NotFound
from stt_server.messages import Endpointing, Open
from stt_server.settings import load_settings
from stt_server.speech.bundle import find_bundle
from stt_server.speech.offline import transcribe_files
from stt_server.speech.recognizer import Recognizer

if TYPE_CHECKING:
    from stt_server.messages import Transcript

AUDIO = {".wav", ".flac", ".ogg", ".opus", ".mp3", ".aiff", ".aif"}


def transcribe(
    files: Annotated[list[Path], typer.Argument(help="audio files, folders of them, or - for standard input")],
    model: Annotated[str | None, typer.Option(help="a model's name or a bundle's path")] = None,
    lm: Annotated[Path | None, typer.Option(help="an ARPA language model instead of the bundle's")] = None,
    decoder: Annotated[str | None, typer.Option(help="greedy or reference")] = None,
    precision: Annotated[str, typer.Option(help="fp32 or int8")] = "fp32",
    no_vad: Annotated[bool, typer.Option("--no-vad", help="hear each file as one utterance")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object a line, with words and times")] = False,
) -> None:
    """Write down what is said in audio files. Files that cannot be read are named; the others go on."""
    settings = load_settings(model=model)
    paths = [path for given in files for path in _expanded(given)]
    recognizer = Recognizer.load(
        find_bundle(settings.model, settings.data),
        precision=precision,
        threads=settings.threads,
        lm=lm,
        decoder=decoder,
    )
    options = Open("transcribe", decoder=decoder, endpointing=Endpointing(enabled=not no_vad))
    sources = [sys.stdin.buffer if path == Path("-") else path for path in paths]
    errors: list[EarloopError] = []
    with Progress(console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task("transcribing", total=len(paths))
        for path, outcome in zip(paths, transcribe_files(recognizer, sources, options), strict=True):
            progress.advance(task)
            if isinstance(outcome, EarloopError):
                errors.append(outcome)
                typer.echo(f"earloop: {path}: {outcome}", err=True)
            else:
                typer.echo(_line(path, outcome, as_json=as_json, named=len(paths) > 1))
    if errors:
        raise typer.Exit(errors[0].exit_code)


def _expanded(path: Path) -> list[Path]:
    """The path itself, or the audio files under it."""
    if not path.is_dir():
        return [path]
    found = sorted(each for each in path.rglob("*") if each.suffix.lower() in AUDIO)
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
