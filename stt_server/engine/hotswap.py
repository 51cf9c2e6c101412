"""Follows the catalog: whoever promotes a model, in whatever process, this server hears with it within 2 s.

    route_changes ── a new revision ──► load what is missing, beside the old ──► Engines.lineup = the new line-up
                                               │ fails: the route keeps the model it had; alarm
    ended streams ──► trial_counts, over all servers ──► the canary's route is dropped, by `server`, with the reason
    whole shadows ──► counts of words, in a thread ──► shadow_days
    who spoke ──► contributors' own models that wait for it, in the place of those silent longest (residence.py)

A revision is worked through once. What failed is tried again when the routes change, and when the server starts.
PostgreSQL tells of changes; SQLite's newest revision is looked at twice a second.
"""

from __future__ import annotations

import asyncio
import time
import weakref
from collections import deque
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Final

from stt_server.engine.disagreement import disagreement
from stt_server.engine.lineup import Catalog, Lineup
from stt_server.engine.residence import Residence, residence
from stt_server.engine.trial import Tally, judge
from stt_server.errors import EarloopError, Unavailable
from stt_server.logs import EventLog
from stt_server.store import audit, models, routes, shadow_days, trials
from stt_server.store.ring import now
from stt_server.store.routes import Action, Kind
from stt_server.store.watching import current, wait_for_change
from stt_server.tasks import ended, wait_for
from stt_server.threads import pool

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from stt_server.engine.engines import Engines
    from stt_server.engine.interface import Recognizer
    from stt_server.engine.loading import Loader
    from stt_server.engine.shadow import Shadow
    from stt_server.engine.trial import Trial
    from stt_server.metrics import Metrics
    from stt_server.store.database import Connection, Database
    from stt_server.store.models import Model

LOOK_S: Final = 0.5  # between two looks at a database that cannot tell
LISTEN_S: Final = 1.0  # one wait for a database that can
ANSWER_S: Final = 30.0  # more than a database's own deadlines
RETRY_S: Final = 1.0
CLOSE_S: Final = 10.0
MOST_SHADOWS: Final = 64  # sessions whose shadows are not counted yet
JUDGE_S: Final = 2.0  # between two looks at a canary's trial
MOST_SPEAKERS: Final = 10_000  # contributors of whom is known when they spoke
_URGENCY: Final = (Kind.LIVE, Kind.CANARY, Kind.LANGUAGE, Kind.NAME, Kind.SHADOW, Kind.PERSON)

log = EventLog("hotswap")


