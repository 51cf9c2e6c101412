"""`earloop models list|show|verify`: the models there are, and their bundles."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from stt_server.catalog.importing import manifest_sha256
from stt_server.catalog.places import bundle_folder
from stt_server.commands.models.said import catalog, row, told
from stt_server.errors import BadBundle, EarloopError, NotFound
from stt_server.settings import load_settings
from stt_server.speech.bundle import BUNDLES, MANIFEST, find_bundle, load_bundle
from stt_server.speech.files import read_audio
from stt_server.speech.recognizer import Recognizer
from stt_server.store.objects import open_objects

if TYPE_CHECKING:
    from pathlib import Path

    from stt_server.speech.bundle import Bundle

Name = Annotated[str, typer.Argument(help="a model's name, or a bundle's folder or zip")]
Json = Annotated[bool, typer.Option("--json", help="print JSON")]


def list_models(as_json: Json = False) -> None:
    """The catalog's models, the newest first, with what each answers; then bundles that are not in it."""
    settings = load_settings()
    rows, leading = catalog(settings)
    known = {model.sha256 for model in rows}
    folders = sorted(path.parent for root in (BUNDLES, settings.data / "models") for path in root.glob(f"*/{MANIFEST}"))
    others = [folder for folder in folders if manifest_sha256(folder) not in known]
    if as_json:
        typer.echo(json.dumps([told(model, leading) for model in rows], ensure_ascii=False))
        return
    for model in rows:
        typer.echo(row(model, leading))
    for folder in others:
        try:
            typer.echo(_line(load_bundle(folder), folder))
        except EarloopError as error:
            typer.echo(f"{folder.name:16} damaged: {error}")
    if not rows and not others:
        typer.echo("there is no model; name a bundle's folder with --model")


def show(name: Name) -> None:
    """A bundle's manifest in short, and its card."""
    place = _find(name)
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


def verify(name: Name) -> None:
    """Check every file, load every precision and hear the golden clip. Prints OK, or ends with the fault."""
    bundle = load_bundle(_find(name))
    golden = bundle.manifest.golden
    clip = read_audio(bundle.path(golden))
    for precision in bundle.manifest.models:
        heard = Recognizer.load(bundle.folder, precision=precision).transcribe(clip).text
        typer.echo(f"{precision}: {heard!r}")
        if heard != golden.text:
            message = f"the {precision} model hears {heard!r} in the golden clip, not {golden.text!r}"
            raise BadBundle(message, field="golden")
    typer.echo(f"OK: {bundle.name} {bundle.manifest.version}, {len(bundle.manifest.files())} files")


def _find(name: str) -> Path:
    """The folder or zip of a bundle on this machine, or of a model of the catalog. Raises NotFound."""
    settings = load_settings()
    try:
        return find_bundle(name, settings.data)
    except NotFound:
        model = next((each for each in catalog(settings)[0] if name in (each.id, each.name, each.ref)), None)
        if model is None:
            raise
    return bundle_folder(open_objects(settings.data, settings.objects), model, settings.data)


def _line(bundle: Bundle, place: Path) -> str:
    size = sum(path.stat().st_size for path in bundle.folder.rglob("*") if path.is_file())
    where = "shipped" if place.parent == BUNDLES else str(place)
    return f"{bundle.name:16} {bundle.manifest.version:17} {size / 1e6:6.1f} MB  {where}"
