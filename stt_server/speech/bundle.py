"""A model bundle: a folder or zip whose manifest says all that a recogniser must know, checked before use.

Beside `bundle.json`, the manifest, lie `model.fp32.onnx`, `model.int8.onnx`, `lm.arpa.gz`, `golden.flac`, `card.md` and
`kit/`, by whatever names the manifest gives them.
"""

from __future__ import annotations

import errno
import hashlib
import json
import shutil
import tempfile
import weakref
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from stt_server.errors import BadBundle, NotFound
from stt_server.speech.alphabet import Alphabet
from stt_server.speech.decoder.confidence import Calibration
from stt_server.speech.features import FeatureRecipe

MAX_PATH = 200  # letters of a file's name, in any file system
MANIFEST = "bundle.json"
BUNDLES = Path(__file__).parent.parent / "bundles"
MAX_ZIP_BYTES = 2 << 30
_OURS = {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EACCES, errno.EROFS, errno.EMFILE}  # not the archive's fault


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class File(_Part):
    """A file of the bundle and the SHA-256 of its bytes."""

    path: str
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")

    @model_validator(mode="after")
    def _stays_inside(self) -> File:
        path = PurePosixPath(self.path)
        inside = path.parts and not path.is_absolute() and ".." not in path.parts and "\\" not in self.path
        if not (inside and self.path.isprintable() and len(self.path) <= MAX_PATH):
            raise ValueError(f"{self.path[:80]!r} is no path inside the bundle")
        return self


class Features(_Part):
    sample_rate: Literal[16000]
    n_mels: int = Field(ge=8, le=128)
    window_ms: int = Field(ge=10, le=50)
    hop_ms: int = Field(ge=5, le=20)
    low_hz: float = Field(ge=0)
    high_hz: float = Field(gt=0, le=8000)
    floor: float = Field(gt=0)

    @model_validator(mode="after")
    def _has_width(self) -> Features:
        if self.low_hz >= self.high_hz:
            raise ValueError(f"low_hz {self.low_hz:g} is not below high_hz {self.high_hz:g}")
        return self

    def recipe(self) -> FeatureRecipe:
        """The same for the numeric floor."""
        return FeatureRecipe(**self.model_dump())


class Confidence(_Part):
    """Weights of a word's confidence, fitted by `earloop lm calibrate`; as they are by default it is not calibrated."""

    bias: float = Field(0.0, ge=-100, le=100)
    posterior: float = Field(1.0, ge=-100, le=100)
    sound: float = Field(0.0, ge=-100, le=100)
    letters: float = Field(0.0, ge=-100, le=100)

    def calibration(self) -> Calibration:
        """The same for the decoder."""
        return Calibration(**self.model_dump())


class DecoderDefaults(_Part):
    """`engine` is greedy, or native or reference, which mean the same: the best search there is. alpha weighs the
    language model, beta each word, beam is its width; `confidence` is the native engine's.
    """

    engine: Literal["greedy", "native", "reference"] = "greedy"
    alpha: float = 0.5
    beta: float = 1.0
    beam: int = Field(32, ge=1, le=1000)
    confidence: Confidence = Confidence()


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

    @field_validator("labels")
    @classmethod
    def _names_each_letter_once(cls, labels: str) -> str:
        if not labels or len(set(labels)) != len(labels):
            raise ValueError("each label must be a letter of its own, and there must be some")
        return labels

    @property
    def alphabet(self) -> Alphabet:
        return Alphabet(self.labels)

    def files(self) -> list[File]:
        """Every file that the manifest names."""
        return [file for file in (*self.models.values(), self.lm, self.golden, self.kit, self.card) if file]


