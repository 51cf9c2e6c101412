"""`earloop corpora list`, `get`, `check`, `convert`: from names and folders to clips fit for training."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from stt_server.commands.transcribe import progress_bar
from stt_server.corpus.alphabets import misfits
from stt_server.corpus.checks import check_clips
from stt_server.corpus.corpora import MANIFEST, list_corpora
from stt_server.corpus.download import Patience
from stt_server.corpus.fetch import fetch_corpus
from stt_server.corpus.findings import Severity, summarise, write_findings_csv
from stt_server.corpus.formats.table import FORMATS, read_corpus, write_corpus
from stt_server.corpus.registry import find_entry, load_registry
from stt_server.corpus.splits import Splitting, split_clips
from stt_server.errors import NotFound
from stt_server.settings import load_settings
from stt_server.speech.bundle import find_bundle, load_bundle

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rich.progress import Progress, TaskID

    from stt_server.corpus.clip import Clip
    from stt_server.corpus.findings import Finding
    from stt_server.corpus.registry import Entry
    from stt_server.speech.bundle import Manifest

app = typer.Typer()
Registry = Annotated[str | None, typer.Option(help="another registry: a TOML file's path or address")]
Folder = Annotated[Path | None, typer.Option(help="where corpora lie; EARLOOP_CORPORA by default")]
NAMES = ", ".join(each.name for each in FORMATS)
APART_FROM = 100  # clips; fewer are decoded before other processes have started


@app.command("list")
def list_all(registry: Registry = None, folder: Folder = None) -> None:
    """What can be fetched, and what is there."""
    entries, root = load_registry(registry), folder or load_settings().corpora
    table = Table(Column("corpus", no_wrap=True), "size", "licence", "", "what", box=None, pad_edge=False)
    for name, entry in entries.items():
        table.add_row(name, _size(entry), entry.licence, _state(name, entry, root), entry.what)
    Console().print(table)
    others = [each.name for each in list_corpora(root)] if root and root.is_dir() else []
    if others:
        typer.echo(f"\nIn {root}: {', '.join(others)}")


@app.command()
def get(
    name: Annotated[str, typer.Argument(help="a corpus of `earloop corpora list`")],
    registry: Registry = None,
    folder: Folder = None,
    keep: Annotated[bool, typer.Option("--keep", help="keep the archives after unpacking")] = False,
    hours: Annotated[float, typer.Option(help="give up after so long; the next call goes on from there", min=0)] = 24,
) -> None:
    """Fetch a public corpus, check it against its digest, unpack and list it. An interrupted call is gone on with."""
    entry, root = find_entry(load_registry(registry), name), folder or load_settings().corpora
    if root is None:
        raise NotFound("no folder for corpora: set EARLOOP_CORPORA to one, or name it with --folder")
    root.mkdir(parents=True, exist_ok=True)
    typer.echo(f"{name}: {entry.what}. Licence {entry.licence}, {entry.page}", err=True)
    with progress_bar() as progress:
        fetched = fetch_corpus(name, entry, root, _steps(progress), Patience(deadline_s=hours * 3600), keep=keep)
    typer.echo(f"{fetched.folder}: {fetched.clips} clips{_left_out(fetched.findings)}")


@app.command()
def check(
    dataset: Annotated[Path, typer.Argument(help="a manifest or a dataset's folder")],
    format_: Annotated[str | None, typer.Option("--format", help=f"one of {NAMES}; recognised by default")] = None,
    csv: Annotated[Path | None, typer.Option(help="write every finding here, one a row")] = None,
    bundle: Annotated[str, typer.Option(help="the model to learn from: its alphabet and frames count")] = "en-small",
    longest_s: Annotated[float, typer.Option(help="longer clips are faulty", min=0)] = 16,
    workers: Annotated[int | None, typer.Option(help="processes that decode; one per core by default", min=0)] = None,
) -> None:
    """Listen to every clip and name those that would spoil a training. Ends with exit code 1 where one has an error."""
    model = load_bundle(find_bundle(bundle, load_settings().data)).manifest
    reading = read_corpus(dataset, format_)
    findings = [*reading.findings, *_check(reading.clips, model, longest_s, workers)]
    hours = sum(clip.duration_s or 0 for clip in reading.clips) / 3600
    known = f", {hours:.2f} h by the list" if hours else ""
    typer.echo(f"{dataset}: {reading.format.name}, {len(reading.clips)} clips{known}")
    _show(findings)
    for char, count in misfits((clip.text for clip in reading.clips), model.alphabet).most_common(10):
        typer.echo(f"{char!r} is in {count} texts and not in the alphabet of {bundle}")
    if csv:
        write_findings_csv(csv, findings)
        typer.echo(f"all {len(findings)} findings: {csv}")
    if any(found.is_error for found in findings):
        raise typer.Exit(1)


@app.command()
def convert(
    dataset: Annotated[Path, typer.Argument(help="a manifest or a dataset's folder")],
    output: Annotated[Path, typer.Argument(help="a folder, or a file where the format keeps splits in one")],
    to: Annotated[str, typer.Option(help="earloop, deepspeech, nemo or common-voice")] = "earloop",
    from_: Annotated[str | None, typer.Option("--from", help=f"one of {NAMES}; recognised by default")] = None,
    split: Annotated[
        bool, typer.Option("--split", help="split clips that have no split into train, dev, test")
    ] = False,
) -> None:
    """Write a dataset's lists in another format; audio stays where it is."""
    reading = read_corpus(dataset, from_)
    _show(reading.findings)
    clips = reading.clips
    if split:
        splitting = split_clips(clips)
        clips = splitting.clips
        typer.echo(_told(splitting))
    for path in write_corpus(output, clips, to):
        typer.echo(str(path))


