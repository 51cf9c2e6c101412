"""How a bundle becomes a model: verified by every file and by ear, zipped into one object, then a row.

Nothing is kept before all of it was checked; the object is there before the row that names it. A row's name and version
are its bundle's, so that whatever a session was told leads to one row: a bundle that is imported under another name, or
whose version is taken by other bytes, gets a manifest that says so.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from stt_server.catalog.promotion import follow_settings
from stt_server.errors import BadOption
from stt_server.speech.bundle import MANIFEST, load_bundle, read_manifest
from stt_server.speech.golden import check_golden
from stt_server.speech.recognizer import Recognizer
from stt_server.store import erasures, models, routes
from stt_server.store.ids import new_id
from stt_server.store.models import Model, Status
from stt_server.store.ring import now

if TYPE_CHECKING:
    from pathlib import Path

    from stt_server.speech.bundle import Bundle
    from stt_server.store.database import Database
    from stt_server.store.objects import ObjectStore

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}")
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)  # of every file in a zip, so that the same bundle is the same bytes


@dataclass(frozen=True, slots=True)
class _Naming:
    """A manifest as it is to be kept."""

    name: str
    version: str
    text: bytes

    @property
    def sha256(self) -> bytes:
        return hashlib.sha256(self.text).digest()


def import_bundle(
    database: Database,
    objects: ObjectStore,
    path: Path,
    *,
    name: str | None,
    actor: str,
    status: str = Status.CANDIDATE,
    base_id: str | None = None,
    job_id: str | None = None,
    snapshot_id: str | None = None,
    person_id: str | None = None,
) -> Model:
    """Keep the bundle in this folder or zip as a model. Blocking: seconds. The same bundle again gives the same row.

    `name` is what clients call it, the manifest's unless said. Raises NotFound, BadBundle naming the field, BadOption
    for a name that is none, Unavailable.
    """
    if name is not None and not _NAME.fullmatch(name):
        raise BadOption(
            "A model's name has small letters, digits, dots, dashes and underscores, 100 at most.", field="name"
        )
    bundle = load_bundle(path)
    verify_by_ear(bundle)
    came = {"base_id": base_id, "job_id": job_id, "snapshot_id": snapshot_id, "person_id": person_id}
    row = {"status": status, "created_by": actor, **came}
    plain = _renamed(bundle, name or bundle.name, bundle.manifest.version)
    apart = _renamed(bundle, plain.name, f"{plain.version}+{plain.sha256.hex()[:8]}")
    with database.read() as connection:
        known = models.with_manifest(connection, [plain.sha256, apart.sha256])
    kept = known or _keep(database, objects, bundle, plain, row) or _keep(database, objects, bundle, apart, row)
    assert kept is not None, "a version that has its own hash is free"
    return kept


def register_shipped(database: Database, folder: Path, place: str, actor: str) -> Model:
    """A row for a bundle that lies on the servers' own disks; its files are not looked at. The same gives one row.

    `place` is what `find_bundle` finds it by. Where no other than a server has chosen a live model, this one is it.
    Raises BadBundle, Unavailable.
    """
    manifest, sha256 = read_manifest(folder), manifest_sha256(folder)
    with database.read() as connection:
        known = models.with_manifest(connection, [sha256], place)
    if known is None:
        naming = _Naming(manifest.name, manifest.version, (folder / MANIFEST).read_bytes())
        model = _model(naming, manifest.language, place=place, status=Status.ACCEPTED, created_by=actor)
        known = _insert(database, model)
    follow_settings(database, known, actor)
    return known


def verify_by_ear(bundle: Bundle) -> None:
    """Hear the golden clip with every precision. Raises BadBundle."""
    for precision in bundle.manifest.models:
        check_golden(Recognizer.load(bundle.folder, precision=precision))


def manifest_sha256(folder: Path) -> bytes:
    """Of the bytes of a bundle's manifest, by which a model is known: the manifest has the hashes of all files."""
    return hashlib.sha256((folder / MANIFEST).read_bytes()).digest()


def pack(bundle: Bundle, manifest: bytes) -> bytes:
    """A bundle as one zip, with this manifest. Stored as it is: graphs and audio hardly get smaller."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(zipfile.ZipInfo(MANIFEST, _EPOCH), manifest)
        for path in sorted(bundle.folder.rglob("*")):
            inside = path.relative_to(bundle.folder).as_posix()
            if path.is_file() and inside != MANIFEST:
                archive.writestr(zipfile.ZipInfo(inside, _EPOCH), path.read_bytes())
    return packed.getvalue()


def _renamed(bundle: Bundle, name: str, version: str) -> _Naming:
    """The bundle's manifest under this name and version; byte for byte its own where it has them already."""
    own = (bundle.folder / MANIFEST).read_bytes()
    if (name, version) == (bundle.name, bundle.manifest.version):
        return _Naming(name, version, own)
    manifest = json.loads(own)
    came = {
        "imported_as": f"{bundle.name} {bundle.manifest.version}",
        "imported_sha256": hashlib.sha256(own).hexdigest(),
    }
    manifest |= {"name": name, "version": version, "lineage": manifest.get("lineage", {}) | came}
    return _Naming(name, version, (json.dumps(manifest, indent=2, ensure_ascii=False) + "\n").encode())


def _keep(
    database: Database, objects: ObjectStore, bundle: Bundle, naming: _Naming, row: dict[str, Any]
) -> Model | None:
    """Write the object, then the row; None where other bytes have this name and version."""
    with database.read() as connection:
        if models.is_taken(connection, naming.name, naming.version, naming.sha256):
            return None
    packed, model_id = pack(bundle, naming.text), new_id()
    key = models.object_key(model_id)
    objects.put(key, packed)
    model = _model(naming, bundle.manifest.language, id=model_id, object_key=key, size=len(packed), **row)
    with database.write() as connection:
        routes.lock(connection)
        known = models.with_manifest(connection, [naming.sha256])
        taken = models.is_taken(connection, naming.name, naming.version, naming.sha256)
        if known or taken:  # somebody was faster
            erasures.ask(connection, [key], now())
            return known
        models.insert_model(connection, model)
    return model


def _insert(database: Database, model: Model) -> Model:
    """Keep a row, unless another server has kept it meanwhile."""
    with database.write() as connection:
        routes.lock(connection)
        known = models.with_manifest(connection, [model.sha256], model.place)
        if known is None:
            models.insert_model(connection, model)
    return known or model


def _model(naming: _Naming, language: str, **row: Any) -> Model:
    manifest = json.loads(naming.text)
    return Model(
        name=naming.name,
        version=naming.version,
        language=language,
        sha256=naming.sha256,
        error_rates=manifest.get("error_rates", []),
        lineage=manifest.get("lineage", {}),
        created=now(),
        **({"id": new_id()} | row),
    )