class Follower:
    """Used on its event loop, between `start` and `close`. `most` models are loaded at once."""

    def __init__(self, database: Database, engines: Engines, loader: Loader, metrics: Metrics, most: int) -> None:
        self._database, self._engines, self._loader = database, engines, loader
        self._metrics, self._most = metrics, most
        self._closing = asyncio.Event()
        self._listener = pool(1, "earloop-catalog")
        self._retired: list[tuple[str, weakref.ref[Recognizer]]] = []
        self._shadows: deque[Shadow] = deque()
        self._spoke: dict[str, None] = {}  # contributors with a model of their own, who spoke last at the end
        self._judged = -JUDGE_S  # when, last
        self._asked: set[str] = set()  # those of them whose model was not there
        self._out = False  # the database could not be reached last time
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._engines.compared = self._compared
        self._engines.spoke = self._speaks
        self._loader.give_way()
        self._note(self._engines.lineup)
        self._task = asyncio.create_task(self._follow())
        self._task.add_done_callback(self._left)

    async def close(self) -> None:
        """Follow no more. What is being loaded is let go."""
        self._closing.set()
        if self._task is not None:
            await ended(self._task, CLOSE_S)
        self._listener.shutdown(wait=False)

    # -------------------------------------------------------------------------------------------------------- following

    async def _follow(self) -> None:
        while not self._closing.is_set():
            try:
                if await self._revision() != self._engines.lineup.revision:
                    await self._go_over()
                elif self._asked:
                    await self._take_in()
                await self._judge()
                await self._count()
                self._well()
            except EarloopError as error:
                self._ill(error)
                await wait_for(self._closing, RETRY_S)
            await self._free()

    async def _revision(self) -> int:
        """The catalog's, as soon as it is another one, or after a while."""
        if self._database.backend != "postgresql":
            await wait_for(self._closing, LOOK_S)
            return await self._database.run(current)
        known, loop = self._engines.lineup.revision, asyncio.get_running_loop()
        call = loop.run_in_executor(self._listener, wait_for_change, self._database, known, LISTEN_S)
        try:
            return await asyncio.wait_for(asyncio.shield(call), ANSWER_S)
        except TimeoutError:
            raise Unavailable(f"The database told nothing of its catalog for {ANSWER_S:g} s.") from None

    async def _go_over(self) -> None:
        before, catalog = self._engines.lineup, await self._database.run(read_catalog)
        self._asked.clear()
        self._swap(await line_up(before, catalog, self._residence(catalog), self._loader, swap=self._swap))

    async def _take_in(self) -> None:
        """Load own models of contributors who spoke without; others', who have been silent longest, go before."""
        before, catalog = self._engines.lineup, await self._database.run(read_catalog)
        if catalog.revision != before.revision:
            return await self._go_over()
        found = self._residence(catalog)
        theirs = {route.model_id for route in catalog.routes if route.kind == Kind.PERSON and route.key in self._asked}
        self._asked.clear()
        new = tuple(model for model in found.loaded if model.id in theirs - before.models.keys())
        if not new:  # streams are heard with all the others
            return None
        out, alarm = {route.model_id for route in found.waiting}, before.alarm
        kept = {ident: model for ident, model in before.models.items() if ident not in out}
        self._swap(before.after(catalog, kept, alarm, found.waiting))
        del before  # it holds the models that go
        await self._free()
        taken = await line_up(self._engines.lineup, catalog, replace(found, loaded=new, beyond=()), self._loader)
        self._swap(replace(taken, alarm="; ".join(filter(None, (alarm, taken.alarm)))))
        return None

    def _residence(self, catalog: Catalog) -> Residence:
        return residence(catalog, self._most, list(reversed(self._spoke)), self._engines.busy)

    def _speaks(self, person: str) -> None:
        """A stream was opened by somebody who has a model of their own."""
        self._spoke.pop(person, None)
        self._spoke[person] = None
        if len(self._spoke) > MOST_SPEAKERS:
            del self._spoke[next(iter(self._spoke))]
        if any(route.key == person for route in self._engines.lineup.waiting):
            self._asked.add(person)

    def _swap(self, lineup: Lineup) -> None:
        """The one assignment; from here on new sessions are heard by these models."""
        before, self._engines.lineup = self._engines.lineup, lineup
        gone = [model for ident, model in before.models.items() if ident not in lineup.models]
        self._retired += [(model.version, weakref.ref(model)) for model in gone]
        self._metrics.models_retired(len(self._retired))
        log.info("models_swapped", revision=lineup.revision, live=lineup.live.version, models=len(lineup.models))
        self._metrics.swapped()
        self._note(lineup)

    def _note(self, lineup: Lineup) -> None:
        self._metrics.lineup(revision=lineup.revision, models=len(lineup.models), alarm=bool(lineup.alarm))
        if lineup.alarm:
            log.error("alarm", why=lineup.alarm, revision=lineup.revision, live=lineup.live.version)

    async def _free(self) -> None:
        """Models whose last stream has ended are gone; what they held goes back to the system at once."""
        freed = [version for version, model in self._retired if model() is None]
        if freed:
            self._retired = [(version, model) for version, model in self._retired if model() is not None]
            self._metrics.models_retired(len(self._retired))
            log.info("models_freed", models=", ".join(freed), still_used=len(self._retired))
            await self._loader.trim()

    def _left(self, task: asyncio.Task[None]) -> None:
        if not self._closing.is_set():
            alarm = "the catalog is not followed any more; restart the server"
            fault = None if task.cancelled() else task.exception()
            log.error("follower_ended", why=repr(fault))
            self._engines.lineup = replace(self._engines.lineup, alarm=alarm)
            self._note(self._engines.lineup)

    # --------------------------------------------------------------------------------------------------------- judging

    async def _judge(self) -> None:
        """Add what this server has counted to what others have, and hold the sums against each other."""
        trial, moment = self._engines.lineup.trial, time.monotonic()
        if trial is None or moment - self._judged < JUDGE_S or not (counted := trial.pending()):
            return
        self._judged = moment
        why = await self._database.run(_judge, trial, counted)
        trial.settled(counted)
        if why:
            log.error("canary_rolled_back", why=why)
            self._metrics.canary_rolled_back()

    def _compared(self, shadow: Shadow) -> None:
        if len(self._shadows) < MOST_SHADOWS:
            self._shadows.append(shadow)
        else:
            self._metrics.shadow_dropped("full")

    async def _count(self) -> None:
        """Of what was said, only how much of it differs is kept."""
        if self._shadows:
            waiting = list(self._shadows)
            self._shadows.clear()
            await self._database.run(_count_shadows, waiting)

    # ---------------------------------------------------------------------------------------------------- the database

    def _well(self) -> None:
        if self._out:
            self._out = False
            log.info("catalog_is_back")

    def _ill(self, error: EarloopError) -> None:
        self._metrics.store_failed()
        if not self._out:  # once, not every second
            self._out = True
            log.error("catalog_unavailable", why=error.message)


