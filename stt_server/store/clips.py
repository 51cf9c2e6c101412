"""Clips: recordings that are kept, each with what was heard in it and why it may be kept.

Bytes come first and the row after them, so that a row without bytes never begins; a clip is kept when its row is
committed. A clip leaves through `store/withdrawal.py` alone.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Final

from sqlalchemy import and_, exists, false, func, insert, or_, select

from stt_server.errors import BadOption, Conflict, LimitReached, NotFound
from stt_server.store.tables import CLIPS, CONSENTS, DATASET_CLIPS, DATASETS, PEOPLE, VOTES

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from sqlalchemy import ColumnElement, Connection, Row

    Timed = tuple[str, float, float, float]  # a word, its start and end in seconds of the clip, how sure

ID_BYTES: Final = 16
MOST_LISTED: Final = 500
MOST_LIKE: Final = 200
DISPUTED: Final = "disputed"
IMPORT: Final = "import"  # as an origin: brought by whoever runs the server


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptClip:
    """A row of `clips`; what each field means is said beside the table's columns."""

    id: str
    created: datetime
    object_key: str
    sha256: bytes  # of the samples
    size: int
    duration_s: float
    purposes: frozenset[str]
    origin: str  # stream, upload, ovos, recorder, import
    person_id: str | None = None
    consent_id: str | None = None
    statement: str | None = None
    licence: str = ""
    protocol: str = ""
    device: str = ""
    session: str = ""
    expires: datetime | None = None
    fingerprint: bytes | None = None
    hypothesis: str = ""
    words: tuple[Timed, ...] = ()
    confidence: float = 0.0
    greedy: str | None = None
    model: str = ""
    lm: str = ""
    language: str = ""
    script: str | None = None
    reference: str | None = None
    status: str = "waiting"
    verdict: str | None = None
    text: str | None = None
    decided: datetime | None = None
    round: int = 1
    value: float = 0.0
    suspect: float = 0.0
    gold: bool = False
    duplicate_of: str | None = None


@dataclass(frozen=True, slots=True)
class ClipFilter:
    """Which clips; None asks for nothing. `text` is looked for in what was heard and in what was agreed on.

    The status `disputed` is no row's: taggers cannot settle the clip, or have not with two votes and more.
    """

    person_id: str | None = None
    status: str | None = None
    origin: str | None = None
    dataset: str | None = None
    text: str | None = None


@dataclass(frozen=True, slots=True)
class Allowance:
    """How much of one person may be kept, and of all who are nobody together; 0 is no limit."""

    clips_per_day: int = 0
    hours: float = 0.0


NO_LIMIT: Final = Allowance()


def new_id() -> str:
    """For a clip, and so for its object, before either is there."""
    return secrets.token_hex(ID_BYTES)


def insert_clip(connection: Connection, clip: KeptClip, allowance: Allowance = NO_LIMIT) -> KeptClip:
    """Keep a clip whose bytes are there; the clip as it is kept. Raises as `check_clip`."""
    check_clip(connection, clip, allowance)
    kept = _judged_alike(connection, clip)
    connection.execute(insert(CLIPS).values(_as_row(kept)))
    return kept


def check_clip(connection: Connection, clip: KeptClip, allowance: Allowance = NO_LIMIT) -> None:
    """Whether a clip may be kept.

    Raises Conflict where its consent has ended, its person has withdrawn or the same samples of the same person are
    kept already; LimitReached where the person has given as much as one may; BadOption for a clip without a basis.
    """
    if clip.consent_id is None and not clip.statement:
        raise BadOption("A clip needs a basis: a consent, or a statement why it may be kept.", field="statement")
    _check_person(connection, clip)
    _check_consent(connection, clip)
    _check_new(connection, clip)
    _check_room(connection, clip, allowance)


def join_dataset(connection: Connection, clip_id: str, name: str, now: datetime) -> None:
    """Put a clip into a dataset. Raises NotFound."""
    dataset_id = connection.scalar(select(DATASETS.c.id).where(DATASETS.c.name == name, DATASETS.c.removed.is_(None)))
    if dataset_id is None:
        raise NotFound(f"There is no dataset {name[:100]!r}.", field="dataset")
    connection.execute(insert(DATASET_CLIPS).values(dataset_id=dataset_id, clip_id=clip_id, added=now))


