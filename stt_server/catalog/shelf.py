"""The catalog's language models as files of this machine.

    rows ── Shelf.look, each second ──► <data>/language-models/ID.lm, ID.json ──► what streams may ask for by name

A file is fetched beside its place and renamed into it, so that servers and commands may share a data folder. One that
was removed is deleted; streams that have it mapped keep it to their end.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from stt_server.errors import BadBundle, EarloopError, Unavailable
from stt_server.logs import EventLog
from stt_server.speech.decoder.named import WEIGHED, WEIGHTS, Offer
from stt_server.store import language_models

if TYPE_CHECKING:
    from pathlib import Path

    from stt_server.store.database import Database
    from stt_server.store.language_models import LanguageModel
    from stt_server.store.objects import ObjectStore

FOLDER: Final = "language-models"
ENDING: Final = ".lm"  # of every file there, whatever its form: readers go by the first bytes
RETRY_S: Final = 15.0  # before an object that could not be had is asked for again
STALE_S: Final = 3600.0  # what was being fetched so long ago belongs to a process that died

log = EventLog("catalog")


class Shelf:
    """The files of the catalog's language models on this machine. Used by one thread at a time.

    Files are fetched beside their place and renamed into it, so servers and commands may share a data folder.
    """

    def __init__(self, database: Database, objects: ObjectStore, data: Path) -> None:
        self._database, self._objects, self._folder = database, objects, data / FOLDER
        self._faults: dict[str, tuple[float, str]] = {}  # id → when, and why it could not be had
        self._said = ""  # of why nothing could be looked at

    def look(self) -> dict[str, Offer]:
        """What the catalog offers by name, each fetched; what could not be had says why.

        Raises Unavailable for the database or the disk.
        """
        with self._database.read() as connection:
            found, kept = language_models.answering(connection), language_models.listed(connection)
        try:
            self._drop({each.id for each in kept})
            offers = {each.name: self._offer(each) for each in found}
        except OSError as error:
            raise Unavailable(f"Language models cannot be kept in {self._folder}: {error.strerror}.") from error
        self._said = ""
        return offers

    def failed(self, error: EarloopError) -> None:
        """Say why it could not look; once, not every second."""
        if error.message != self._said:
            log.error("language_models_not_followed", why=error.message)
        self._said = error.message

    def _offer(self, model: LanguageModel) -> Offer:
        path = self._folder / f"{model.id}{ENDING}"
        if not path.exists():
            failed, why = self._faults.get(model.id, (-RETRY_S, ""))
            if time.monotonic() - failed < RETRY_S:
                return Offer(path, model.ref, why)
            try:
                self._fetch(model, path)
            except EarloopError as error:
                self._faults[model.id] = time.monotonic(), error.message
                return Offer(path, model.ref, error.message)
        self._faults.pop(model.id, None)
        return Offer(path, model.ref)

    def _fetch(self, model: LanguageModel, path: Path) -> None:
        """Its bytes, checked, and its weights beside them. Raises NotFound, BadBundle, Unavailable."""
        data = self._objects.get(model.object_key or "")
        if hashlib.sha256(data).digest() != model.sha256:
            raise BadBundle(f"The bytes of the language model {model.ref} are others than were imported.", field="lm")
        weights = {name: value for name in WEIGHED if (value := getattr(model, name)) is not None}
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._put(path.with_suffix(WEIGHTS), json.dumps(weights).encode())
        self._put(path, data)  # the last one: who finds it finds its weights, too

    def _put(self, path: Path, data: bytes) -> None:
        beside = path.with_name(f".{secrets.token_hex(8)}")
        try:
            beside.write_bytes(data)
            beside.replace(path)
        finally:
            beside.unlink(missing_ok=True)

    def _drop(self, kept: set[str]) -> None:
        """Delete the files of those that were removed; streams that have one mapped keep it to their end."""
        for path in self._folder.glob("*"):
            with suppress(FileNotFoundError):  # another server was faster
                being_fetched = path.name.startswith(".") and path.stat().st_mtime > time.time() - STALE_S
                if path.stem not in kept and not being_fetched:
                    path.unlink()
