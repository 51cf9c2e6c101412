"""Votes: what people said of clips. One vote per person, clip and round, by a constraint of the table."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final

from sqlalchemy import and_, delete, func, insert, select

from stt_server.store import clips
from stt_server.store.rights import Verdict
from stt_server.store.tables import CLIPS, SKIPS, VOTES
from stt_server.store.upsert import insert_into

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from sqlalchemy import ColumnElement, Connection, Row

    from stt_server.store.clips import KeptClip

MOST_LISTED: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptVote:
    """A row of `votes`. Its id is that of the lease it ended, so that a vote sent twice is known."""

    id: str
    clip_id: str
    person_id: str
    round: int
    verdict: Verdict
    text: str | None
    normal_text: str | None  # what is compared
    expert: bool
    seconds: float  # from lease to vote
    created: datetime


@dataclass(frozen=True, slots=True)
class Counts:
    """`mine` and `today` are one person's votes, `validated_s` seconds of clips with agreed words."""

    today: int
    mine: int
    waiting: int
    decided: int
    validated_s: float


def insert_vote(connection: Connection, vote: KeptVote) -> None:
    """The caller has locked the clip and seen that this person has not judged it in this round."""
    connection.execute(insert(VOTES).values(asdict(vote)))


def get(connection: Connection, vote_id: str) -> KeptVote | None:
    """The vote that ended this lease, if one did."""
    return _first(connection, VOTES.c.id == vote_id)


def newest_of(connection: Connection, person_id: str) -> KeptVote | None:
    """What somebody said last, deciding as an expert aside."""
    return _first(connection, VOTES.c.person_id == person_id, ~VOTES.c.expert)


def of_round(connection: Connection, clip: KeptClip) -> list[KeptVote]:
    """All votes of the clip's present round."""
    return of_clips(connection, [clip])[clip.id]


def of_clips(connection: Connection, several: Iterable[KeptClip]) -> dict[str, list[KeptVote]]:
    """The votes of these clips' present rounds, oldest first."""
    found: dict[str, list[KeptVote]] = {clip.id: [] for clip in several}
    present = VOTES.c.round == CLIPS.c.round
    query = select(VOTES).join(CLIPS, and_(VOTES.c.clip_id == CLIPS.c.id, present)).where(CLIPS.c.id.in_(list(found)))
    for row in connection.execute(query.order_by(VOTES.c.created, VOTES.c.id)):
        found[row.clip_id].append(_vote(row))
    return found


def delete_vote(connection: Connection, vote_id: str) -> None:
    """Take a vote back; the caller settles its clip anew."""
    connection.execute(delete(VOTES).where(VOTES.c.id == vote_id))


def skip(connection: Connection, clip_id: str, person_id: str, now: datetime) -> None:
    """Let a clip not come back to this person."""
    row = insert_into(connection, SKIPS).values(clip_id=clip_id, person_id=person_id, created=now)
    connection.execute(row.on_conflict_do_nothing())


def gold_answers(connection: Connection, person_id: str, limit: int) -> list[tuple[KeptVote, str, str]]:
    """What somebody said of gold clips, the newest first, each with the verdict and the text that are right."""
    query = select(VOTES, CLIPS.c.verdict.label("right_verdict"), CLIPS.c.text.label("right_text"))
    query = query.join(CLIPS, VOTES.c.clip_id == CLIPS.c.id)
    query = query.where(VOTES.c.person_id == person_id, ~VOTES.c.expert, CLIPS.c.gold, CLIPS.c.status == "decided")
    rows = connection.execute(query.order_by(VOTES.c.created.desc(), VOTES.c.id).limit(limit))
    return [(_vote(row), row.right_verdict or "", row.right_text or "") for row in rows]


def tally(connection: Connection, person_id: str) -> tuple[int, int]:
    """How many clips somebody judged, and how many of them were gold."""
    query = select(func.count(), func.count().filter(CLIPS.c.gold)).select_from(VOTES)
    query = query.join(CLIPS, VOTES.c.clip_id == CLIPS.c.id).where(VOTES.c.person_id == person_id, ~VOTES.c.expert)
    judged, gold = connection.execute(query).one()
    return judged, gold


def today(connection: Connection, person_id: str, now: datetime) -> int:
    """Votes since midnight, UTC."""
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    mine = and_(VOTES.c.person_id == person_id, VOTES.c.created >= midnight)
    return connection.scalar(select(func.count()).select_from(VOTES).where(mine)) or 0


def counts(connection: Connection, person_id: str, now: datetime) -> Counts:
    """How far judging is; duplicates are one clip, but each of them is speech with agreed words."""
    mine = select(func.count()).select_from(VOTES).where(VOTES.c.person_id == person_id)
    by_status = select(CLIPS.c.status, func.count().label("clips")).where(CLIPS.c.duplicate_of.is_(None))
    rows = connection.execute(by_status.group_by(CLIPS.c.status))
    number: dict[str, int] = {row.status: row.clips for row in rows}
    return Counts(
        today(connection, person_id, now),
        connection.scalar(mine) or 0,
        number.get("waiting", 0),
        number.get("decided", 0),
        validated_s(connection),
    )


def validated_s(connection: Connection) -> float:
    """Seconds of speech whose words are agreed on."""
    known = and_(CLIPS.c.status == "decided", CLIPS.c.verdict.in_((Verdict.RIGHT, Verdict.CORRECTED)))
    return connection.scalar(select(func.sum(CLIPS.c.duration_s)).where(known)) or 0.0


def conflicts(connection: Connection, *, after: str | None = None, limit: int = 50) -> list[KeptClip]:
    """Clips that taggers cannot settle, or have not with two votes and more; ordered by id."""
    query = select(CLIPS.c.id).where(clips.disputed())
    if after is not None:
        query = query.where(CLIPS.c.id > after)
    ids = connection.scalars(query.order_by(CLIPS.c.id).limit(max(1, min(limit, MOST_LISTED)))).all()
    found = clips.with_ids(connection, ids)
    return [found[each] for each in ids if each in found]


def _first(connection: Connection, *conditions: ColumnElement[bool]) -> KeptVote | None:
    query = select(VOTES).where(*conditions).order_by(VOTES.c.created.desc(), VOTES.c.id).limit(1)
    row = connection.execute(query).one_or_none()
    return None if row is None else _vote(row)


def _vote(row: Row[tuple[object, ...]]) -> KeptVote:
    values = {name: row._mapping[VOTES.c[name]] for name in KeptVote.__slots__}
    return KeptVote(**{**values, "verdict": Verdict(values["verdict"])})