def like(connection: Connection, clip: KeptClip, within_s: float) -> list[tuple[str, bytes]]:
    """Earlier clips of the same person, about as long, in which the same was heard: (id, fingerprint), newest first."""
    query = (
        select(CLIPS.c.id, CLIPS.c.fingerprint)
        .where(_same_person(clip.person_id), CLIPS.c.hypothesis == clip.hypothesis, CLIPS.c.duplicate_of.is_(None))
        .where(CLIPS.c.duration_s.between(clip.duration_s - within_s, clip.duration_s + within_s))
        .where(CLIPS.c.fingerprint.is_not(None))
        .order_by(CLIPS.c.created.desc())
        .limit(MOST_LIKE)
    )
    return [(row.id, row.fingerprint) for row in connection.execute(query)]


def get(connection: Connection, clip_id: str) -> KeptClip:
    """Raises NotFound."""
    row = connection.execute(select(CLIPS).where(CLIPS.c.id == clip_id)).one_or_none()
    if row is None:
        raise NotFound(f"There is no clip {clip_id[:64]}.")
    return _as_clip(row)


def listed(
    connection: Connection, wanted: ClipFilter = ClipFilter(), *, after: str | None = None, limit: int = 50
) -> list[KeptClip]:
    """The newest clips first, those after one of them. Raises NotFound where that one is gone."""
    query = select(CLIPS).where(*_conditions(wanted)).order_by(CLIPS.c.created.desc(), CLIPS.c.id.desc())
    if after is not None:
        last = get(connection, after)
        same = and_(CLIPS.c.created == last.created, CLIPS.c.id < last.id)
        query = query.where(or_(CLIPS.c.created < last.created, same))
    rows = connection.execute(query.limit(max(1, min(limit, MOST_LISTED))))
    return [_as_clip(row) for row in rows]


def with_ids(connection: Connection, clip_ids: Iterable[str]) -> dict[str, KeptClip]:
    """Those of these clips that are there."""
    rows = connection.execute(select(CLIPS).where(CLIPS.c.id.in_(list(clip_ids))))
    return {row.id: _as_clip(row) for row in rows}


def of_person(connection: Connection, person_id: str) -> list[str]:
    """The ids of all that somebody gave, oldest first."""
    theirs = select(CLIPS.c.id).where(CLIPS.c.person_id == person_id).order_by(CLIPS.c.created, CLIPS.c.id)
    return list(connection.scalars(theirs))


def disputed() -> ColumnElement[bool]:
    """Said of a clip that needs an expert or soon may; its duplicates are settled with it."""
    present = and_(VOTES.c.clip_id == CLIPS.c.id, VOTES.c.round == CLIPS.c.round)
    number = select(func.count()).select_from(VOTES).where(present).scalar_subquery()
    torn = or_(CLIPS.c.status == "parked", and_(CLIPS.c.status == "waiting", number >= 2))
    return and_(torn, CLIPS.c.duplicate_of.is_(None))


def any_at_all(connection: Connection) -> bool:
    """Whether a clip is kept."""
    return connection.scalar(select(CLIPS.c.id).limit(1)) is not None


def objects_of(connection: Connection, part: str) -> dict[str, tuple[str, datetime]]:
    """The clips whose ids begin with `part`, hexadecimal: {object key: (id, when it was made)}."""
    query = select(CLIPS.c.object_key, CLIPS.c.id, CLIPS.c.created)
    rows = connection.execute(query.where(CLIPS.c.id >= part, CLIPS.c.id < f"{part}g"))  # g comes after f everywhere
    return {row.object_key: (row.id, row.created) for row in rows}


def expired(connection: Connection, now: datetime, limit: int = 1000) -> list[str]:
    """The ids of clips that nobody has judged in time, some of them."""
    query = select(CLIPS.c.id).where(CLIPS.c.status == "waiting", has_expired(now))
    return list(connection.scalars(query.order_by(CLIPS.c.expires).limit(limit)))


def has_expired(now: datetime) -> ColumnElement[bool]:
    """Said of a clip that waits: its time is over and nobody has judged it. One vote and it stays: it is not lost."""
    voted = exists().where(VOTES.c.clip_id == CLIPS.c.id, VOTES.c.round == CLIPS.c.round)
    return and_(func.coalesce(CLIPS.c.expires <= now, false()), ~voted)


def _check_person(connection: Connection, clip: KeptClip) -> None:
    """Held to the end of the transaction, so that withdrawing comes before or after, never between, and that of two
    clips of one person at once the second is checked when the first is kept.
    """
    if clip.person_id is None:
        return
    query = select(PEOPLE.c.withdrawn).where(PEOPLE.c.id == clip.person_id).with_for_update(key_share=True)
    row = connection.execute(query).one_or_none()
    if row is None or row.withdrawn is not None:
        raise Conflict("Who gives this clip has withdrawn; it is not kept.")


