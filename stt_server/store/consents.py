"""Consent: who agreed to which words, when, by which way, what for, until when. A newer one takes an older one's place.

Rows are never changed but for their end and never deleted: they are what says that a clip could be kept.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import and_, insert, or_, select, update

from stt_server.errors import Conflict
from stt_server.store import people
from stt_server.store.rights import Purpose
from stt_server.store.tables import CLIPS, CONSENTS

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from sqlalchemy import ColumnElement, Connection, Row, Select

ID_BYTES: Final = 16


class Way(StrEnum):
    """How somebody agreed."""

    PAGE = "page"
    API = "api"
    COMMAND = "command"
    IMPORT = "import"


@dataclass(frozen=True, slots=True)
class Consent:
    """A row of `consents`, without the words that were agreed to; `words` reads those."""

    id: str
    person_id: str
    version: str
    purposes: frozenset[Purpose]
    way: str
    given: datetime
    expires: datetime | None = None
    ended: datetime | None = None

    def lives(self, now: datetime) -> bool:
        return self.ended is None and (self.expires is None or now < self.expires)

    def keeps_clips(self, now: datetime) -> bool:
        """Whether what its person says from now on may be kept."""
        return self.lives(now) and Purpose.TRAINING in self.purposes


def give(
    connection: Connection,
    person_id: str,
    version: str,
    text: str,
    purposes: Iterable[Purpose],
    way: Way,
    now: datetime,
    expires: datetime | None = None,
) -> Consent:
    """Note that somebody agreed to `text`; ends what they agreed to before.

    Raises NotFound for nobody, Conflict while an earlier withdrawal of theirs still deletes.
    """
    people.lock(connection, person_id)
    if people.get(connection, person_id).withdrawn and _has_clips(connection, person_id):
        raise Conflict("Your withdrawal is not through, yet: what you gave is being deleted. Try again in a minute.")
    people.set_withdrawn(connection, person_id, None)
    end(connection, person_id, now)
    given = Consent(
        secrets.token_hex(ID_BYTES), person_id, version, frozenset(purposes), way.value, given=now, expires=expires
    )
    stored = {field: getattr(given, field) for field in Consent.__slots__} | {"text": text}
    connection.execute(insert(CONSENTS).values(stored | {"purposes": " ".join(sorted(given.purposes))}))
    return given


def end(connection: Connection, person_id: str, now: datetime) -> int:
    """End what somebody agreed to; says how many rows that was."""
    open_ones = and_(CONSENTS.c.person_id == person_id, CONSENTS.c.ended.is_(None))
    return connection.execute(update(CONSENTS).where(open_ones).values(ended=now)).rowcount


def current(connection: Connection, person_id: str, now: datetime) -> Consent | None:
    """What somebody agrees to at this moment."""
    row = connection.execute(_columns().where(CONSENTS.c.person_id == person_id, _lives(now))).one_or_none()
    return None if row is None else _consent(row)


def living(connection: Connection, now: datetime) -> dict[str, Consent]:
    """What everybody agrees to at this moment, by the person's id."""
    return {row.person_id: _consent(row) for row in connection.execute(_columns().where(_lives(now)))}


def covers(purpose: Purpose, now: datetime) -> ColumnElement[bool]:
    """Said of a clip: its purposes hold this one, and where it rests on a consent its person's has not run out."""
    running = select(CONSENTS.c.id).where(
        CONSENTS.c.person_id == CLIPS.c.person_id, _lives(now), CONSENTS.c.purposes.contains(purpose.value)
    )
    return and_(CLIPS.c.purposes.contains(purpose.value), or_(CLIPS.c.consent_id.is_(None), running.exists()))


def history(connection: Connection, person_id: str) -> list[Consent]:
    """All that somebody ever agreed to, oldest first."""
    theirs = _columns().where(CONSENTS.c.person_id == person_id).order_by(CONSENTS.c.given, CONSENTS.c.id)
    return [_consent(row) for row in connection.execute(theirs)]


def words(connection: Connection, consent_id: str) -> str:
    """The words that were agreed to."""
    return str(connection.scalars(select(CONSENTS.c.text).where(CONSENTS.c.id == consent_id)).one())


def _has_clips(connection: Connection, person_id: str) -> bool:
    return connection.execute(select(CLIPS.c.id).where(CLIPS.c.person_id == person_id).limit(1)).first() is not None


def _columns() -> Select[tuple[Any, ...]]:
    return select(*(column for column in CONSENTS.c if column.name != "text"))


def _lives(now: datetime) -> ColumnElement[bool]:
    return and_(CONSENTS.c.ended.is_(None), or_(CONSENTS.c.expires.is_(None), CONSENTS.c.expires > now))


def _consent(row: Row[tuple[object, ...]]) -> Consent:
    purposes = frozenset(Purpose(name) for name in row.purposes.split())
    return Consent(row.id, row.person_id, row.version, purposes, row.way, row.given, row.expires, row.ended)
