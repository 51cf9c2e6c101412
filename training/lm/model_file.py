"""Language models on disk by the name of their file: ARPA, gzipped ARPA, or our binary form."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stt_server.errors import BadInput, NotFound
from stt_server.speech.decoder.kenlm_binary import is_kenlm
from training.lm.arpa import write_arpa
from training.lm.binary import MAGIC, write_binary
from training.lm.mapped import BinaryModel, read_binary
from training.lm.reading import read_arpa

if TYPE_CHECKING:
    from pathlib import Path

    from training.lm.arpa import ArpaModel

BINARY = ".lm"


def write_model(model: ArpaModel, path: Path) -> None:
    """As ARPA, compressed where the name ends in .gz, or for `.lm` as our binary form. Raises BadInput."""
    try:
        (write_binary if path.suffix == BINARY else write_arpa)(model, path)
    except OSError as error:
        raise BadInput(f"{path}: cannot be written: {error.strerror}; choose another place", field="output") from error


def read_model(path: Path) -> ArpaModel | BinaryModel:
    """Either form, as its first bytes say. Raises NotFound, and BadInput naming line or field, or KenLM's own form."""
    return read_binary(path) if _is_binary(path) else read_arpa(path)


def read_ngrams(path: Path, purpose: str) -> ArpaModel:
    """A model whose n-grams can be listed. Raises as `read_model` does, and BadInput for the binary form."""
    if _is_binary(path):
        raise BadInput(
            f"{path} is a binary model, which does not list its n-grams; {purpose} needs the ARPA", field="lm"
        )
    return read_arpa(path)


def _is_binary(path: Path) -> bool:
    try:
        if is_kenlm(path):
            why = "is KenLM's binary form, which a server asks but nobody here looks into; give the ARPA it was made of"
            raise BadInput(f"{path} {why}", field="lm")
        with path.open("rb") as file:
            return file.read(len(MAGIC)) == MAGIC
    except FileNotFoundError as error:
        raise NotFound(f"there is no language model {path}") from error
    except OSError as error:
        raise BadInput(f"{path}: cannot be read: {error.strerror}", field="lm") from error
