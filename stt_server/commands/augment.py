"""`earloop augment listen`: hear what a model will learn from, before it does."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from stt_server.commands.train import DEFAULT, trainer
from stt_server.errors import Unavailable
from stt_server.settings import load_settings

if TYPE_CHECKING:
    from training.audition import Sounding

app = typer.Typer()
RECIPE_ENDINGS = (".yaml", ".yml")
RATE = 16_000


@app.command()
def listen(
    given: Annotated[
        list[str] | None,
        typer.Argument(metavar="[RECIPE] CLIP", help=f"audio files; before them a recipe, {DEFAULT} by default"),
    ] = None,
    output: Annotated[Path, typer.Option(help="folder of the wav files")] = Path("heard"),
    count: Annotated[int, typer.Option(help="how often each clip is heard", min=1, max=1000)] = 5,
    seed: Annotated[int, typer.Option(help="another seed, other draws", min=0)] = 1,
    at: Annotated[float, typer.Option(help="how much of the run is done, for ranges that move", min=0, max=1)] = 0.0,
    set_: Annotated[list[str] | None, typer.Option("--set", help="key=value, such as augmentation.opus=1")] = None,
    play: Annotated[bool, typer.Option("--play", help="play them too; needs pip install sounddevice")] = False,
) -> None:
    """Write clips as the model will hear them; without a clip, a synthetic sentence. Names say what was drawn."""
    with trainer():
        from training import audition
        from training.places import Places
        from training.recipe import find_recipe, load_recipe, read_change
    name, clips = _sorted(given or [])
    recipe = load_recipe(name, dict(read_change(text) for text in set_ or []))
    places = Places(load_settings().corpora, Path("runs") / "cache", find_recipe(name).parent)
    around = audition.find_surroundings(recipe.data.noise, places, _complain)
    sound = _player() if play else None
    heard = []
    for sounding in audition.listen(audition.read_clips(clips), recipe, around, count=count, seed=seed, at=at):
        audition.write(sounding, output)
        heard.append(sounding)
        if sound is not None:
            _play(sound, sounding)
    Console().print(_table(heard))
    typer.echo(f"{len(heard)} files in {output}")


def _sorted(given: list[str]) -> tuple[str, list[Path]]:
    """The recipe, and the clips: a first word that is a recipe's file or the name of a shipped one is no clip."""
    from training.recipe import RECIPES

    first = given[0] if given else ""
    is_shipped = (RECIPES / f"{first}.yaml").is_file() and not Path(first).is_file()
    if first and (is_shipped or first.endswith(RECIPE_ENDINGS)):
        return first, [Path(each) for each in given[1:]]
    return DEFAULT, [Path(each) for each in given]


def _table(heard: list[Sounding]) -> Table:
    numbers = (Column(name, justify="right") for name in ("draw", "seconds", "dB"))
    table = Table(Column("clip", overflow="fold"), *numbers, "drawn", box=None, pad_edge=False)
    for sounding in heard:
        figures = str(sounding.number), f"{sounding.seconds:.2f}", f"{sounding.level_db:.0f}"
        table.add_row(Text(sounding.clip if sounding.number == 0 else ""), *figures, ", ".join(sounding.said))
    return table


def _player() -> Any | None:
    """sounddevice, where it is installed. It is no dependency of ours, so a type checker may not know it."""
    if find_spec("sounddevice") is None:
        _complain("sounddevice is not installed, so nothing is played; the files are written")
        return None
    return import_module("sounddevice")


def _play(sound: Any, sounding: Sounding) -> None:
    typer.echo(f"{sounding.clip}: {', '.join(sounding.said)}")
    try:
        sound.play(sounding.samples, RATE, blocking=True)
    except sound.PortAudioError as error:
        raise Unavailable(f"the sound cannot be played: {error}; leave out --play") from error


def _complain(sentence: str) -> None:
    typer.echo(sentence, err=True)
