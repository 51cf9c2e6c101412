"""API keys: `el_<id>_<secret>`.

The id is public: it names the key in lists and logs. The secret is 256 random bits, shown once when the key is made;
the database has its SHA-256 only. A slow hash, as passwords need, would protect nothing here: nobody guesses 256 bits.
Keys are never deleted, so that what they used and made keeps its owner; a revoked one stays in the list.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sqlalchemy import func, insert, or_, select, update

from stt_server.errors import BadOption, Conflict, NotFound
from stt_server.store import migrate
from stt_server.store.rights import NO_LIMITS, KeyLimits, Scope
from stt_server.store.tables import KEYS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from sqlalchemy import Connection, Row

PREFIX: Final = "el"
ID_BYTES: Final = 8
SECRET_BYTES: Final = 32
MAX_NAME: Final = 100
NOBODY: Final = bytes(32)  # the hash that an unknown id is compared with; no secret is known that has it


@dataclass(frozen=True, slots=True)
class Key:
    """A key as the database has it, without its secret."""

    id: str
    name: str
    scopes: frozenset[Scope]
    limits: KeyLimits
    secret_sha256: bytes
    created: datetime
    expires: datetime | None = None
    revoked: datetime | None = None
    last_used: datetime | None = None
    vocabulary: str | None = None  # that its streams hear unless they say otherwise

    def lives(self, now: datetime) -> bool:
        return self.revoked is None and (self.expires is None or now < self.expires)


@dataclass(frozen=True, slots=True)
class Credential:
    """What somebody showed: the two parts of a key. Not printed, lest a secret gets into a log."""

    id: str
    secret: str

    def __repr__(self) -> str:
        return f"Credential({self.id})"


def parse_key(text: str, prefix: str = PREFIX) -> Credential | None:
    """The parts of `el_<id>_<secret>`, or of what has another prefix; None for what is no key of ours."""
    found, _, rest = text.partition("_")
    ident, _, secret = rest.partition("_")
    return Credential(ident, secret) if found == prefix and ident and secret else None


def find(live: Mapping[str, Key], shown: Credential, now: datetime) -> Key | None:
    """The key that was shown, if it is one and lives. An unknown id costs what a known one does."""
    known = live.get(shown.id)
    right = is_secret(shown, known.secret_sha256 if known else NOBODY)
    return known if known and right and known.lives(now) else None


def is_secret(shown: Credential, secret_sha256: bytes) -> bool:
    """Whether the secret that was shown has this hash, in a time that does not tell how nearly."""
    given = hashlib.sha256(shown.secret.encode(errors="surrogatepass")).digest()  # bytes that are no text stay so
    return hmac.compare_digest(given, secret_sha256)


def create(
    connection: Connection,
    name: str,
    scopes: Iterable[Scope],
    now: datetime,
    *,
    expires: datetime | None = None,
    limits: KeyLimits = NO_LIMITS,
) -> str:
    """Make a key and give it whole: the only time that anybody sees it. Raises BadOption."""
    if not name.strip() or len(name) > MAX_NAME or not name.isprintable():
        raise BadOption(f"A key needs a name of 1 to {MAX_NAME} letters, to be told from others.", field="name")
    if not (granted := sorted(set(scopes))):
        raise BadOption(f"A key needs a scope: one or more of {', '.join(Scope)}.", field="scope")
    ident, secret = secrets.token_hex(ID_BYTES), secrets.token_urlsafe(SECRET_BYTES)
    row = {
        "id": ident,
        "name": name.strip(),
        "secret_sha256": hashlib.sha256(secret.encode()).digest(),
        "scopes": " ".join(granted),
        "created": now,
        "expires": expires,
        **{field: getattr(limits, field) for field in KeyLimits.__slots__},
    }
    connection.execute(insert(KEYS).values(row))
    return f"{PREFIX}_{ident}_{secret}"


def create_first(connection: Connection, name: str, now: datetime) -> str | None:
    """An admin's key, if there never was any key; of two servers that start at once one makes it."""
    migrate.lock(connection)
    return None if any_at_all(connection) else create(connection, name, [Scope.ADMIN], now)


def any_at_all(connection: Connection) -> bool:
    """Whether a key was ever made. Expired and revoked ones count: a server must not open when its last key ends."""
    return bool(connection.scalar(select(func.count()).select_from(KEYS)))


def every(connection: Connection) -> list[Key]:
    """All keys, oldest first."""
    return [_key(row) for row in connection.execute(select(KEYS).order_by(KEYS.c.created, KEYS.c.id))]


def living(connection: Connection, now: datetime) -> dict[str, Key]:
    """The keys that are neither revoked nor expired, by id."""
    alive = select(KEYS).where(KEYS.c.revoked.is_(None), or_(KEYS.c.expires.is_(None), KEYS.c.expires > now))
    return {row.id: _key(row) for row in connection.execute(alive)}


def revoke(connection: Connection, ident: str, now: datetime) -> None:
    """End a key by its id. Raises NotFound, and Conflict for one that was revoked before."""
    ident = ident.removeprefix(f"{PREFIX}_").partition("_")[0]
    revoked = connection.execute(
        update(KEYS).where(KEYS.c.id == ident, KEYS.c.revoked.is_(None)).values(revoked=now)
    ).rowcount
    if revoked:
        return
    if connection.scalar(select(func.count()).where(KEYS.c.id == ident)):
        raise Conflict(f"The key {ident} was revoked before.")
    raise NotFound(f"There is no key {ident}; `earloop keys list` shows all.")


def touch(connection: Connection, used: Mapping[str, datetime]) -> None:
    """Note when keys were last used."""
    for ident, moment in used.items():
        connection.execute(update(KEYS).where(KEYS.c.id == ident).values(last_used=moment))


def _key(row: Row[tuple[object, ...]]) -> Key:
    return Key(
        id=row.id,
        name=row.name,
        scopes=frozenset(scope for scope in Scope if scope in row.scopes.split()),
        limits=KeyLimits(**{field: getattr(row, field) for field in KeyLimits.__slots__}),
        secret_sha256=row.secret_sha256,
        created=row.created,
        expires=row.expires,
        revoked=row.revoked,
        last_used=row.last_used,
        vocabulary=row.vocabulary,
    )
