"""Noise and impulse responses for augmentation: a manifest of its own, without words or speakers.

Columns `kind,path,duration_s,licence,rms`; kind is `noise` or `rir`. Paths are relative to the manifest's folder or, in
collections where noise lies beside speech, to the folder above it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from stt_server.corpus.rows import Fault, csv_rows, first_line
from stt_server.errors import BadInput, NotFound

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KINDS = ("noise", "rir")


@dataclass(frozen=True, slots=True)
class NoiseClip:
    path: Path
    kind: str  # noise, or rir: the impulse response of a room
    duration_s: float
    licence: str


def is_noise_manifest(path: Path) -> bool:
    """Whether a manifest begins with the columns of noise."""
    try:
        columns = first_line(path).strip().split(",")
    except BadInput:
        return False
    return "kind" in columns and "path" in columns


def find_noise(root: Path, name: str = "noise") -> list[NoiseClip]:
    """The clips of the noise folder `name`, in `root` or in one of its folders. Raises NotFound, BadInput.

    As for corpora, `speech/noise` may be named whether `root` holds the folder speech or is it.
    """
    name = name.removeprefix(f"{root.name}/")
    places = [root / name, *sorted(folder / name for folder in root.glob("*/"))]
    manifests = [place / "manifest.csv" for place in places if (place / "manifest.csv").is_file()]
    if not manifests:
        raise NotFound(f"no noise folder {name!r} under {root}; it is a folder with a manifest.csv of kind,path,…")
    return list(read_noise(manifests[0]))


def read_noise(manifest: Path) -> Iterator[NoiseClip]:
    """Raises BadInput naming file and line of a wrong row, and NotFound of a missing file."""
    if not is_noise_manifest(manifest):
        raise BadInput(f"{manifest}, line 1: no manifest of noise; its columns are kind,path,duration_s,licence")
    for line, row in csv_rows(manifest):
        if isinstance(row, Fault):
            raise row.error
        yield _noise_clip(row, manifest, f"{manifest}, line {line}")


def _noise_clip(row: dict[str, object], manifest: Path, where: str) -> NoiseClip:
    kind = str(row["kind"])
    if kind not in KINDS:
        raise BadInput(f"{where}: kind is {kind!r}; write noise or rir")
    try:
        duration_s = float(str(row.get("duration_s") or 0))
    except ValueError as error:
        raise BadInput(f"{where}: duration_s is {row['duration_s']!r}; write seconds") from error
    return NoiseClip(_resolve(manifest, str(row["path"]), where), kind, duration_s, str(row.get("licence") or ""))


def _resolve(manifest: Path, path: str, where: str) -> Path:
    for folder in (manifest.parent, manifest.parent.parent):
        if (folder / path).is_file():
            return folder / path
    raise NotFound(f"{where}: there is no file {path}, neither in {manifest.parent} nor above it")
