"""`earloop lm attach`: a language model into a bundle, with its weights, proved before it is there."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stt_server.commands.lm.place import BundleName, tell
from stt_server.errors import BadOption
from stt_server.settings import load_settings
from stt_server.speech.bundle import find_bundle

if TYPE_CHECKING:
    from training.lm.attaching import Weights

NewBundle = Annotated[Path | None, typer.Option("--output", help="Folder of the new bundle; the given one stays.")]
InPlace = Annotated[bool, typer.Option("--in-place", help="Change the bundle itself.")]


def attach(
    bundle: BundleName,
    lm: Annotated[Path, typer.Option(help="The language model: .arpa, .arpa.gz or .lm.")],
    output: NewBundle = None,
    in_place: InPlace = False,
    alpha: Annotated[float | None, typer.Option(help="Weight of the model; else the bundle's.", min=0)] = None,
    beta: Annotated[float | None, typer.Option(help="Bonus for each word; else the bundle's.")] = None,
    beam: Annotated[int | None, typer.Option(help="Hypotheses kept; else the bundle's.", min=1, max=1000)] = None,
    decoder: Annotated[str | None, typer.Option(help="The engine; else the bundle's.")] = None,
) -> None:
    """Put a language model with its weights into a bundle, and check that the bundle hears its golden clip."""
    from training.lm.attaching import Weights

    put(find_bundle(bundle, load_settings().data), lm, Weights(alpha, beta, beam, decoder), output, in_place=in_place)


def put(source: Path, lm: Path, weights: Weights, output: Path | None, *, in_place: bool) -> None:
    """Attach and say what came of it."""
    from training.lm.attaching import attach as attach_to

    check_target(output, in_place=in_place)
    attached = attach_to(source, lm, weights, output)
    manifest, decoder = attached.bundle.manifest, attached.bundle.manifest.decoder
    typer.echo(
        f"{attached.bundle.folder}: {manifest.lm.path if manifest.lm else ''}, {decoder.engine}, "
        f"alpha {decoder.alpha:g}, beta {decoder.beta:g}, beam {decoder.beam}"
    )
    tell(f"golden clip: heard {attached.golden!r}")
    if attached.heard != attached.golden:
        tell(f"with the language model it hears {attached.heard!r}: fine for a model of another kind of speech")
    tell("the manifest no longer has error rates with a language model; `earloop evaluate` measures them")


def check_target(output: Path | None, *, in_place: bool) -> None:
    """Raise BadOption unless it is clear where the changed bundle goes."""
    if (output is None) != in_place:
        raise BadOption("give --output FOLDER for a new bundle, or --in-place to change this one", field="output")
