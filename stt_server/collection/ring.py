"""People and their consent as a running server knows them: in memory, so that no stream waits for the database.

    ConsentRing.may_keep ◄── snapshot ◄── read, one task, every REFRESH_S and sooner when somebody unknown comes

What one process learns another knows after REFRESH_S. Withdrawing does not wait for that in the process that was told:
`forget` ends a consent at once. A snapshot may be older than the database, so whoever keeps a clip asks the database
again, in the transaction that keeps it. When the database cannot be reached the last snapshot stays: nothing can be
kept then, for the same reason.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from stt_server.errors import EarloopError
from stt_server.logs import EventLog
from stt_server.store import consents, people
from stt_server.store.ring import now
from stt_server.tasks import Rounds

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stt_server.metrics import Metrics
    from stt_server.store.consents import Consent
    from stt_server.store.database import Database
    from stt_server.store.keys import Credential
    from stt_server.store.people import Person

REFRESH_S: Final = 5.0
SPACING_S: Final = 0.1  # between two reads, however many unknown tokens are shown
PATIENCE_S: Final = 2.0  # how long somebody unknown waits for a fresh look
CLOSE_S: Final = 12.0

log = EventLog("consent")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What the database said."""

    people: Mapping[str, Person]
    of_keys: Mapping[str, Person]  # by the key's id
    consents: Mapping[str, Consent]  # those that live, by the person's id


class ConsentRing:
    """Made by `open_consents`; used on its event loop. `collecting` is the server's own switch, off by default."""

    def __init__(self, database: Database, metrics: Metrics, snapshot: Snapshot, *, collecting: bool) -> None:
        self.collecting = collecting
        self._database = database
        self._metrics = metrics
        self._snapshot = snapshot
        self._ended: set[str] = set()  # consents that ended here and that the snapshot may still have
        self._rounds = Rounds(self._look, REFRESH_S, SPACING_S)

    def may_keep(self, person: Person | None) -> Consent | None:
        """The consent by which what this person says now may be kept; None: it must not be."""
        if person is None or not self.collecting or not self._rounds.going_on:
            return None
        given = self.consent_of(person)
        return given if given is not None and given.keeps_clips(now()) else None

    def consent_of(self, person: Person) -> Consent | None:
        """What somebody agrees to."""
        given = self._snapshot.consents.get(person.id)
        return given if given is not None and given.id not in self._ended and given.lives(now()) else None

    def person(self, person_id: str) -> Person | None:
        return self._snapshot.people.get(person_id)

    def of_key(self, key_id: str) -> Person | None:
        """The key's own person, where one was made."""
        return self._snapshot.of_keys.get(key_id)

    def find(self, shown: Credential) -> Person | None:
        """Whose token that is."""
        known = self._snapshot.people.get(shown.id)
        return known if people.is_right(known, shown) else None

    def forget(self, person_id: str) -> None:
        """Somebody withdrew, or agreed to something else: from this moment on the consent in memory counts no more."""
        if given := self._snapshot.consents.get(person_id):
            self._ended.add(given.id)

    async def renewed(self) -> None:
        """Wait for a look into the database that begins from now on; not for ever."""
        await self._rounds.another(PATIENCE_S)

    async def close(self) -> None:
        await self._rounds.close(CLOSE_S)

    async def _look(self) -> None:
        try:
            self._snapshot = await self._database.run(_read)
        except EarloopError as error:
            self._metrics.store_failed()  # the ring of keys says it in the log
            log.debug("consents_not_renewed", why=error.message)
        else:
            self._ended &= {each.id for each in self._snapshot.consents.values()}


async def open_consents(database: Database, metrics: Metrics, *, collecting: bool) -> ConsentRing:
    """The ring with everybody on it. Raises Unavailable."""
    return ConsentRing(database, metrics, await database.run(_read), collecting=collecting)


def _read(database: Database) -> Snapshot:
    with database.read() as connection:
        everybody = people.every(connection)
        return Snapshot(
            {each.id: each for each in everybody},
            {each.key_id: each for each in everybody if each.key_id},
            consents.living(connection, now()),
        )
