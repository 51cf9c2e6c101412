"""What a row and a snapshot are, in 32 bytes each: whoever has an export can check that nobody changed anything.

A row is hashed as JSON with sorted keys and no blanks. The snapshot's hash is over the hashes of its rows in order of
their clips, so that it can be checked after withdrawals too: a tombstone keeps the hash of what it was.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

from stt_server.store.rights import Purpose

if TYPE_CHECKING:
    from collections.abc import Iterable

    from stt_server.store.snapshots import Line

NAME_LETTERS = 20  # of a pseudonym: 80 bits, enough for two never to be alike


def row_hash(line: Line, purpose: Purpose, dataset_id: str) -> bytes:
    """Of all that an export says of a clip. A public release says nothing of its person, so neither does the hash."""
    told = {
        "clip": line.clip_id,
        "text": line.text,
        "split": line.split,
        "samples_sha256": line.sha256.hex(),
        "duration_s": round(line.duration_s, 3),
        "licence": line.licence,
        "language": line.language,
        "speaker": speaker_of(line, purpose, dataset_id),
    }
    text = json.dumps(told, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).digest()


def snapshot_hash(row_hashes: Iterable[bytes]) -> bytes:
    """Of the rows' hashes, given in order of their clips."""
    return hashlib.sha256(b"".join(row_hashes)).digest()


def speaker_of(line: Line, purpose: Purpose, dataset_id: str) -> str | None:
    """What a person is called in an export of this dataset, and in no other; None in a public release."""
    if line.person_id is None or purpose is Purpose.RELEASE:
        return None
    return hashlib.sha256(f"speaker {dataset_id} {line.person_id}".encode()).hexdigest()[:NAME_LETTERS]


def name_of(line: Line, purpose: Purpose) -> str:
    """What a clip's file is called. A public release says no id that this server knows."""
    return line.row_sha256.hex()[:NAME_LETTERS] if purpose is Purpose.RELEASE else line.clip_id
