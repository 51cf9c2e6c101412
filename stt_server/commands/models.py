"""`earloop models list|show|verify`: the bundles that can be served."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from stt_server.errors import BadBundle, EarloopError
from stt_server.settings import load_settings
from stt_server.speech.bundle import BUNDLES, MANIFEST, find_bundle, load_bundle
from stt_server.speech.files import read_audio
from stt_server.speech.recognizer import Recognizer

if TYPE_CHECKING:
    from pathlib import Path

    from stt_server.speech.bundle import Bundle

app = typer.Typer()
Name = Annotated[str, typer.Argument(help="a model's name, or a bundle's folder or zip")]


@app.command("list")
def list_models() -> None:
    """Every model by name, version, size and place; a damaged one with what is wrong with it."""
    settings = load_settings()
    folders = sorted(path.parent for root in (BUNDLES, settings.data / "models") for path in root.glob(f"*/{MANIFEST}"))
    for folder in folders:
        try:
            typer.echo(_line(load_bundle(folder), folder))
        except EarloopError as error:
            typer.echo(f"{folder.name:16} damaged: {error}")
    if not folders:
        typer.echo("there is no model; name a bundle's folder with --model")


@app.command()
def show(name: Name) -> None:
    """A bundle's manifest in short, and its card."""
    place = find_bundle(name, load_settings().data)
    bundle = load_bundle(place)
    manifest = bundle.manifest
    typer.echo(_line(bundle, place))
    facts = {
        "language": manifest.language,
        "licence": manifest.licence,
        "parameters": f"{manifest.parameters / 1e6:.2f} million",
        "right context": f"{manifest.right_context_ms} ms",
        "precisions": ", ".join(manifest.models),
        "decoder": f"{manifest.decoder.engine}, alpha {manifest.decoder.alpha}, beta {manifest.decoder.beta}, "
        f"beam {manifest.decoder.beam}",
        "golden clip": manifest.golden.text,
        "lineage": ", ".join(f"{key} {value}" for key, value in manifest.lineage.items()),
    }
    for key, value in facts.items():
        typer.echo(f"{key:14} {value}")
    if manifest.card:
        typer.echo("\n" + bundle.path(manifest.card).read_text(encoding="utf-8"))


@app.command()
def verify(name: Name) -> None:
    """Check every file, load every precision and hear the golden clip. Prints OK, or ends with the fault."""
    bundle = load_bundle(find_bundle(name, load_settings().data))
    golden = bundle.manifest.golden
    clip = read_audio(bundle.path(golden))
    for precision in bundle.manifest.models:
        heard = Recognizer.load(bundle.folder, precision=precision).transcribe(clip).text
        typer.echo(f"{precision}: {heard!r}")
        if heard != golden.text:
            message = f"the {precision} model hears {heard!r} in the golden clip, not {golden.text!r}"
            raise BadBundle(message, field="golden")
    typer.echo(f"OK: {bundle.name} {bundle.manifest.version}, {len(bundle.manifest.files())} files")


def _line(bundle: Bundle, place: Path) -> str:
    size = sum(path.stat().st_size for path in bundle.folder.rglob("*") if path.is_file())
    where = "shipped" if place.parent == BUNDLES else str(place)
    return f"{bundle.name:16} {bundle.manifest.version:10} {size / 1e6:6.1f} MB  {where}"