async def first_lineup(database: Database, loader: Loader, own: Model, most: int) -> Lineup:
    """The catalog's models, loaded. Where the live one fails, the server's own answers, with an alarm.

    Raises what loading `own` raises, where it is needed.
    """
    catalog = await database.run(read_catalog)
    live = next(model for model in catalog.models if model.id == _live_id(catalog))
    try:
        heard_by = await loader.load(live)
    except EarloopError:
        if live.id == own.id:
            raise
        live, heard_by = own, await loader.load(own)
    before = Lineup((routes.Route(Kind.LIVE, "", live.id, 1.0, live.language),), {live.id: heard_by})
    return await line_up(before, catalog, residence(catalog, most), loader)


async def line_up(
    before: Lineup,
    catalog: Catalog,
    chosen: Residence,
    loader: Loader,
    swap: Callable[[Lineup], None] = lambda lineup: None,
) -> Lineup:
    """The catalog's line-up, with every chosen model that loads; `swap` gets one that has the live model already."""
    loaded, failed = dict(before.models), []
    for model in chosen.loaded:
        if model.id in loaded:
            continue
        try:
            loaded[model.id] = await loader.load(model, tuple(loaded.values()))
        except EarloopError as error:
            log.error("model_not_loaded", model=model.ref, code=error.code, why=error.message)
            failed.append(model.ref)
        else:
            if model.id == _live_id(catalog):
                swap(replace(before.after(catalog, loaded, "", chosen.waiting), revision=before.revision))
    return before.after(catalog, loaded, _alarm(failed, [model.ref for model in chosen.beyond]), chosen.waiting)


def _alarm(failed: Sequence[str], beyond: Sequence[str]) -> str:
    """For everybody to read; why a model did not load, the log says."""
    said = [f"did not load: {', '.join(failed)}"] if failed else []
    return "; ".join([*said, f"more than may be loaded: {', '.join(beyond)}"] if beyond else said)


def read_catalog(database: Database) -> Catalog:
    """All of it in one transaction."""
    with database.read() as connection:
        found = sorted(routes.every(connection), key=lambda route: _URGENCY.index(Kind(route.kind)))
        known = models.with_ids(connection, {route.model_id for route in found})
        wanted = dict.fromkeys(route.model_id for route in found)
        listed = tuple(known[ident] for ident in wanted)
        return Catalog(routes.revision(connection), tuple(found), listed, trials.current(connection))


def _live_id(catalog: Catalog) -> str:
    return next(route.model_id for route in catalog.routes if route.kind == Kind.LIVE)


def _judge(database: Database, trial: Trial, counted: Mapping[str, Tally]) -> str | None:
    """Why the canary has lost over all servers, and its route with it; None while it has not, or another did it."""
    with database.write() as connection:
        for ident in sorted(counted):  # in one order, so that two servers never wait for each other
            trials.add(connection, trial.number, ident, asdict(counted[ident]))
        canary, live = (Tally(**trials.of(connection, trial.number, each)) for each in (trial.canary_id, trial.live_id))
        why = judge(canary, live)
        return why if why and _end_canary(connection, trial.canary_id, why) else None


def _end_canary(connection: Connection, model_id: str, why: str) -> bool:
    """Drop the canary's route, unless it leads to another model by now."""
    routes.lock(connection)
    route = routes.find(connection, Kind.CANARY)
    if route is None or route.model_id != model_id:
        return False
    routes.drop(connection, route, actor=audit.SERVER, action=Action.ROLLBACK, reason=why)
    return True


def _count_shadows(database: Database, shadows: Sequence[Shadow]) -> None:
    """In a thread, for it compares words."""
    counted = [(shadow, disagreement(shadow.live_finals, shadow.own_finals)) for shadow in shadows]
    with database.write() as connection:
        for shadow, found in counted:
            pair = shadow_days.Pair(now().date(), shadow.model_id, shadow.live_id)
            shadow_days.add(connection, pair, found)
