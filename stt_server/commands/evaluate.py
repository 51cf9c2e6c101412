"""`earloop evaluate BUNDLE MANIFEST`: how well a model hears, as served."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, replace
from pathlib import Path  # noqa: TC003  (typer reads the annotations)
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from stt_server.commands.transcribe import progress_bar
from stt_server.corpus.corpora import find_corpus
from stt_server.corpus.evaluation import evaluate as measure
from stt_server.services import recognizer_settings
from stt_server.settings import load_settings
from stt_server.speech.bundle import find_bundle
from stt_server.speech.recognizer import Recognizer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.progress import Progress, TaskID

    from stt_server.corpus.clip import Clip
    from stt_server.corpus.evaluation import Evaluation

WORST = 10


def evaluate(
    bundle: Annotated[str, typer.Argument(help="a model's name, or a bundle's folder or zip")],
    manifest: Annotated[str, typer.Argument(help="a manifest's path, or a corpus by name; `kit` is the bundle's own")],
    split: Annotated[str | None, typer.Option(help="train, dev or test; all of them by default")] = None,
    decoder: Annotated[list[str] | None, typer.Option(help="greedy, reference; each that there is by default")] = None,
    lm: Annotated[Path | None, typer.Option(help="an ARPA language model instead of the bundle's")] = None,
    precision: Annotated[str, typer.Option(help="fp32 or int8")] = "fp32",
    limit: Annotated[int | None, typer.Option(help="only so many clips, spread over the manifest", min=1)] = None,
    no_vad: Annotated[bool, typer.Option("--no-vad", help="hear each clip as one utterance")] = False,
    json_file: Annotated[Path | None, typer.Option("--json", help="write the figures and every utterance here")] = None,
    report: Annotated[Path | None, typer.Option(help="write a report with audio and groups into this folder")] = None,
) -> None:
    """Word and character error rates and exact utterances per source, with 95 % bootstrap intervals."""
    if report:
        _check_report()
    settings = load_settings()
    recognizer = Recognizer.load(
        find_bundle(bundle, settings.data),
        precision=precision,
        threads=settings.threads,
        lm=lm,
        settings=replace(recognizer_settings(settings), decoder=None),
    )
    clips = _clips(recognizer, manifest, split, settings.corpora, limit)
    evaluations = []
    with progress_bar() as progress:
        for name in decoder or list(recognizer.decoders):
            task = progress.add_task(name, total=len(clips))
            tell = _Tell(progress, task)
            evaluations.append(measure(recognizer, clips, name, tell, endpointing=not no_vad))
    _show(evaluations, Console(width=None if sys.stdout.isatty() else 120))
    if json_file:
        facts = {"model": recognizer.name, "version": recognizer.bundle.manifest.version, "precision": precision}
        figures = {**facts, "evaluations": [_described(each) for each in evaluations]}
        json_file.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    if report:
        _write_report(recognizer, clips, evaluations, report)


class _Tell:
    def __init__(self, progress: Progress, task: TaskID) -> None:
        self.progress, self.task = progress, task

    def __call__(self, done: int) -> None:
        self.progress.update(self.task, completed=done)


def _clips(recognizer: Recognizer, name: str, split: str | None, corpora: Path | None, limit: int | None) -> list[Clip]:
    bundle = recognizer.bundle
    if name == "kit" and bundle.manifest.kit:
        name = str(bundle.path(bundle.manifest.kit))
    clips = [replace(clip, source=clip.source or "clips") for clip in find_corpus(corpora, name).clips(split)]
    return clips if limit is None else clips[:: max(1, len(clips) // limit)][:limit]


def _show(evaluations: Sequence[Evaluation], console: Console) -> None:
    table = Table("source", "clips", "decoder", "WER", "CER", "exact utterances", title="95 % bootstrap intervals")
    for source in evaluations[0].scores:
        for each in evaluations:
            score = each.scores[source]
            table.add_row(source, str(score.utterances), each.decoder, str(score.wer), str(score.cer), str(score.exact))
    console.print(table)
    for each in evaluations:
        false, quiet = each.false_words
        if quiet:
            console.print(f"{each.decoder}: words heard in {false} of {quiet} clips without speech")
    console.print(f"\nworst utterances, {evaluations[-1].decoder}")
    for heard in evaluations[-1].worst(WORST):
        console.print(f"  true   {heard.said}\n  heard  {heard.heard}", markup=False, highlight=False)


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
