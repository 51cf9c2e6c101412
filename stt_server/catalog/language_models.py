"""Language models of the catalog: a file, read once to be sure of it, becomes an object and a row; and goes again.

The newest version of a name answers, on every server over the database (`shelf.py`); removing it gives the name back to
the version before.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from stt_server.errors import BadOption, NotFound, TooLarge
from stt_server.logs import EventLog
from stt_server.speech.decoder.model import read_model
from stt_server.speech.decoder.named import NAME, WEIGHED
from stt_server.store import erasures, language_models, routes
from stt_server.store.ids import new_id
from stt_server.store.language_models import LanguageModel
from stt_server.store.ring import now

if TYPE_CHECKING:
    from pathlib import Path

    from stt_server.store.database import Connection, Database
    from stt_server.store.objects import ObjectStore

MOST_BYTES: Final = 1 << 30  # as much as a backup takes for one object
MOST_WEIGHT: Final = 100.0
LONGEST_REASON: Final = 1000

log = EventLog("catalog")


@dataclass(frozen=True, slots=True)
class Weights:
    """Of the language model against the acoustics, and for each word; None: as the model bundle has it."""

    alpha: float | None = None
    beta: float | None = None


def import_language_model(
    database: Database,
    objects: ObjectStore,
    path: Path,
    *,
    name: str,
    actor: str,
    weights: Weights = Weights(),
    reason: str = "",
) -> LanguageModel:
    """Keep this file as the newest version of a name. Blocking. What answers by that name already is left as it is.

    Raises NotFound, BadBundle for what is no language model, BadOption, TooLarge, Unavailable, and Unsupported where
    the native decoder was not built.
    """
    _check(name, weights, reason)
    lineage = _read(path)
    data = path.read_bytes()
    ident, sha256 = new_id(), hashlib.sha256(data).digest()
    with database.read() as connection:
        if known := _known(connection, name, sha256, weights):
            return known
    key = language_models.object_key(ident)
    objects.put(key, data)
    with database.write() as connection:
        routes.lock(connection)
        if known := _known(connection, name, sha256, weights):  # somebody was faster
            erasures.ask(connection, [key], now())
            return known
        model = LanguageModel(
            id=ident,
            name=name,
            version=language_models.next_version(connection, name),
            object_key=key,
            sha256=sha256,
            size=len(data),
            alpha=weights.alpha,
            beta=weights.beta,
            lineage=lineage,
            reason=reason.strip(),
            created=now(),
            created_by=actor,
        )
        language_models.insert_language_model(connection, model)
    log.info("language_model_imported", model=model.ref, id=ident, by=actor)
    return model


def remove_language_model(database: Database, ref: str, *, actor: str, reason: str = "") -> list[LanguageModel]:
    """Remove a version, or with its name alone all of them; the version before answers, where there is one.

    Their bytes go with the next `erase_pending`, their rows stay. Raises NotFound, BadOption.
    """
    _check_reason(reason)
    with database.write() as connection:
        routes.lock(connection)
        gone = [each for each in language_models.versions(connection, ref) if each.removed is None]
        if not gone:
            raise NotFound(f"The language model {ref[:100]} was removed already.", field="language_model")
        moment, keys = now(), [each.object_key for each in gone if each.object_key]
        erasures.ask(connection, keys, moment)
        ids = [each.id for each in gone]
        language_models.forget_bytes(connection, ids, by=actor, reason=reason.strip(), now=moment)
        return [language_models.get(connection, ident) for ident in ids]


def _check(name: str, weights: Weights, reason: str) -> None:
    if not NAME.fullmatch(name):
        raise BadOption(
            "A language model's name has letters, digits, dots, dashes and underscores, 64 at most.", field="name"
        )
    for field in WEIGHED:
        value = getattr(weights, field)
        if value is not None and not -MOST_WEIGHT <= value <= MOST_WEIGHT:
            raise BadOption(f"{field} is a number between {-MOST_WEIGHT:g} and {MOST_WEIGHT:g}.", field=field)
    _check_reason(reason)


def _check_reason(reason: str) -> None:
    if len(reason) > LONGEST_REASON or "\0" in reason:
        raise BadOption(f"A reason is text of {LONGEST_REASON} letters at most.", field="reason")


def _read(path: Path) -> dict[str, object]:
    """What there is to say of a file that is a language model."""
    if path.is_file() and path.stat().st_size > MOST_BYTES:
        raise TooLarge(f"A language model has {MOST_BYTES >> 20} MB at most.", field="lm")
    return {"file": path.name, "order": read_model(path).order}


def _known(connection: Connection, name: str, sha256: bytes, weights: Weights) -> LanguageModel | None:
    """What answers by that name, if it is the same."""
    for each in language_models.answering(connection):
        if (each.name, each.sha256, each.alpha, each.beta) == (name, sha256, weights.alpha, weights.beta):
            return each
    return None