def _check(clips: Sequence[Clip], model: Manifest, longest_s: float, workers: int | None) -> list[Finding]:
    frame_ms = model.features.hop_ms * model.subsampling
    apart = (os.cpu_count() or 1) if workers is None and len(clips) >= APART_FROM else workers or 0
    with progress_bar() as progress:
        task = progress.add_task("listen", total=len(clips))
        return check_clips(
            clips,
            frame_ms=frame_ms,
            longest_s=longest_s,
            alphabet=model.alphabet,
            decode=True,
            workers=apart,
            progress=lambda done, of: progress.update(task, completed=done, total=of),
        )


def _show(findings: Sequence[Finding]) -> None:
    """A line a kind, with its first clip."""
    if not findings:
        typer.echo("no findings")
        return
    first = Column("the first of them", overflow="fold")  # paths are to be copied whole
    table = Table("", Column("finding", no_wrap=True), "clips", first, box=None, pad_edge=False)
    colours = {Severity.ERROR: "red", Severity.WARNING: "yellow", Severity.NOTICE: "dim"}
    for line in summarise(findings):
        example = f"{line.example.clip.path}: {line.example.sentence}"
        table.add_row(f"[{colours[line.severity]}]{line.severity}[/]", line.kind, str(line.clips), Text(example))
    Console().print(table)


def _told(splitting: Splitting) -> str:
    counts = {part: sum(clip.split == part for clip in splitting.clips) for part in ("train", "dev", "test")}
    parts = ", ".join(f"{part} {count}" for part, count in counts.items())
    left_out = f", {len(splitting.left_out)} left out" if splitting.left_out else ""
    return f"split by {splitting.rule}: {parts}{left_out}. {splitting.holds_for}"


def _steps(progress: Progress) -> Callable[[str, int, int], None]:
    """A bar for each step, made when the step is first heard of."""
    tasks: dict[str, TaskID] = {}

    def tell(step: str, done: int, of: int) -> None:
        if step not in tasks:
            tasks[step] = progress.add_task(step, total=of)
        progress.update(tasks[step], completed=done)

    return tell


def _left_out(findings: Sequence[Finding]) -> str:
    return f"; {len(findings)} things in it gave no clip, see findings.csv there" if findings else ""


def _size(entry: Entry) -> str:
    if not entry.archives:
        return ""
    return f"{entry.size / 1e9:.1f} GB" if entry.size >= 1e9 else f"{entry.size / 1e6:.0f} MB"


def _state(name: str, entry: Entry, root: Path | None) -> str:
    if root and (root / name / MANIFEST).is_file():
        return "here"
    return "by hand" if entry.by_hand else ""
