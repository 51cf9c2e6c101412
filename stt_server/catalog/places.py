"""Where a model's bundle lies on this machine: unpacked once from the object store, or where it was shipped.

    <data>/models/<id>/            an unpacked bundle; there whole or not at all
    <data>/models/.incoming/…      one that is being unpacked

Unpacking goes beside the place and is renamed into it, so that servers and workers that share a data folder may all do
it at once. A folder that was damaged since is unpacked anew.
"""

from __future__ import annotations

import io
import secrets
import shutil
import time
import zipfile
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from stt_server.catalog.importing import manifest_sha256
from stt_server.errors import BadBundle, EarloopError, NotFound, Unavailable
from stt_server.logs import EventLog
from stt_server.speech.bundle import find_bundle, load_bundle
from stt_server.store import models
from stt_server.store.models import Status

if TYPE_CHECKING:
    from pathlib import Path

    from stt_server.store.database import Database
    from stt_server.store.models import Model
    from stt_server.store.objects import ObjectStore

FOLDER: Final = "models"
INCOMING: Final = ".incoming"
STALE_S: Final = 3600.0  # what was being unpacked so long ago belongs to a process that died

log = EventLog("catalog")


def bundle_folder(objects: ObjectStore, model: Model, data: Path) -> Path:
    """The folder of its verified bundle. Blocking: reads every file.

    Raises NotFound where the bytes are not there (any more), BadBundle where they are others than the row's,
    Unavailable where the object store or the disk is away.
    """
    if model.status == Status.REMOVED:
        raise NotFound(f"The model {model.ref} was removed.", field="model")
    if model.object_key is None:
        shipped = find_bundle(model.place, data)
        if shipped.is_dir():
            return _checked(shipped, model)
    folder = data / FOLDER / model.id
    if folder.is_dir():
        with suppress(BadBundle):
            return _checked(folder, model)
        log.warning("bundle_damaged", model=model.ref, folder=str(folder))
    try:
        return _unpack(objects, model, data)
    except OSError as error:
        raise Unavailable(f"The bundle of {model.ref} cannot be unpacked into {folder}: {error.strerror}.") from error


def drop_removed(database: Database, data: Path) -> int:
    """Delete the unpacked bundles of models that were removed; says how many."""
    with database.read() as connection:
        gone = [model.id for model in models.listed(connection, removed=True) if model.status == Status.REMOVED]
    there = [folder for ident in gone if (folder := data / FOLDER / ident).is_dir()]
    for folder in there:
        shutil.rmtree(folder, ignore_errors=True)  # the next one tries again
    return len(there)


def _checked(folder: Path, model: Model) -> Path:
    """The folder, if it holds the row's bundle and all of it. Raises BadBundle."""
    load_bundle(folder)
    if manifest_sha256(folder) != model.sha256:
        raise BadBundle(f"The bundle in {folder} is not that of {model.ref} any more.", field="manifest")
    return folder


def _unpack(objects: ObjectStore, model: Model, data: Path) -> Path:
    beside = _beside(data)
    try:
        _extract(objects, model, data, beside)
        _checked(beside, model)
        return _settle(beside, data / FOLDER / model.id, model)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _extract(objects: ObjectStore, model: Model, data: Path, to: Path) -> None:
    source = io.BytesIO(objects.get(model.object_key)) if model.object_key else find_bundle(model.place, data)
    try:
        with zipfile.ZipFile(source) as archive:
            archive.extractall(to)  # zipfile drops absolute paths and `..` itself
    except (zipfile.BadZipFile, EOFError, ValueError) as error:
        raise BadBundle(f"The zip of {model.ref} is damaged: {error}", field="model") from error


def _settle(beside: Path, folder: Path, model: Model) -> Path:
    """Give the unpacked bundle its place. Where another process was faster its bundle stays."""
    try:
        beside.rename(folder)
    except OSError:  # somebody else's, or a damaged one of ours
        try:
            return _checked(folder, model)
        except EarloopError:
            folder.rename(_beside(folder.parent.parent))
            beside.rename(folder)
    return folder


def _beside(data: Path) -> Path:
    """The path of a new folder for what is being unpacked; old ones are cleared away."""
    incoming = data / FOLDER / INCOMING
    incoming.mkdir(mode=0o700, parents=True, exist_ok=True)
    for old in incoming.iterdir():
        with suppress(OSError):  # gone meanwhile
            if old.stat().st_mtime < time.time() - STALE_S:
                shutil.rmtree(old, ignore_errors=True)
    return incoming / secrets.token_hex(8)
