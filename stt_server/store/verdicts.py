"""How the judging of a clip stands, as its row says it. Duplicates are judged with their clip: one sound, one text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sqlalchemy import or_, select, update

from stt_server.store import clips
from stt_server.store.rights import Verdict
from stt_server.store.tables import CLIPS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from sqlalchemy import ColumnElement, Connection

    from stt_server.store.clips import KeptClip

WORDS_OF: Final = 5000  # agreed texts that count as known


def set_open(connection: Connection, clip_id: str, value: float, *, parked: bool = False) -> None:
    """It is not decided (any more): it waits for votes, or, parked, for an expert."""
    open_ = {"status": "parked" if parked else "waiting", "verdict": None, "text": None, "decided": None}
    _write(connection, clip_id, {**open_, "value": value})


def set_decided(
    connection: Connection,
    clip_id: str,
    verdict: Verdict,
    text: str | None,
    now: datetime,
    *,
    quarantined: bool = False,
) -> None:
    """It is decided, and what training suspected has been answered."""
    status = "quarantined" if quarantined else "decided"
    _write(connection, clip_id, {"status": status, "verdict": verdict, "text": text, "decided": now, "suspect": 0.0})


def begin_round(connection: Connection, clip: KeptClip, value: float) -> None:
    """Judge it from the beginning. Who judged it before may again; and it does not expire, for it was judged once."""
    set_open(connection, clip.id, value)
    _write(connection, clip.id, {"round": clip.round + 1, "gold": False, "expires": None})


def set_suspect(connection: Connection, clip_id: str, suspect: float) -> None:
    """How sure training is that its label is wrong, 0 to 1."""
    _write(connection, clip_id, {"suspect": suspect})


def set_reference(connection: Connection, clip_id: str, text: str) -> None:
    """What whoever brought it says it says; of this clip alone."""
    connection.execute(update(CLIPS).where(CLIPS.c.id == clip_id).values(reference=text))


def set_gold(connection: Connection, clip_id: str, *, gold: bool) -> None:
    """Whether it measures taggers; its duplicates do not."""
    connection.execute(update(CLIPS).where(CLIPS.c.id == clip_id).values(gold=gold))


def givers(connection: Connection, clip_id: str) -> frozenset[str]:
    """Who gave this clip or a duplicate of it."""
    theirs = connection.scalars(select(CLIPS.c.person_id).where(_together(clip_id)))
    return frozenset(person for person in theirs if person is not None)


def agreed_words(connection: Connection) -> frozenset[str]:
    """The words of the newest agreed texts."""
    known = CLIPS.c.verdict.in_((Verdict.RIGHT, Verdict.CORRECTED))
    query = select(CLIPS.c.text).where(CLIPS.c.status == "decided", known).order_by(CLIPS.c.decided.desc())
    return frozenset(word for text in connection.scalars(query.limit(WORDS_OF)) for word in (text or "").split())


def waiting_from(connection: Connection, after: str, limit: int, since: datetime | None = None) -> list[KeptClip]:
    """Some clips that wait, by id, those after one; with `since` only those that came from then on."""
    query = select(CLIPS.c.id).where(CLIPS.c.status == "waiting", CLIPS.c.duplicate_of.is_(None), CLIPS.c.id > after)
    if since is not None:
        query = query.where(CLIPS.c.created >= since)
    ids = connection.scalars(query.order_by(CLIPS.c.id).limit(limit)).all()
    found = clips.with_ids(connection, ids)
    return [found[each] for each in ids if each in found]


def set_values(connection: Connection, values: Mapping[str, float]) -> None:
    """Value clips anew that still wait."""
    for clip_id, value in values.items():
        waits = (CLIPS.c.id == clip_id, CLIPS.c.status == "waiting")
        connection.execute(update(CLIPS).where(*waits).values(value=value))


def _write(connection: Connection, clip_id: str, values: Mapping[str, object]) -> None:
    connection.execute(update(CLIPS).where(_together(clip_id)).values(values))


def _together(clip_id: str) -> ColumnElement[bool]:
    return or_(CLIPS.c.id == clip_id, CLIPS.c.duplicate_of == clip_id)
