"""`earloop train RECIPE`: from a recipe to a bundle."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stt_server.errors import BadOption, NotFound, Unsupported
from stt_server.settings import load_settings

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

EXTRA = ("onnx", "onnxscript", "torch")  # what `pip install 'earloop[train]'` brings
DEFAULT = "from-scratch"
SMOKE, PACK = "smoke", "pack"
INTERRUPTED = 130  # as shells count an end by Ctrl-C


def train(
    recipe: Annotated[
        str | None,
        typer.Argument(help=f"a recipe's file, or the name of a shipped one; {DEFAULT} by default; or smoke, or pack"),
    ] = None,
    packed: Annotated[str | None, typer.Argument(metavar="[RECIPE]", help="behind `pack`: the recipe to pack")] = None,
    train_: Annotated[
        list[str] | None, typer.Option("--train", help="lists or folders of clips to learn from, split if they are all")
    ] = None,
    dev: Annotated[list[str] | None, typer.Option("--dev", help="lists that validations measure")] = None,
    test: Annotated[list[str] | None, typer.Option("--test", help="lists that the bundle is measured on")] = None,
    output: Annotated[Path | None, typer.Option(help="folder of the run; runs/NAME by default")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="key=value, such as schedule.epochs=3")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="go on from the run's last checkpoint")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="show data, a batch, size, time and memory; learn nothing")
    ] = False,
    learning_curve: Annotated[
        bool, typer.Option("--learning-curve", help="learn from 25 and 50 % of the clips, too; report.learning_curve")
    ] = False,
    show: Annotated[bool, typer.Option("--show", help="print the recipe with every key, and end")] = False,
    cache: Annotated[Path | None, typer.Option(help="decoded and synthetic audio; runs/cache by default")] = None,
    mib: Annotated[float, typer.Option(help="of `pack`: most MiB that OUTPUT/pack takes", min=1)] = 40,
    encoding: Annotated[str, typer.Option(help="of `pack`: adpcm (4 bits a sample), mulaw (8) or exact")] = "adpcm",
) -> None:
    """Gather the data, train, export and measure; the bundle lies in OUTPUT/bundle.

    `smoke` checks the installation. `pack RECIPE` writes OUTPUT/pack, from which a machine with a GPU and nothing else
    learns: python -m training.packed.
    """
    with trainer():
        from training.dryrun import show_run
        from training.pack import pack_run
        from training.places import Places
        from training.recipe import as_yaml, find_recipe, load_recipe, read_change
        from training.run import run_recipe
        from training.rundir import Run
        from training.smoke import check_install
        from training.terminal import Terminal
    if recipe == SMOKE:
        check_install(Terminal(None))
        return
    lists = _sources(train_, dev, test)
    named = _recipe_named(recipe, packed)
    name = named or _begun(output, resume=resume, lists=lists)
    curve = {"report.learning_curve": True} if learning_curve else {}
    loaded = load_recipe(name, lists | curve | dict(read_change(text) for text in set_ or []))
    if show:
        typer.echo(as_yaml(loaded), nl=False)
        return
    folder = output or Path("runs") / loaded.name
    places = Places(load_settings().corpora, cache or Path("runs") / "cache", find_recipe(name).parent)
    try:
        if dry_run:
            show_run(Run(loaded, places, folder, Terminal(None)))
        elif recipe == PACK:
            pack_run(Run(loaded, places, folder, Terminal(folder / "log.jsonl")), folder / PACK, mib, encoding)
        else:
            run_recipe(Run(loaded, places, folder, Terminal(folder / "log.jsonl")), resume=resume)
    except KeyboardInterrupt as error:
        typer.echo(f"earloop: stopped; {_left(folder)}", err=True)
        raise typer.Exit(INTERRUPTED) from error


@contextmanager
def trainer() -> Iterator[None]:
    """Within, the trainer is imported. Raises Unsupported where the extra it needs is not installed."""
    try:
        yield
    except ModuleNotFoundError as error:
        missing = (error.name or "").split(".")[0]
        if missing not in EXTRA:
            raise
        raise Unsupported(f"{missing} is not installed; training needs it: pip install 'earloop[train]'") from error


def _sources(train_: Sequence[str] | None, dev: Sequence[str] | None, test: Sequence[str] | None) -> dict[str, Any]:
    """What --train, --dev and --test set in a recipe. Lists to learn from replace all data of the recipe."""
    given = {"train": _paths(train_), "dev": _paths(dev), "test": _paths(test)}
    changes: dict[str, Any] = {f"data.{part}": _named(part, paths) for part, paths in given.items() if paths}
    if given["train"]:
        alone = not given["dev"] and not given["test"]
        changes = {"data.dev": [], "data.test": []} | changes | {"data.split": alone}
    return changes


def _paths(given: Sequence[str] | None) -> list[str]:
    """Each option's values, also several with commas between them: paths from here, or a corpus's name."""
    names = [name for each in given or () for name in each.split(",") if name]
    return [str(Path(name).absolute()) if Path(name).exists() else name for name in names]


def _named(part: str, paths: Sequence[str]) -> list[dict[str, str]]:
    """Several lists to measure on are told apart by their files' names."""
    stems = [Path(path).stem for path in paths]
    tell_apart = part != "train" and 1 < len(paths) == len(set(stems))
    return [{"corpus": path, **({"name": stem} if tell_apart else {})} for path, stem in zip(paths, stems, strict=True)]


def _recipe_named(first: str | None, second: str | None) -> str | None:
    """The recipe's name: the first word, or the one behind `pack`."""
    if second is not None and first != PACK:
        raise BadOption(f"{second!r} is one recipe too many; only `pack` stands before another word", field="recipe")
    return second if first == PACK else first


def _begun(output: Path | None, *, resume: bool, lists: dict[str, Any]) -> str:
    """The recipe where none was named: that of the run to go on with, else the one from scratch."""
    if not resume or lists:
        return DEFAULT
    kept = output / "recipe.yaml" if output else None
    if kept is None or not kept.is_file():
        raise NotFound("which run is to go on? Name its recipe, or its folder with --output")
    return str(kept)


def _left(folder: Path) -> str:
    kept = folder / "last.pt"
    return (
        f"{kept} holds what was learned, and --resume goes on from there" if kept.is_file() else "nothing was learned"
    )
