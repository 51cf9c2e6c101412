"""The vocabularies as a running server knows them: compiled, in memory, at most `LOOK_S` behind the database.

    of, completed ◄── by owner and name ◄── compiled in a thread ◄── what has changed ◄── database, every LOOK_S

One look is one question into a table of one row. Only vocabularies that changed are read and compiled, once for every
version; a database that cannot be reached leaves the last ones in use. `completed` is called by the engines with the
options of every stream that opens and waits for nothing.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from pydantic import ValidationError

from stt_server.errors import BadInput, EarloopError
from stt_server.logs import EventLog
from stt_server.messages import Open
from stt_server.store import vocabularies as rows
from stt_server.store.vocabularies import NONE, SHARED
from stt_server.tasks import Rounds
from stt_server.vocabularies.calling import CALLER
from stt_server.vocabularies.compiling import compiled
from stt_server.vocabularies.completing import with_default, with_named
from stt_server.vocabularies.definition import Definition

if TYPE_CHECKING:
    from collections.abc import Mapping, Set

    from stt_server.engine.engines import Engines
    from stt_server.store.database import Database
    from stt_server.store.vocabularies import Vocabulary
    from stt_server.vocabularies.calling import Caller
    from stt_server.vocabularies.compiling import Compiled

LOOK_S: Final = 0.5  # of the 2 s within which every server must follow
PATIENCE_S: Final = 2.0  # how long who has changed something waits until it is in use here
CLOSE_S: Final = 12.0

log = EventLog("vocabularies")


@dataclass(frozen=True, slots=True)
class Kept:
    """A vocabulary, compiled; `fault` says why it could not be, as when a newer Earloop has written it."""

    id: str
    owner: str
    name: str
    version: int
    compiled: Compiled | None
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All of them at one revision."""

    revision: int = -1
    by_id: Mapping[str, Kept] = field(default_factory=dict)
    by_name: Mapping[tuple[str, str], Kept] = field(default_factory=dict)  # owner and name

    def usable(self, owner: str) -> list[str]:
        """The names that an owner may use."""
        return [name for whose, name in self.by_name if whose in {owner, SHARED}]


class Vocabularies:
    """Made by `open_vocabularies`; used on its event loop."""

    def __init__(self, database: Database, engines: Engines, snapshot: Snapshot) -> None:
        self._database = database
        self._engines = engines
        self._snapshot = snapshot
        self._out = False  # the database could not be reached last time
        self._missed: Set[Caller] = frozenset()  # whose default is not there
        self._rounds = Rounds(self._look, LOOK_S)

    # ----------------------------------------------------------------------------------------------------------- asking

    def of(self, name: str, owner: str = SHARED) -> Compiled:
        """What a name stands for: the owner's own vocabulary, else the shared one.

        Raises NotFound naming near ones, BadInput for one that cannot be used.
        """
        kept = self._find(name, owner)
        if kept is None:
            raise rows.unknown(name, self._snapshot.usable(owner))
        if kept.compiled is None:
            raise BadInput(f"The vocabulary {name!r} cannot be used: {kept.fault}", field="vocabulary")
        return kept.compiled

    def completed(self, options: Open) -> Open:
        """The options with what the vocabulary has that they name, or their caller's default one. Raises as `of`, and
        BadOption for a request that has a grammar beside it.
        """
        caller = CALLER.get()
        named = options.vocabulary or caller.asked
        options = replace(options, vocabulary=None)
        if named == NONE:
            return options
        if named:
            return with_named(options, self.of(named, caller.owner), named)
        default = self._default(caller)
        return options if default is None else with_default(options, default, self._engines.recognizer.takes)

    async def renewed(self) -> None:
        """Wait for a look into the database that begins from now on; not for ever."""
        if not await self._rounds.another(PATIENCE_S):
            log.warning("vocabularies_not_renewed", seconds=PATIENCE_S)

    async def close(self) -> None:
        await self._rounds.close(CLOSE_S)

    def _default(self, caller: Caller) -> Compiled | None:
        """None where there is none, also where a setting names what is not there: streams do not fail for that."""
        if caller.default is None:
            return None
        kept = self._find(caller.default, caller.owner)
        if kept is None or kept.compiled is None:
            if caller not in self._missed:
                self._missed = {*self._missed, caller}  # told once, until vocabularies change
                log.warning("default_vocabulary_missing", name=caller.default, owner=caller.owner)
            return None
        return kept.compiled

    def _find(self, name: str, owner: str) -> Kept | None:
        by_name = self._snapshot.by_name
        return by_name.get((owner, name)) or by_name.get((SHARED, name))

    # -------------------------------------------------------------------------------------------------------- following

    async def _look(self) -> None:
        try:
            before = self._snapshot
            self._snapshot = await _refreshed(self._database, before, self._engines)
            if self._snapshot is not before:
                self._missed = frozenset()
            if self._out:
                self._out = False
                log.info("store_is_back")
        except EarloopError as error:
            if not self._out:  # once, not twice a second
                self._out = True
                log.error("store_unavailable", why=error.message)


async def open_vocabularies(database: Database, engines: Engines) -> Vocabularies:
    """All vocabularies, compiled, and the engines told to complete options by them. Raises Unavailable."""
    found = Vocabularies(database, engines, await _refreshed(database, Snapshot(), engines))
    engines.complete(found.completed)
    return found


async def _refreshed(database: Database, before: Snapshot, engines: Engines) -> Snapshot:
    """What is known, as the database has it now; the same one where nothing has changed."""
    news = await database.run(_read, before)
    if news is None:
        return before
    revision, versions, changed = news
    made = await asyncio.to_thread(lambda: [_made(each, engines) for each in changed])
    by_id = {ident: kept for ident, kept in before.by_id.items() if versions.get(ident) == kept.version}
    by_id |= {each.id: each for each in made}
    log.debug("vocabularies_followed", revision=revision, count=len(by_id))
    return Snapshot(revision, by_id, {(each.owner, each.name): each for each in by_id.values()})


def _read(database: Database, before: Snapshot) -> tuple[int, dict[str, int], list[Vocabulary]] | None:
    """The revision, all versions, and the vocabularies that are new or have changed; None where none has."""
    with database.read() as connection:
        revision = rows.revision(connection)
        if revision == before.revision:
            return None
        versions = rows.versions(connection)
        known = {ident: kept.version for ident, kept in before.by_id.items()}
        changed = rows.by_ids(connection, [each for each in versions if versions[each] != known.get(each)])
        return revision, versions, changed


def _made(row: Vocabulary, engines: Engines) -> Kept:
    try:
        made = compiled(Definition.model_validate(row.body))
    except (EarloopError, ValidationError) as error:
        fault = error.message if isinstance(error, EarloopError) else "a newer Earloop wrote it"
        log.warning("vocabulary_refused", vocabulary=row.id, version=row.version)
        return Kept(row.id, row.key_id, row.name, row.version, None, fault)
    _warm(made, engines)
    return Kept(row.id, row.key_id, row.name, row.version, made)


def _warm(made: Compiled, engines: Engines) -> None:
    """Let the live model make the grammar ready, which it keeps, so that no stream that opens waits for it."""
    if made.grammar is not None and "grammar" in engines.recognizer.takes:
        try:
            engines.recognizer.open(Open("vocabulary", grammar=made.grammar))
        except EarloopError:
            log.debug("grammar_not_for_the_live_model")  # whoever names it is told why
