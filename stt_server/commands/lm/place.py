"""Which language model a command means, and what a command says on its way."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stt_server.errors import BadInput, NotFound
from stt_server.settings import load_settings
from stt_server.speech.bundle import Bundle, find_bundle, load_bundle

if TYPE_CHECKING:
    from collections.abc import Iterator

Model = Annotated[str, typer.Argument(metavar="MODEL", help="A language model's file, or a bundle that has one.")]
BundleName = Annotated[str, typer.Argument(metavar="BUNDLE", help="A model's name, or a bundle's folder or zip.")]
Output = Annotated[Path, typer.Option(help="The file to write: .arpa, .arpa.gz, or .lm for our binary form.")]


@dataclass(frozen=True, slots=True)
class Place:
    """A language model's file and, where it is one's, the bundle. One from a zip lies only as long as the bundle."""

    path: Path
    bundle: Bundle | None = None


def find_lm(name: str) -> Place:
    """By its file's path, or a bundle's path or name. Raises NotFound, and BadInput for a bundle that has none."""
    path = Path(name)
    if path.is_file() and path.suffix != ".zip":
        return Place(path)
    try:
        bundle = load_bundle(find_bundle(name, load_settings().data))
    except NotFound as error:
        raise NotFound(f"there is no language model {name!r}: neither a file nor a bundle's name or path") from error
    if bundle.manifest.lm is None:
        raise BadInput(f"the bundle {bundle.name} has no language model; `earloop lm attach` gives it one", field="lm")
    return Place(bundle.path(bundle.manifest.lm), bundle)


def tell(sentence: str) -> None:
    """Say on standard error what is going on; a command's answer goes to standard output."""
    typer.echo(sentence, err=True)


@contextmanager
def asked() -> Iterator[None]:
    """Within, numbers are asked for that ValueError refuses: the sentence is the caller's to read."""
    try:
        yield
    except ValueError as error:
        raise BadInput(str(error)) from error