class Bundle:
    """A checked bundle on disk. One from a zip lies in a temporary folder, removed when it is no longer used."""

    def __init__(self, folder: Path, manifest: Manifest, *, temporary: Path | None = None) -> None:
        self.folder, self.manifest = folder, manifest
        if temporary is not None:
            weakref.finalize(self, shutil.rmtree, temporary, ignore_errors=True)

    @property
    def name(self) -> str:
        return self.manifest.name

    def path(self, file: File) -> Path:
        """Where one of its files lies."""
        return self.folder / file.path

    def model_path(self, precision: str) -> Path:
        """The graph in `fp32` or `int8`. Raises BadBundle where the bundle has no such one."""
        for name, file in self.manifest.models.items():
            if name == precision:
                return self.path(file)
        raise BadBundle(f"{self.name} has no {precision} model, only {', '.join(self.manifest.models)}", field="models")


def load_bundle(source: Path) -> Bundle:
    """Open a bundle's folder or zip and verify every file. Raises NotFound, or BadBundle naming the field."""
    if not source.exists():
        raise NotFound(f"there is no bundle at {source}; `earloop models list` shows those that are there")
    if not source.is_file():
        return Bundle(source, _read_and_verify(source))
    unpacked = Path(tempfile.mkdtemp(prefix="earloop-bundle-"))
    try:
        folder = _unzip(source, unpacked)
        return Bundle(folder, _read_and_verify(folder), temporary=unpacked)
    except BaseException:
        shutil.rmtree(unpacked, ignore_errors=True)
        raise


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a bundle's folder, its files unseen. Raises BadBundle naming the field."""
    path = folder / MANIFEST
    if not path.is_file():
        raise BadBundle(f"{folder} is no bundle: it has no {MANIFEST}", field=MANIFEST)
    try:
        return Manifest.model_validate_json(path.read_bytes())
    except ValidationError as error:
        fault = error.errors()[0]
        field = ".".join(str(part) for part in fault["loc"]) or MANIFEST
        raise BadBundle(f"{path}: `{field}`: {fault['msg']}", field=field) from error


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


def _read_and_verify(folder: Path) -> Manifest:
    manifest = read_manifest(folder)
    for file in manifest.files():
        _verify(folder / file.path, file)
    return manifest


def _verify(path: Path, file: File) -> None:
    if not path.is_file():
        raise BadBundle(f"the bundle lacks {file.path}, which its manifest names", field=file.path)
    if sha256(path) != file.sha256:
        message = f"{file.path} is damaged: its SHA-256 is not the manifest's; copy the bundle again"
        raise BadBundle(message, field=file.path)


def sha256(path: Path) -> str:
    """The hash of a file's bytes, as a manifest has it."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _unzip(source: Path, target: Path) -> Path:
    """The bundle's folder inside `target`."""
    try:
        with zipfile.ZipFile(source) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > MAX_ZIP_BYTES:
                raise BadBundle(f"{source} unpacks to more than {MAX_ZIP_BYTES >> 30} GiB", field=source.name)
            archive.extractall(target)  # zipfile drops absolute paths and `..` itself
    except OSError as error:  # a place before the file's beginning, a name longer than names may be
        if error.errno in _OURS:
            raise
        raise BadBundle(f"{source} is no zip that can be unpacked: {error.strerror}", field=source.name) from error
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        # RuntimeError is what it raises for an archive with a password.
        raise BadBundle(f"{source} is neither a folder nor a zip that opens: {error}", field=source.name) from error
    return next(iter(sorted(target.rglob(MANIFEST))), target / MANIFEST).parent


def write_bundle(folder: Path, manifest: dict[str, Any]) -> Bundle:
    """Write `bundle.json` into a folder that already holds the files, and check the whole."""
    text = json.dumps(manifest, indent=2, ensure_ascii=False, sort_keys=False)
    (folder / MANIFEST).write_text(text + "\n", encoding="utf-8")
    return load_bundle(folder)


def entry(folder: Path, name: str) -> dict[str, str]:
    """A manifest's entry for a file of the bundle."""
    return {"path": name, "sha256": sha256(folder / name)}
