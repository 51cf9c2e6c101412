"""`earloop export RUN`: a bundle of what a run has learned so far, or of one of its checkpoints."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from stt_server.commands.train import INTERRUPTED, trainer
from stt_server.settings import load_settings


def export(
    run: Annotated[Path, typer.Argument(help="folder of a run, or a checkpoint in one, such as runs/mine/last.pt")],
    output: Annotated[Path | None, typer.Option(help="the bundle's folder; RUN/bundle by default")] = None,
    cache: Annotated[Path | None, typer.Option(help="synthetic audio; runs/cache by default")] = None,
) -> None:
    """Export the run's best weights, or those of the checkpoint, and measure them on the run's test clips."""
    with trainer():
        from training.exporting import export_run
        from training.places import Places
        from training.terminal import Terminal
    folder = run.parent if run.is_file() else run
    places = Places(load_settings().corpora, cache or Path("runs") / "cache", folder)
    try:
        export_run(
            run, output or folder / "bundle", places, Terminal(folder / "log.jsonl" if folder.is_dir() else None)
        )
    except KeyboardInterrupt as error:
        typer.echo("earloop: stopped; no bundle was written", err=True)
        raise typer.Exit(INTERRUPTED) from error
