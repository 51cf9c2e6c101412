"""People, consent and clips in a database, made as the product makes them."""

import hashlib
from datetime import UTC, datetime
from itertools import count

from sqlalchemy import func, insert, select

from stt_server.store import clips, consents, people
from stt_server.store.clips import KeptClip
from stt_server.store.consents import Consent, Way
from stt_server.store.database import Database
from stt_server.store.objects import ObjectStore, clip_key
from stt_server.store.people import Person
from stt_server.store.rights import Purpose
from stt_server.store.tables import (
    CLIPS,
    DATASET_CLIPS,
    DATASETS,
    ERASURES,
    LEASES,
    SKIPS,
    SNAPSHOT_CLIPS,
    SNAPSHOTS,
    VOTES,
)

BOTH = (Purpose.TRAINING, Purpose.RELEASE)
_numbers = count(1)


def now() -> datetime:
    return datetime.now(UTC)


def giver(database: Database, *purposes: Purpose) -> tuple[Person, Consent]:
    """Somebody who agreed to that."""
    with database.write() as connection:
        person, _ = people.create(connection, now())
    return person, agree(database, person, *purposes)


def agree(database: Database, person: Person, *purposes: Purpose, expires: datetime | None = None) -> Consent:
    """Let somebody agree to that from now on."""
    with database.write() as connection:
        return consents.give(connection, person.id, "1", "the words", purposes or BOTH, Way.API, now(), expires)


def clip(
    database: Database, consent: Consent, objects: ObjectStore | None = None, said: str = "la la", **more
) -> KeptClip:
    """A clip of somebody; its bytes, too, where there is a store for them."""
    ident, number = clips.new_id(), next(_numbers)
    data = f"audio {number} of {said}".encode()
    kept = KeptClip(
        id=ident,
        object_key=clip_key(ident),
        sha256=hashlib.sha256(data).digest(),
        size=len(data),
        duration_s=1.5,
        purposes=consent.purposes,
        origin="stream",
        person_id=consent.person_id,
        consent_id=consent.id,
        hypothesis=said,
        **{"created": now(), **more},
    )
    if objects is not None:
        objects.put(kept.object_key, data)
    with database.write() as connection:
        clips.insert_clip(connection, kept)
    return kept


def judge(database: Database, kept: KeptClip, judge: Person, text: str = "la la") -> None:
    """Let somebody lease, vote on and skip a clip."""
    row = {"clip_id": kept.id, "person_id": judge.id}
    with database.write() as connection:
        connection.execute(insert(LEASES).values(row | {"id": clips.new_id(), "leased": now(), "expires": now()}))
        connection.execute(insert(SKIPS).values(row | {"created": now()}))
        vote = {"id": clips.new_id(), "round": 1, "verdict": "corrected", "text": text, "normal_text": text}
        connection.execute(insert(VOTES).values(row | vote | {"expert": False, "seconds": 2.0, "created": now()}))


def publish(database: Database, *kept: KeptClip, purpose: str = "training", text: str = "la la") -> str:
    """A dataset of these clips and a snapshot of it; the snapshot's id."""
    number = next(_numbers)
    dataset, snapshot = f"dataset{number}", f"snapshot{number}"
    common = {"created": now(), "created_by": "test"}
    with database.write() as connection:
        row: dict[str, object] = {"id": dataset, "name": dataset, "description": "", "licence": "CC0-1.0"}
        connection.execute(insert(DATASETS).values(row | common))
        row = {"id": snapshot, "dataset_id": dataset, "number": 1, "purpose": purpose, "sha256": bytes(32)}
        connection.execute(insert(SNAPSHOTS).values(row | common | {"statistics": {}, "licence_text": ""}))
        for each in kept:
            connection.execute(insert(DATASET_CLIPS).values(dataset_id=dataset, clip_id=each.id, added=now()))
            line = {"snapshot_id": snapshot, "clip_id": each.id, "split": "train", "row_sha256": bytes(32)}
            connection.execute(insert(SNAPSHOT_CLIPS).values(line | {"text": text}))
    return snapshot


def counts(database: Database) -> dict[str, int]:
    """How many rows each table about clips has."""
    tables = (CLIPS, VOTES, LEASES, SKIPS, DATASET_CLIPS, SNAPSHOT_CLIPS, ERASURES)
    with database.read() as connection:
        return {each.name: connection.scalar(select(func.count()).select_from(each)) or 0 for each in tables}
