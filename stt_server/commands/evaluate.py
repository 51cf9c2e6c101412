"""`earloop evaluate BUNDLE MANIFEST`: how well a model hears, as served."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from stt_server.commands.transcribe import progress_bar
from stt_server.corpus.corpora import find_corpus
from stt_server.corpus.evaluation import changes
from stt_server.corpus.evaluation import evaluate as measure
from stt_server.corpus.formats.table import read_corpus
from stt_server.services import recognizer_settings
from stt_server.settings import load_settings
from stt_server.speech.bundle import find_bundle
from stt_server.speech.recognizer import Recognizer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.progress import Progress, TaskID

    from stt_server.corpus.clip import Clip
    from stt_server.corpus.evaluation import Evaluation
    from stt_server.settings import Settings

WORST = 10
PLAIN = "fp32"  # beside which any other precision is measured


def evaluate(
    bundle: Annotated[str, typer.Argument(help="a model's name, or a bundle's folder or zip")],
    manifest: Annotated[
        str,
        typer.Argument(help="a list, a folder of clips (with a slash) or a corpus by name; `kit`: the bundle's own"),
    ],
    split: Annotated[str | None, typer.Option(help="train, dev or test; all of them by default")] = None,
    decoder: Annotated[
        list[str] | None, typer.Option(help="greedy, native, reference; each that there is by default")
    ] = None,
    lm: Annotated[Path | None, typer.Option(help="an ARPA language model instead of the bundle's")] = None,
    precision: Annotated[str, typer.Option(help="fp32, or int8, which is measured beside it")] = PLAIN,
    limit: Annotated[int | None, typer.Option(help="only so many clips, spread over the manifest", min=1)] = None,
    no_vad: Annotated[bool, typer.Option("--no-vad", help="hear each clip as one utterance")] = False,
    json_file: Annotated[Path | None, typer.Option("--json", help="write the figures and every utterance here")] = None,
    report: Annotated[Path | None, typer.Option(help="write a report with audio and groups into this folder")] = None,
) -> None:
    """Word and character error rates and exact utterances per source, with 95 % bootstrap intervals."""
    if report:
        _check_report()
    settings = load_settings()
    found = find_bundle(bundle, settings.data)
    recognizer = _ears(found, precision, settings, lm)
    clips = _clips(recognizer, manifest, split, settings.corpora, limit)
    names = decoder or list(recognizer.decoders)
    before: list[Evaluation] = []
    with progress_bar() as progress:
        if precision != PLAIN:
            before = _measured(_ears(found, PLAIN, settings, lm), clips, names, progress, PLAIN, vad=not no_vad)
        evaluations = _measured(recognizer, clips, names, progress, precision, vad=not no_vad)
    _show(evaluations, before, precision, Console(width=None if sys.stdout.isatty() else 120))
    if json_file:
        facts = {"model": recognizer.name, "version": recognizer.bundle.manifest.version, "precision": precision}
        figures: dict[str, Any] = {**facts, "evaluations": [_described(each) for each in evaluations]}
        if before:
            figures["against"] = {"precision": PLAIN, "wer_change": _changes_by_decoder(before, evaluations)}
        json_file.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    if report:
        _write_report(recognizer, clips, evaluations, report)


def _ears(bundle: Path, precision: str, settings: Settings, lm: Path | None) -> Recognizer:
    return Recognizer.load(
        bundle,
        precision=precision,
        threads=settings.threads,
        lm=lm,
        settings=replace(recognizer_settings(settings), decoder=None),
    )


def _measured(
    ears: Recognizer, clips: Sequence[Clip], names: Sequence[str], progress: Progress, precision: str, *, vad: bool
) -> list[Evaluation]:
    """By each decoder; a bar shows how far it is."""
    measured = []
    for name in names:
        tell = _Tell(progress, progress.add_task(f"{name}, {precision}", total=len(clips)))
        measured.append(measure(ears, clips, name, tell, endpointing=vad))
    return measured


class _Tell:
    def __init__(self, progress: Progress, task: TaskID) -> None:
        self.progress, self.task = progress, task

    def __call__(self, done: int) -> None:
        self.progress.update(self.task, completed=done)


def _clips(recognizer: Recognizer, name: str, split: str | None, corpora: Path | None, limit: int | None) -> list[Clip]:
    bundle = recognizer.bundle
    if name == "kit" and bundle.manifest.kit:
        name = str(bundle.path(bundle.manifest.kit))
    listed = _folder(Path(name)) if "/" in name and Path(name).is_dir() else find_corpus(corpora, name).clips()
    clips = [replace(clip, source=clip.source or "clips") for clip in listed if split in (None, clip.split)]
    return clips if limit is None else clips[:: max(1, len(clips) // limit)][:limit]


def _folder(folder: Path) -> list[Clip]:
    """The clips of a dataset's folder in any format; what in it is no clip is counted."""
    reading = read_corpus(folder)
    if reading.findings:
        told = f"{len(reading.findings)} things in it are no clips, such as: {reading.findings[0].sentence}"
        typer.echo(f"{folder}: {told}", err=True)
    return reading.clips