def _check_consent(connection: Connection, clip: KeptClip) -> None:
    if clip.consent_id is None:
        return
    query = select(CONSENTS).where(CONSENTS.c.id == clip.consent_id).with_for_update(read=True)
    row = connection.execute(query).one_or_none()
    over = row is None or row.ended is not None or (row.expires is not None and row.expires <= clip.created)
    if over or row is None or row.person_id != clip.person_id or "training" not in row.purposes.split():
        raise Conflict("The consent behind this clip has ended; it is not kept.")


def _check_new(connection: Connection, clip: KeptClip) -> None:
    same = select(CLIPS.c.id).where(CLIPS.c.sha256 == clip.sha256, _same_person(clip.person_id)).limit(1)
    if (known := connection.scalar(same)) is not None:
        raise Conflict(f"This very recording is kept already, as clip {known}.")


def _judged_alike(connection: Connection, clip: KeptClip) -> KeptClip:
    """A duplicate stands where its original stands. That one is held, so that no vote on it passes the new row by."""
    if clip.duplicate_of is None:
        return clip
    query = select(CLIPS).where(CLIPS.c.id == clip.duplicate_of).with_for_update(read=True)
    row = connection.execute(query).one_or_none()
    if row is None:  # it has left meanwhile
        return replace(clip, duplicate_of=None)
    return replace(clip, status=row.status, verdict=row.verdict, text=row.text, decided=row.decided)


def _same_person(person_id: str | None) -> ColumnElement[bool]:
    return CLIPS.c.person_id.is_(None) if person_id is None else CLIPS.c.person_id == person_id


def _check_room(connection: Connection, clip: KeptClip, allowance: Allowance) -> None:
    """Who uploads as nobody is one person with all others who do: a limit must not end where a token is left out."""
    if clip.origin == IMPORT or allowance == NO_LIMIT:
        return
    midnight = clip.created.replace(hour=0, minute=0, second=0, microsecond=0)
    theirs = and_(_same_person(clip.person_id), CLIPS.c.origin != IMPORT)
    today = select(func.count()).select_from(CLIPS).where(theirs, CLIPS.c.created >= midnight)
    if allowance.clips_per_day and (connection.scalar(today) or 0) >= allowance.clips_per_day:
        who = "A person" if clip.person_id else "All who come without a contributor's token together"
        raise LimitReached(f"{who} may give {allowance.clips_per_day} clips a day; come back tomorrow.")
    kept_s = connection.scalar(select(func.sum(CLIPS.c.duration_s)).where(theirs)) or 0.0
    if allowance.hours and kept_s + clip.duration_s > allowance.hours * 3600:
        whom = "one person" if clip.person_id else "all who come without a contributor's token"
        raise LimitReached(f"Of {whom} {allowance.hours:g} hours are kept, and those are full.")


def _conditions(wanted: ClipFilter) -> list[ColumnElement[bool]]:
    same = {"person_id": CLIPS.c.person_id, "origin": CLIPS.c.origin}
    found = [column == getattr(wanted, name) for name, column in same.items() if getattr(wanted, name) is not None]
    if wanted.status is not None:
        found.append(disputed() if wanted.status == DISPUTED else CLIPS.c.status == wanted.status)
    if wanted.text:
        said = func.lower(func.coalesce(CLIPS.c.text, CLIPS.c.hypothesis))
        found.append(said.contains(wanted.text.lower(), autoescape=True))
    if wanted.dataset is not None:
        named = select(DATASET_CLIPS.c.clip_id).join(DATASETS, DATASETS.c.id == DATASET_CLIPS.c.dataset_id)
        found.append(CLIPS.c.id.in_(named.where(DATASETS.c.name == wanted.dataset)))
    return found


def _as_row(clip: KeptClip) -> dict[str, object]:
    row: dict[str, object] = {field.name: getattr(clip, field.name) for field in fields(clip)}
    return row | {"purposes": " ".join(sorted(clip.purposes)), "words": [list(word) for word in clip.words]}


def _as_clip(row: Row[tuple[object, ...]]) -> KeptClip:
    values = dict(row._mapping)
    values["purposes"] = frozenset(str(values["purposes"]).split())
    values["words"] = tuple((text, start_s, end_s, sure) for text, start_s, end_s, sure in values["words"])
    return KeptClip(**values)
