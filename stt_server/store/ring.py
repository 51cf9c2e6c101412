"""The keys as a running server knows them: in memory, so that nobody waits for the database to be let in.

    KeyRing.find ◄── snapshot ◄── read  ┐
    KeyRing.use  ──► what was used ──► write ┴ one task, every REFRESH_S, and sooner when an unknown key is shown

A key made or revoked beside the server, by `earloop keys`, is known after REFRESH_S at most. A database that cannot be
reached stops neither recognition nor those whose keys are known: the last snapshot stays, what was used is kept and
written later. A write that was given up by the clock may yet arrive and is then counted twice.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Final

from stt_server.errors import EarloopError, Unavailable
from stt_server.logs import EventLog
from stt_server.store import keys, usage
from stt_server.store.usage import Used
from stt_server.tasks import Rounds

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from stt_server.metrics import Metrics
    from stt_server.store.database import Database
    from stt_server.store.keys import Credential, Key

REFRESH_S: Final = 2.0
SPACING_S: Final = 0.25  # between two reads, however many unknown keys are shown
PATIENCE_S: Final = 2.0  # how long somebody with an unknown key waits for a fresh look
CLOSE_S: Final = 12.0
TOUCH: Final = timedelta(minutes=1)  # how exact "last used" is

log = EventLog("keys")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What the database said."""

    any: bool  # whether a key was ever made
    live: Mapping[str, Key]
    day: date
    used_s: Mapping[str, float]  # of that day, per key


class KeyRing:
    """Made by `open_ring`; used on its event loop."""

    def __init__(self, database: Database, metrics: Metrics, snapshot: Snapshot) -> None:
        self._database = database
        self._metrics = metrics
        self._snapshot = snapshot
        self._spent: dict[tuple[str, date], float] = defaultdict(float)  # seconds not yet written
        self._writing: dict[tuple[str, date], float] = defaultdict(float)  # those being written
        self._heard: dict[tuple[str, date, str], Used] = defaultdict(Used)  # the same by model
        self._touched: dict[str, datetime] = {}
        self._watchers: list[Callable[[], None]] = []
        self._out = False  # the database could not be reached last time
        self._rounds = Rounds(self._look, REFRESH_S, SPACING_S, last=True)

    # ----------------------------------------------------------------------------------------------------------- asking

    @property
    def any(self) -> bool:
        """Whether a key was ever made."""
        return self._snapshot.any

    def find(self, shown: Credential) -> Key | None:
        """The key that was shown, if it is one and lives. Raises Unavailable when keys are not kept up any more."""
        if not self._rounds.going_on:
            raise Unavailable("The server's keys are not kept up to date any more; restart it.")
        moment = now()
        key = keys.find(self._snapshot.live, shown, moment)
        if key is not None and (key.last_used is None or moment - key.last_used >= TOUCH):
            self._touched[key.id] = moment
        return key

    def living(self, ident: str) -> Key | None:
        """The key of this id, if it lives."""
        key = self._snapshot.live.get(ident)
        return key if key is not None and key.lives(now()) else None

    def lives(self, ident: str) -> bool:
        return self.living(ident) is not None

    def used_today(self, ident: str) -> float:
        """Seconds of audio."""
        today = now().date()
        written = self._snapshot.used_s.get(ident, 0.0) if self._snapshot.day == today else 0.0
        return written + self._writing.get((ident, today), 0.0) + self._spent.get((ident, today), 0.0)

    async def renewed(self) -> None:
        """Wait for a look into the database that begins from now on; not for ever."""
        if not await self._rounds.another(PATIENCE_S):
            log.warning("keys_not_renewed", seconds=PATIENCE_S)

    # ---------------------------------------------------------------------------------------------------------- telling

    def use(self, ident: str, seconds: float, model: str = "", *, streams: int = 0, uploads: int = 0) -> None:
        """Count audio that a key had recognised, and by which model, where that is said."""
        today = now().date()
        if seconds > 0:
            self._spent[ident, today] += seconds
        if model and (seconds > 0 or streams or uploads):
            self._heard[ident, today, model] += Used(max(0.0, seconds), streams, uploads)

    def watch(self, watcher: Callable[[], None]) -> None:
        """Call it after every look into the database."""
        self._watchers.append(watcher)

    async def close(self) -> None:
        """Write what is left."""
        await self._rounds.close(CLOSE_S)

    # ---------------------------------------------------------------------------------------------------------- keeping

    async def _look(self) -> None:
        await self._exchange()
        for watcher in self._watchers:
            watcher()

    async def _exchange(self) -> None:
        self._writing, self._spent = self._spent, defaultdict(float)
        touched, self._touched = self._touched, {}
        heard, self._heard = self._heard, defaultdict(Used)
        try:
            self._snapshot = await self._database.run(_exchange, self._writing, heard, touched)
            self._well()
        except EarloopError as error:
            for each, seconds in self._writing.items():
                self._spent[each] += seconds
            for one, used in heard.items():
                self._heard[one] += used
            self._touched = touched | self._touched
            self._ill(error)
        finally:
            self._writing = defaultdict(float)

    def _well(self) -> None:
        if self._out:
            self._out = False
            log.info("store_is_back")

    def _ill(self, error: EarloopError) -> None:
        self._metrics.store_failed()
        if not self._out:  # once, not every two seconds
            self._out = True
            log.error("store_unavailable", why=error.message)


async def open_ring(database: Database, metrics: Metrics) -> KeyRing:
    """The ring with all live keys on it. Raises Unavailable."""
    return KeyRing(database, metrics, await database.run(_exchange, {}, {}, {}))


def _exchange(
    database: Database,
    spent: Mapping[tuple[str, date], float],
    heard: Mapping[tuple[str, date, str], Used],
    touched: Mapping[str, datetime],
) -> Snapshot:
    """Write what was used and read what is known, in one transaction: all of it or nothing."""
    moment = now()
    with database.write() if spent or heard or touched else database.read() as connection:
        usage.add(connection, spent)
        usage.add_models(connection, heard)
        keys.touch(connection, touched)
        return Snapshot(
            keys.any_at_all(connection),
            keys.living(connection, moment),
            moment.date(),
            usage.of_day(connection, moment.date()),
        )


def now() -> datetime:
    """In UTC, as the database keeps it."""
    return datetime.now(UTC)