def _show(evaluations: Sequence[Evaluation], before: Sequence[Evaluation], precision: str, console: Console) -> None:
    table = Table("source", "clips", "decoder", "WER", "CER", "exact utterances", title="95 % bootstrap intervals")
    for source in evaluations[0].scores:
        for each in evaluations:
            score = each.scores[source]
            table.add_row(source, str(score.utterances), each.decoder, str(score.wer), str(score.cer), str(score.exact))
    console.print(table)
    if before:
        console.print(_beside(evaluations, before, precision))
    for each in evaluations:
        false, quiet = each.false_words
        if quiet:
            console.print(f"{each.decoder}: words heard in {false} of {quiet} clips without speech")
    console.print(f"\nworst utterances, {evaluations[-1].decoder}")
    for heard in evaluations[-1].worst(WORST):
        console.print(f"  true   {heard.said}\n  heard  {heard.heard}", markup=False, highlight=False)


def _beside(evaluations: Sequence[Evaluation], before: Sequence[Evaluation], precision: str) -> Table:
    """Both precisions, and by how much the word error rate differs, in points."""
    title = f"{precision} beside {PLAIN}: the difference is paired by utterance"
    table = Table("source", "decoder", f"WER {PLAIN}", f"WER {precision}", "difference, points", title=title)
    for source in evaluations[0].scores:
        for plain, each in zip(before, evaluations, strict=True):
            change = changes(plain, each)[source]
            told = f"{100 * change.value:+.2f} ({100 * change.low:+.2f} to {100 * change.high:+.2f})"
            table.add_row(source, each.decoder, str(plain.scores[source].wer), str(each.scores[source].wer), told)
    return table


def _changes_by_decoder(before: Sequence[Evaluation], evaluations: Sequence[Evaluation]) -> dict[str, Any]:
    return {
        each.decoder: {source: asdict(change) for source, change in changes(plain, each).items()}
        for plain, each in zip(before, evaluations, strict=True)
    }


def _check_report() -> None:
    from training.report import check_packages

    check_packages()


def _write_report(
    recognizer: Recognizer, clips: Sequence[Clip], evaluations: Sequence[Evaluation], folder: Path
) -> None:
    from training.report import Material, summary, write_report

    material = Material(recognizer.name, recognizer.bundle.folder, evaluations, test=clips)
    for line in summary(write_report(material, folder), folder):
        typer.echo(line, err=True)


def _described(evaluation: Evaluation) -> dict[str, Any]:
    rows = [{"path": str(each.clip.path), "true": each.said, "heard": each.heard} for each in evaluation.heard]
    scores = {source: asdict(score) for source, score in evaluation.scores.items()}
    return {"decoder": evaluation.decoder, "scores": scores, "utterances": rows}
