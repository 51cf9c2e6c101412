"""A model bundle: a folder or zip whose manifest says all that a recogniser must know, checked before use.

    bundle.json         the manifest
    model.fp32.onnx     model.int8.onnx     lm.arpa.gz     golden.flac     card.md     kit/manifest.csv, clips
"""

from __future__ import annotations

import hashlib
import json
import tempfile
import zipfile
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from stt_server.errors import BadBundle, NotFound
from stt_server.speech.alphabet import Alphabet
from stt_server.speech.features import FeatureRecipe

MANIFEST = "bundle.json"
BUNDLES = Path(__file__).parent.parent / "bundles"
MAX_ZIP_BYTES = 2 << 30


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class File(_Part):
    """A file of the bundle and the SHA-256 of its bytes."""

    path: str
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")

    @model_validator(mode="after")
    def _stays_inside(self) -> File:
        parts = PurePosixPath(self.path)
        if parts.is_absolute() or ".." in parts.parts:
            raise ValueError(f"{self.path} leaves the bundle")
        return self


class Features(_Part):
    sample_rate: Literal[16000]
    n_mels: int = Field(ge=8, le=128)
    window_ms: int = Field(ge=10, le=50)
    hop_ms: int = Field(ge=5, le=20)
    low_hz: float = Field(ge=0)
    high_hz: float = Field(gt=0, le=8000)
    floor: float = Field(gt=0)

    def recipe(self) -> FeatureRecipe:
        return FeatureRecipe(**self.model_dump())


class DecoderDefaults(_Part):
    """`engine` is greedy or reference; alpha weighs the language model, beta each word, beam is its width."""

    engine: Literal["greedy", "reference"] = "greedy"
    alpha: float = 0.5
    beta: float = 1.0
    beam: int = Field(32, ge=1, le=1000)


class Golden(File):
    """A clip every load must transcribe exactly before the model goes live."""

    text: str


class Manifest(_Part):
    """`bundle.json`. `lag_frames` outputs come late: that is the model's right context, `right_context_ms` in all."""

    format: Literal[1]
    kind: Literal["streaming"]
    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")
    version: str
    language: str
    licence: str
    features: Features
    labels: str
    blank: Literal[0]
    subsampling: Literal[4]
    step_frames: int = Field(ge=4, le=400, multiple_of=4)
    lag_frames: int = Field(ge=0, le=100)
    right_context_ms: int = Field(ge=0)
    parameters: int = Field(ge=1)
    states: dict[str, tuple[int, ...]]
    models: dict[Literal["fp32", "int8"], File] = Field(min_length=1)
    lm: File | None = None
    decoder: DecoderDefaults = DecoderDefaults()
    golden: Golden
    kit: File | None = Field(None, description="manifest of the evaluation kit")
    card: File | None = None
    lineage: dict[str, Any] = {}
    error_rates: list[dict[str, Any]] = []

    @property
    def alphabet(self) -> Alphabet:
        return Alphabet(self.labels)

    def files(self) -> list[File]:
        return [file for file in (*self.models.values(), self.lm, self.golden, self.kit, self.card) if file]


class Bundle:
    """A checked bundle on disk. `path(file)` is where one of its files lies."""

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self.folder, self.manifest = folder, manifest

    @property
    def name(self) -> str:
        return self.manifest.name

    def path(self, file: File) -> Path:
        return self.folder / file.path

    def model_path(self, precision: str) -> Path:
        for name, file in self.manifest.models.items():
            if name == precision:
                return self.path(file)
        raise BadBundle(f"{self.name} has no {precision} model, only {', '.join(self.manifest.models)}", field="models")


def load_bundle(source: Path) -> Bundle:
    """Open a bundle's folder or zip and verify every file. Raises NotFound, or BadBundle naming the field."""
    if not source.exists():
        raise NotFound(f"there is no bundle at {source}; `earloop models list` shows those that are there")
    folder = _unzipped(source) if source.is_file() else source
    manifest = _read_manifest(folder / MANIFEST)
    for file in manifest.files():
        _verify(folder / file.path, file)
    return Bundle(folder, manifest)


def shipped() -> Path:
    """The folder of the model that comes with the package."""
    for manifest in sorted(BUNDLES.glob(f"*/{MANIFEST}")):
        return manifest.parent
    raise NotFound("this installation ships no model; name one with --model")


def find_bundle(name: str, data: Path | None = None) -> Path:
    """A bundle by path, by name in `data`/models or among the shipped ones; the shipped one for an empty name."""
    if not name:
        return shipped()
    places = [Path(name), *([data / "models" / name] if data else []), BUNDLES / name]
    for place in places:
        if (place / MANIFEST).is_file() or (place.is_file() and place.suffix == ".zip"):
            return place
    raise NotFound(f"there is no model {name!r}: neither a bundle's path nor one that `earloop models list` shows")


def _read_manifest(path: Path) -> Manifest:
    if not path.is_file():
        raise BadBundle(f"{path.parent} is no bundle: it has no {MANIFEST}", field=MANIFEST)
    try:
        return Manifest.model_validate_json(path.read_bytes())
    except ValidationError as error:
        fault = error.errors()[0]
        field = ".".join(str(part) for part in fault["loc"]) or MANIFEST
        raise BadBundle(f"{path}: `{field}`: {fault['msg']}", field=field) from error


def _verify(path: Path, file: File) -> None:
    if not path.is_file():
        raise BadBundle(f"the bundle lacks {file.path}, which its manifest names", field=file.path)
    if sha256(path) != file.sha256:
        raise BadBundle(f"{file.path} is damaged: its SHA-256 is not the manifest's; copy the bundle again", field=file.path)


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _unzipped(source: Path) -> Path:
    """Unpack a zip beside nothing else; the folder is the operating system's to clear."""
    try:
        with zipfile.ZipFile(source) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > MAX_ZIP_BYTES:
                raise BadBundle(f"{source} unpacks to more than {MAX_ZIP_BYTES >> 30} GiB", field=source.name)
            folder = Path(tempfile.mkdtemp(prefix="earloop-bundle-"))
            archive.extractall(folder)  # zipfile drops absolute paths and `..` itself
    except zipfile.BadZipFile as error:
        raise BadBundle(f"{source} is neither a folder nor a zip: {error}", field=source.name) from error
    inner = next(folder.rglob(MANIFEST), folder / MANIFEST).parent
    return inner


def write_bundle(folder: Path, manifest: dict[str, Any]) -> Bundle:
    """Write `bundle.json` into a folder that already holds the files, and check the whole."""
    text = json.dumps(manifest, indent=2, ensure_ascii=False, sort_keys=False)
    (folder / MANIFEST).write_text(text + "\n", encoding="utf-8")
    return load_bundle(folder)


def entry(folder: Path, name: str) -> dict[str, str]:
    """A manifest's entry for a file of the bundle."""
    return {"path": name, "sha256": sha256(folder / name)}

