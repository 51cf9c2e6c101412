"""Clips that taggers agree on, with real audio, as the recorder and the queue leave them."""

import hashlib
import io
from itertools import count
from typing import Any

import numpy as np

from stt_server.speech.files import write_flac
from stt_server.store import clips, datasets
from stt_server.store.clips import KeptClip
from stt_server.store.consents import Consent
from stt_server.store.database import Database
from stt_server.store.objects import ObjectStore, clip_key
from stt_server.store.rights import Purpose
from tests.store.giving import now

_numbers = count(1)


def flac(seconds: float = 1.0) -> bytes:
    """A recording unlike any other."""
    dice = np.random.default_rng(next(_numbers))
    file = io.BytesIO()
    write_flac(file, np.clip(dice.normal(0, 0.1, int(16_000 * seconds)), -1, 1).astype(np.float32))
    return file.getvalue()


def agreed(
    database: Database,
    objects: ObjectStore,
    consent: Consent | None = None,
    text: str | None = "turn on the light",
    seconds: float = 1.0,
    **more: Any,
) -> KeptClip:
    """A clip that taggers agree on: of somebody who consented, else of an uploader with a statement."""
    ident, data = clips.new_id(), flac(seconds)
    basis: dict[str, Any] = {"statement": "my own voice", "purposes": frozenset(Purpose) - {Purpose.RECOGNITION}}
    if consent is not None:
        basis = {"person_id": consent.person_id, "consent_id": consent.id, "purposes": consent.purposes}
    values: dict[str, Any] = {
        "created": now(),
        "origin": "recorder",
        "hypothesis": text or "",
        "language": "en",
        "status": "decided",
        "verdict": "right",
        "text": text,
        "decided": now(),
    }
    kept = KeptClip(
        id=ident,
        object_key=clip_key(ident),
        sha256=hashlib.sha256(data).digest(),
        size=len(data),
        duration_s=seconds,
        **{**basis, **values, **more},
    )
    objects.put(kept.object_key, data)
    with database.write() as connection:
        clips.insert_clip(connection, kept)
    return kept


def gathered(database: Database, name: str, *kept: KeptClip) -> None:
    """A dataset of these clips, made where there is none."""
    with database.write() as connection:
        if name not in [each.name for each in datasets.every(connection)]:
            datasets.create(connection, name, "test", now(), licence="CC0-1.0")
        datasets.add(connection, name, [each.id for each in kept], now())
