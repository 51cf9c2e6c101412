"""People: those who give clips, and those who judge them. An opaque id, never a name.

A person stands behind an API key, which has one person at most, or behind a token `elc_<id>_<secret>` that a page or
`earloop consent grant` made. As with keys, the database has the SHA-256 of the secret only (see `keys.py` for why that
is enough). Rows are never deleted, so that a token of somebody who withdrew is known and says so.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from sqlalchemy import insert, select, update

from stt_server.errors import NotFound
from stt_server.store.keys import NOBODY, SECRET_BYTES, is_secret, parse_key
from stt_server.store.tables import PEOPLE
from stt_server.store.upsert import insert_into

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection, Row

    from stt_server.store.keys import Credential

PREFIX: Final = "elc"
ID_BYTES: Final = 8


@dataclass(frozen=True, slots=True)
class Person:
    """A row of `people`."""

    id: str
    created: datetime
    key_id: str | None = None
    token_sha256: bytes | None = field(default=None, repr=False)
    withdrawn: datetime | None = None


def parse_token(text: str) -> Credential | None:
    """The parts of `elc_<id>_<secret>`; None for what is no token of ours."""
    return parse_key(text.strip(), PREFIX)


def is_right(known: Person | None, shown: Credential) -> bool:
    """Whether the secret is that person's. An unknown person costs what a known one does."""
    right = is_secret(shown, (known.token_sha256 if known else None) or NOBODY)
    return known is not None and right


def create(connection: Connection, now: datetime) -> tuple[Person, str]:
    """A new person and the token that stands for them: the only time that anybody sees it."""
    secret = secrets.token_urlsafe(SECRET_BYTES)
    person = Person(_new_id(), now, token_sha256=hashlib.sha256(secret.encode()).digest())
    row = {"id": person.id, "token_sha256": person.token_sha256, "created": now}
    connection.execute(insert(PEOPLE).values(row))
    return person, f"{PREFIX}_{person.id}_{secret}"


def of_key(connection: Connection, key_id: str, now: datetime) -> Person:
    """The person behind a key, made at first need; of two requests at once one makes it."""
    row = insert_into(connection, PEOPLE).values(id=_new_id(), key_id=key_id, created=now)
    connection.execute(row.on_conflict_do_nothing(index_elements=[PEOPLE.c.key_id]))
    return _person(connection.execute(select(PEOPLE).where(PEOPLE.c.key_id == key_id)).one())


def get(connection: Connection, person_id: str) -> Person:
    """Raises NotFound."""
    row = connection.execute(select(PEOPLE).where(PEOPLE.c.id == person_id)).one_or_none()
    if row is None:
        raise NotFound(f"There is no person {person_id[:40]}; `earloop consent show` lists all.")
    return _person(row)


def lock(connection: Connection, person_id: str) -> None:
    """Let nobody withdraw or agree for this person until the transaction ends."""
    connection.execute(select(PEOPLE.c.id).where(PEOPLE.c.id == person_id).with_for_update(key_share=True))


def every(connection: Connection) -> list[Person]:
    """Everybody, oldest first."""
    return [_person(row) for row in connection.execute(select(PEOPLE).order_by(PEOPLE.c.created, PEOPLE.c.id))]


def set_withdrawn(connection: Connection, person_id: str, moment: datetime | None) -> None:
    """Say that everything of theirs has to go, or, with None, that they have agreed anew."""
    connection.execute(update(PEOPLE).where(PEOPLE.c.id == person_id).values(withdrawn=moment))


def withdrawn(connection: Connection) -> list[str]:
    """The ids of all who withdrew and have not agreed anew."""
    return list(connection.scalars(select(PEOPLE.c.id).where(PEOPLE.c.withdrawn.is_not(None))))


def _new_id() -> str:
    return secrets.token_hex(ID_BYTES)


def _person(row: Row[tuple[object, ...]]) -> Person:
    return Person(row.id, row.created, row.key_id, row.token_sha256, row.withdrawn)
