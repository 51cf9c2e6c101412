"""`earloop train RECIPE`: from a recipe to a bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from stt_server.errors import Unsupported
from stt_server.settings import load_settings

EXTRA = ("onnx", "onnxscript", "torch")  # what `pip install 'earloop[train]'` brings


def train(
    recipe: Annotated[str, typer.Argument(help="a recipe's file, or the name of a shipped one")],
    output: Annotated[Path | None, typer.Option(help="folder of the run; runs/NAME by default")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="key=value, such as schedule.epochs=3")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="go on from the run's last checkpoint")] = False,
    cache: Annotated[Path | None, typer.Option(help="decoded and synthetic audio; runs/cache by default")] = None,
) -> None:
    """Gather the data, train, export and measure; the bundle lies in OUTPUT/bundle."""
    try:
        from training.data import Places
        from training.recipe import find_recipe, load_recipe, read_change
        from training.run import Run, run_recipe
        from training.terminal import Terminal
    except ModuleNotFoundError as error:
        missing = (error.name or "").split(".")[0]
        if missing not in EXTRA:
            raise
        raise Unsupported(f"{missing} is not installed; training needs it: pip install 'earloop[train]'") from error
    loaded = load_recipe(recipe, dict(read_change(text) for text in set_ or []))
    folder = output or Path("runs") / loaded.name
    folder.mkdir(parents=True, exist_ok=True)
    places = Places(load_settings().corpora, cache or Path("runs") / "cache", find_recipe(recipe).parent)
    run_recipe(Run(loaded, places, folder, Terminal(folder / "log.jsonl")), resume=resume)
