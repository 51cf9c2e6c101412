"""Vocabularies as rows: by the key whose they are and a name; those of no key are shared by all.

A household's names are its own business: whoever asks for a row says whose it is, and no list here mixes keys unless
an operator asks for all. Of changes the last one alone is kept: its id is the revision that servers follow. Writers
take `lock` first, so that revisions are committed in the order of their numbers and none is overlooked.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import and_, delete, func, insert, select, text, update

from stt_server.errors import BadOption, Conflict, NotFound
from stt_server.store.ids import new_id
from stt_server.store.tables import KEYS, VOCABULARIES, VOCABULARY_CHANGES

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from sqlalchemy import Connection, Row

SHARED: Final = ""  # the owner of those that everybody may use
NONE: Final = "none"  # no name: by it a stream says that it wants no vocabulary, its key's default neither
PART: Final = 500  # rows that are asked for at once
ADVISORY_LOCK: Final = 0x766F636162  # "vocab"
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """A row. `body` is what was put, checked; `version` grows by one with every change."""

    id: str
    key_id: str
    name: str
    version: int
    body: dict[str, Any]
    created: datetime
    changed: datetime


def check_name(name: str) -> str:
    """The name, if one may be called so. Raises BadOption."""
    if not _NAME.fullmatch(name) or name == NONE:
        why = "begins with a letter or digit; 1 to 64 letters, digits, `.`, `_` and `-`"
        taken = "; `none` stands for no vocabulary" if name == NONE else ""
        raise BadOption(f"A vocabulary cannot be called {name[:70]!r}: a name {why}{taken}.", field="vocabulary")
    return name


def put(connection: Connection, key_id: str, name: str, body: dict[str, Any], now: datetime) -> Vocabulary:
    """Make a vocabulary, or put another one in its place. The caller has checked name and body."""
    lock(connection)
    before = find(connection, key_id, name)
    if before is None:
        told = {"id": new_id(), "key_id": key_id, "name": name, "version": 1, "created": now}
        connection.execute(insert(VOCABULARIES).values(told | {"body": body, "changed": now}))
    else:
        told = {"version": before.version + 1, "body": body, "changed": now}
        connection.execute(update(VOCABULARIES).where(VOCABULARIES.c.id == before.id).values(told))
    _note(connection, now)
    return get(connection, key_id, name)


def remove(connection: Connection, key_id: str, name: str, now: datetime) -> None:
    """Raises NotFound, and Conflict where it is what a key's streams hear by default."""
    lock(connection)
    found = get(connection, key_id, name)
    users = using(connection, found)
    if users:
        shown = ", ".join(users[:3]) + (" and others" if users[3:] else "")
        raise Conflict(f"The vocabulary {name!r} is the default of the key {shown}; give it another one first.")
    connection.execute(delete(VOCABULARIES).where(VOCABULARIES.c.id == found.id))
    _note(connection, now)


def find(connection: Connection, key_id: str, name: str) -> Vocabulary | None:
    """The one of exactly this owner."""
    query = select(VOCABULARIES).where(VOCABULARIES.c.key_id == key_id, VOCABULARIES.c.name == name)
    row = connection.execute(query).one_or_none()
    return None if row is None else _vocabulary(row)


def get(connection: Connection, key_id: str, name: str) -> Vocabulary:
    """The same. Raises NotFound that says which there are of a similar name."""
    found = find(connection, key_id, name)
    if found is None:
        raise unknown(name, (each.name for each in listed(connection, key_id)))
    return found


def unknown(name: str, names: Iterable[str]) -> NotFound:
    """The error for a name that is none of these, of which it tells the nearest."""
    names = sorted(set(names))
    near = get_close_matches(name, names, n=3) or names[:8]
    hint = f"; there is {', '.join(near)}" if near else "; PUT /v1/vocabularies/NAME makes one"
    return NotFound(f"There is no vocabulary {name[:64]!r} that you may use{hint}.", field="vocabulary")


def listed(connection: Connection, key_id: str | None) -> list[Vocabulary]:
    """Those of an owner and the shared ones, by name; of everybody for None."""
    query = select(VOCABULARIES)
    if key_id is not None:
        query = query.where(VOCABULARIES.c.key_id.in_({key_id, SHARED}))
    rows = connection.execute(query.order_by(VOCABULARIES.c.name, VOCABULARIES.c.key_id))
    return [_vocabulary(row) for row in rows]


def count(connection: Connection, key_id: str) -> int:
    """How many an owner has."""
    query = select(func.count()).select_from(VOCABULARIES).where(VOCABULARIES.c.key_id == key_id)
    return connection.scalar(query) or 0


def using(connection: Connection, vocabulary: Vocabulary) -> list[str]:
    """The ids of the keys, none of them revoked, whose streams hear it by default."""
    name, own = vocabulary.name, vocabulary.key_id
    named = and_(KEYS.c.vocabulary == name, KEYS.c.revoked.is_(None))
    if own != SHARED:
        return list(connection.scalars(select(KEYS.c.id).where(named, KEYS.c.id == own)))
    with_own = select(VOCABULARIES.c.key_id).where(VOCABULARIES.c.name == name, VOCABULARIES.c.key_id != SHARED)
    return list(connection.scalars(select(KEYS.c.id).where(named, KEYS.c.id.not_in(with_own)).order_by(KEYS.c.id)))


def make_default(connection: Connection, ident: str, name: str | None) -> None:
    """Let a key's streams hear a vocabulary, its own or a shared one, unless they say otherwise; None: none any more.

    Raises NotFound for a key or a vocabulary that there is not.
    """
    lock(connection)
    usable = {each.name for each in listed(connection, ident)}
    if name is not None and name not in usable:
        raise unknown(name, usable)
    changed = connection.execute(update(KEYS).where(KEYS.c.id == ident).values(vocabulary=name)).rowcount
    if not changed:
        raise NotFound(f"There is no key {ident[:40]}; `earloop keys list` shows all.", field="key")


def revision(connection: Connection) -> int:
    """The id of the last change; 0 before the first."""
    return connection.scalar(select(func.max(VOCABULARY_CHANGES.c.id))) or 0


def versions(connection: Connection) -> dict[str, int]:
    """The version of every vocabulary by its id."""
    rows = connection.execute(select(VOCABULARIES.c.id, VOCABULARIES.c.version))
    return {row.id: row.version for row in rows}


def by_ids(connection: Connection, idents: Iterable[str]) -> list[Vocabulary]:
    """Those of them that are still there; in parts, for a statement holds a bounded number of values."""
    wanted, found = list(idents), list[Vocabulary]()
    for start in range(0, len(wanted), PART):
        query = select(VOCABULARIES).where(VOCABULARIES.c.id.in_(wanted[start : start + PART]))
        found += [_vocabulary(row) for row in connection.execute(query)]
    return found


def lock(connection: Connection) -> None:
    """Keep others from changing vocabularies until the transaction ends; SQLite's writers exclude each other anyway."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": ADVISORY_LOCK})


def _note(connection: Connection, now: datetime) -> None:
    """Another revision. The one before it goes after it has come, so that no number comes twice."""
    made = connection.execute(insert(VOCABULARY_CHANGES).values(moment=now).returning(VOCABULARY_CHANGES.c.id))
    connection.execute(delete(VOCABULARY_CHANGES).where(VOCABULARY_CHANGES.c.id < made.scalar_one()))


def _vocabulary(row: Row[Any]) -> Vocabulary:
    return Vocabulary(**row._mapping)
