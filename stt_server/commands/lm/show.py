"""`earloop lm show`: what a language model is, and what it knows of a word."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from stt_server.commands.lm.place import Model, Place, find_lm

if TYPE_CHECKING:
    from training.lm import ArpaModel, BinaryModel


def show(
    model: Model,
    word: Annotated[list[str] | None, typer.Option(help="Show its 2-grams; may be repeated; <s> and </s> too.")] = None,
    most: Annotated[int, typer.Option(help="So many 2-grams of each kind.", min=1)] = 10,
) -> None:
    """Order, counts and vocabulary of a model, and the likeliest n-grams of words."""
    from training.lm import neighbours, read_model

    place = find_lm(model)
    read = read_model(place.path)
    _facts(place, read)
    for each in word or ():
        found = neighbours(read, each, most)
        typer.echo(f"\n{each}: probability {found.probability:.3g} by itself")
        for before, p in found.before:
            typer.echo(f"  {p:9.4f}  {before} {each}")
        for behind, p in found.behind:
            typer.echo(f"  {p:9.4f}  {each} {behind}")


def _facts(place: Place, model: ArpaModel | BinaryModel) -> None:
    words = model.vocabulary[3:]
    typer.echo(f"file        {place.path} ({place.path.stat().st_size / 1e6:.2f} MB)")
    if place.bundle:
        manifest = place.bundle.manifest
        weights = f"alpha {manifest.decoder.alpha:g}, beta {manifest.decoder.beta:g}, beam {manifest.decoder.beam}"
        typer.echo(f"bundle      {place.bundle.name} {manifest.version}: {weights}")
    typer.echo(f"order       {model.order}")
    for n, count in enumerate(model.counts, 1):
        typer.echo(f"{n}-grams     {count}")
    typer.echo(f"vocabulary  {len(words)} words{': ' if words else ''}{', '.join(words[:5])}, …")
