"""Following the catalog, with models that load at once or fail as told, on both kinds of database."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

import pytest

from stt_server.catalog.importing import register_shipped
from stt_server.catalog.promotion import promote, rollback
from stt_server.engine import hotswap
from stt_server.engine.engines import Engines
from stt_server.engine.hotswap import Follower, first_lineup
from stt_server.engine.lineup import Caller
from stt_server.engine.loading import Loader
from stt_server.engine.trial import LEAST_STREAMS
from stt_server.errors import BadBundle, Unavailable
from stt_server.messages import Audio, Finish, Finished, Ready
from stt_server.metrics import Metrics
from stt_server.store import routes, shadow_days
from stt_server.store.database import Database, open_database
from stt_server.store.ring import now
from stt_server.store.watching import current
from tests.catalog.conftest import add
from tests.engine.test_engine import value
from tests.engine.toy import SMALL, Toy, loud, options, read, texts

PATIENCE_S = 60.0


@pytest.fixture
def database(tmp_path: Path, database_url: str) -> Iterator[Database]:
    with closing(open_database(tmp_path, database_url)) as opened:
        yield opened


@pytest.fixture
def file(tmp_path: Path) -> Iterator[Database]:
    """In SQLite, for what does not concern the database."""
    with closing(open_database(tmp_path)) as opened:
        yield opened


@dataclass
class Shelf:
    """Bundles by the version of their model: what is on `broken` fails, as one that is damaged does."""

    broken: set[str] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)
    threads: set[str] = field(default_factory=set)
    words: dict[str, str] = field(default_factory=dict)
    made: dict[str, Toy] = field(default_factory=dict)

    def __call__(self, model, like=()) -> Toy:
        self.asked.append(model.version)
        self.threads.add(threading.current_thread().name)
        if model.version in self.broken:
            raise BadBundle("the golden clip is heard wrongly", field="golden")
        if model.version == "mad":
            raise ZeroDivisionError
        self.made[model.version] = Toy(model.name, model.version, self.words.get(model.version, "la"))
        return self.made[model.version]


@dataclass
class Server:
    engines: Engines
    shelf: Shelf
    metrics: Metrics
    follower: Follower

    @property
    def version(self) -> str:
        return self.engines.recognizer.version

    def counted(self, name: str) -> float:
        return value(self.metrics, name) or 0.0

    async def follows(self, database: Database) -> None:
        """Wait until this server has worked through all that was changed so far."""
        wanted = await asyncio.to_thread(revision, database)
        await until(lambda: self.engines.lineup.revision >= wanted)

    async def hears(self, steps: int = 1, **asked) -> list:
        session = self.engines.open(options(**asked))
        await session.send(Audio(loud(steps)))
        await session.send(Finish())
        return await asyncio.wait_for(read(session), PATIENCE_S)


async def until(condition) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110 - what is waited for has no event of its own
            await asyncio.sleep(0.01)


def revision(database: Database) -> int:
    with database.read() as connection:
        return routes.revision(connection)


def live(database: Database, version: str, **more) -> None:
    promote(database, add(database, "toy", version).id, actor="test", reason="because", **more)


@asynccontextmanager
async def server(database: Database, shelf: Shelf | None = None, own=None, most: int = 8) -> AsyncIterator[Server]:
    shelf, metrics = shelf or Shelf(), Metrics()
    loader = Loader(shelf)
    engines = Engines(  # which alone holds its line-up, as in the server
        await first_lineup(database, loader, own or add(database, "toy", "own"), most),
        replace(SMALL, max_streams=200),
        metrics,
    )
    follower = Follower(database, engines, loader, metrics, most)
    engines.start()
    follower.start()
    try:
        yield Server(engines, shelf, metrics, follower)
    finally:
        engines.close()
        await follower.close()
        loader.close()


async def test_every_server_on_one_database_follows_a_promotion_and_a_rollback(database):
    live(database, "1")
    async with server(database) as one, server(database) as other:
        before = one.engines.open(options())
        await before.send(Audio(loud(1)))
        live(database, "2")
        await asyncio.gather(one.follows(database), other.follows(database))
        assert [each.version for each in (one, other)] == ["toy 2", "toy 2"]
        assert [(await each.hears())[0].version for each in (one, other)] == ["toy 2", "toy 2"]
        rollback(database, actor="test", reason="it was better before")
        await asyncio.gather(one.follows(database), other.follows(database))
        assert [each.version for each in (one, other)] == ["toy 1", "toy 1"]
        await before.send(Finish())
        events = await asyncio.wait_for(read(before), PATIENCE_S)
        assert isinstance(events[0], Ready)
        assert (events[0].version, texts(events)) == ("toy 1", ["la"])
    assert one.shelf.threads == {"earloop-loader_0"}  # nothing is loaded on the event loop


async def test_a_bundle_that_fails_leaves_the_old_one_live_and_alarms_until_the_routes_change(
    file, caplog, monkeypatch
):
    live(file, "1")
    looked: list[int] = []

    def look(database):
        looked.append(current(database))
        return looked[-1]

    monkeypatch.setattr(hotswap, "LOOK_S", 0.05)
    monkeypatch.setattr(hotswap, "current", look)
    async with server(file, Shelf(broken={"2"})) as running:
        live(file, "2")
        await running.follows(file)
        assert running.version == "toy 1"
        assert texts(await running.hears(2)) == ["la la"]
        assert running.engines.lineup.alarm == "did not load: toy@2"
        assert running.counted("swap_alarm") == 1
        assert "the golden clip is heard wrongly" in str(
            next(r for r in caplog.records if r.message == "model_not_loaded").keys
        )
        looks = len(looked)
        await until(lambda: len(looked) > looks + 2)
        assert running.shelf.asked == ["1", "2"]  # not again and again
        running.shelf.broken.clear()
        live(file, "3", kind="name", key="kitchen")
        await running.follows(file)
        assert (running.version, running.engines.lineup.alarm) == ("toy 2", "")
        assert running.counted("swap_alarm") == 0


async def test_what_no_bundle_should_cause_is_an_alarm_too_and_the_server_goes_on_following(file):
    live(file, "1")
    async with server(file) as running:
        live(file, "mad")
        await running.follows(file)
        assert (running.version, running.engines.lineup.alarm) == ("toy 1", "did not load: toy@mad")
        live(file, "2")
        await running.follows(file)
        assert running.version == "toy 2"


async def test_a_server_whose_live_model_does_not_load_starts_with_its_own_and_an_alarm(file):
    live(file, "1")
    async with server(file, Shelf(broken={"1"})) as running:
        assert running.version == "toy own"
        assert running.engines.lineup.alarm == "did not load: toy@1"


async def test_a_server_whose_own_model_does_not_load_does_not_start(tmp_path, file, tiny_bundle):
    own = register_shipped(file, tiny_bundle, str(tiny_bundle), "server")
    with pytest.raises(BadBundle):
        async with server(file, Shelf(broken={own.version}), own):
            pass


async def test_more_routes_than_models_may_be_loaded_are_an_alarm_and_the_live_one_comes_first(file):
    live(file, "1")
    for name in ("a", "b", "c"):
        live(file, name, kind="name", key=name)
    async with server(file, most=2) as running:
        assert running.shelf.asked == ["1", "a"]
        assert running.engines.lineup.alarm == "more than may be loaded: toy@b, toy@c"
        assert running.engines.models == ("toy", "a")


def own(database: Database, *people: str) -> None:
    """Models of their own, each called as its contributor."""
    for person in people:
        live(database, person, kind="person", key=person)


def spoken_by(running: Server, person: str) -> str:
    """The version of the model that somebody's next stream is opened with; it stays open."""
    running.engines.identify(lambda: Caller(person=person))
    return running.engines.open(options()).recognizer.version


async def test_contributors_own_models_beyond_the_bound_are_loaded_when_they_speak_for_those_silent_longest(file):
    live(file, "1")
    own(file, "ann", "bob", "eve")
    async with server(file, most=3) as running:
        assert running.shelf.asked == ["1", "ann", "bob"]
        assert not running.engines.lineup.alarm, "that one waits is nothing wrong"
        running.engines.identify(lambda: Caller(person="ann"))
        assert (await running.hears())[0].version == "toy ann"
        running.engines.identify(lambda: Caller(person="eve"))
        assert (await running.hears())[0].version == "toy 1", "hers is not there yet: no stream waits for a model"
        await until(lambda: "eve" in running.shelf.asked)
        await until(lambda: not running.engines.lineup.waiting or running.engines.lineup.waiting[0].key == "bob")
        await until(lambda: len(running.engines.lineup.models) == 3)
        assert (await running.hears())[0].version == "toy eve"
        assert spoken_by(running, "ann") == "toy ann", "bob has been silent longer"
        running.shelf.made.clear()
        await until(lambda: not running.follower._retired)


async def test_a_contributor_who_speaks_keeps_the_model_and_others_get_the_live_one_meanwhile(file):
    live(file, "1")
    own(file, "ann", "bob")
    async with server(file, most=2) as running:
        assert spoken_by(running, "ann") == "toy ann"
        assert spoken_by(running, "bob") == "toy 1"
        await until(lambda: not running.follower._asked)
        assert spoken_by(running, "bob") == "toy 1", "ann's stream is still open"
        assert running.shelf.asked == ["1", "ann"]


async def test_an_own_model_that_does_not_load_is_an_alarm_and_not_tried_at_every_word(file):
    live(file, "1")
    own(file, "ann", "bob")
    async with server(file, Shelf(broken={"bob"}), most=2) as running:
        for _ in range(3):
            running.engines.identify(lambda: Caller(person="bob"))
            assert (await running.hears())[0].version == "toy 1"
            await until(lambda: running.engines.lineup.alarm)
        assert running.shelf.asked == ["1", "ann", "bob"]
        assert running.engines.lineup.alarm == "did not load: toy@bob"


async def test_a_model_that_nothing_leads_to_any_more_is_freed_and_counted(file):
    live(file, "1")
    async with server(file) as running:
        live(file, "2", kind="name", key="kitchen")
        await running.follows(file)
        assert running.counted("models") == 2
        routes_dropped = await file.run(_drop_name)
        await until(lambda: running.engines.lineup.revision >= routes_dropped)
        assert running.counted("models") == 1
        running.shelf.made.clear()
        await until(lambda: not running.follower._retired)


def _drop_name(database: Database) -> int:
    with database.write() as connection:
        routes.lock(connection)
        route = routes.find(connection, "name", "kitchen")
        assert route is not None
        return routes.drop(connection, route, actor="test").id


async def test_a_canary_whose_streams_fail_is_taken_back_by_the_server_with_the_reason(database):
    live(database, "1")
    async with server(database) as running:
        live(database, "2", kind="canary", share=0.5)
        await running.follows(database)
        running.shelf.made["2"].advance = failing  # type: ignore[method-assign]
        said = [await running.hears() for _ in range(8 * LEAST_STREAMS)]
        assert any(not isinstance(events[-1], Finished) for events in said)
        await until(lambda: running.counted("canary_rollbacks_total") == 1)
        await until(lambda: running.engines.lineup.trial is None)
        assert {(await running.hears())[0].version for _ in range(10)} == {"toy 1"}
    with database.read() as connection:
        last = routes.changes(connection, 1)[0]
    assert (last.actor, last.kind, last.model_id) == ("server", "canary", None)
    assert "streams failed" in last.reason


async def test_a_canary_is_judged_by_what_all_servers_heard_also_of_one_that_is_gone(database):
    """Neither of the two hears enough by itself."""
    live(database, "1")
    live(database, "2", kind="canary", share=0.5)
    few = 2 * LEAST_STREAMS - 1  # about half of these are the canary's
    for last in (False, True):
        async with server(database) as running:
            running.shelf.made["2"].advance = failing  # type: ignore[method-assign]
            for _ in range(few):
                await running.hears()
            if last:
                await until(lambda: running.counted("canary_rollbacks_total") == 1)
            else:
                trial = running.engines.lineup.trial
                assert trial is not None
                await until(lambda of=trial: not of.pending())
                assert running.counted("canary_rollbacks_total") == 0
    with database.read() as connection:
        assert "streams failed" in routes.changes(connection, 1)[0].reason


def failing(streams):
    raise ZeroDivisionError


async def test_what_a_shadow_heard_is_counted_by_day_and_no_word_of_it_is_kept(database):
    live(database, "1")
    async with server(database, Shelf(words={"2": "ti"})) as running:
        running.engines.identify(lambda: Caller("ann", may_shadow=True))
        live(database, "2", kind="shadow")
        await running.follows(database)
        for _ in range(2):
            await running.hears(3)
        await until(lambda: running.counted("shadow_sessions_total") == 2)
        await until(lambda: not running.follower._shadows)
        await until(lambda: bool(counted(database)))
    pairs = counted(database)
    assert sum(figures.utterances for figures in pairs.values()) == 2
    [pair] = pairs
    lineup = running.engines.lineup
    assert (pair.model_id, pair.live_id) == (lineup.model_of(routes.Kind.SHADOW), lineup.model_of(routes.Kind.LIVE))


def counted(database: Database):
    with database.read() as connection:
        return shadow_days.since(connection, now().date() - timedelta(days=1))


async def test_a_database_that_is_away_for_a_while_is_followed_when_it_is_back(file, monkeypatch):
    live(file, "1")
    monkeypatch.setattr(hotswap, "RETRY_S", 0.01)
    async with server(file) as running:

        def away(database):
            raise Unavailable("The database is away.")

        with monkeypatch.context() as patch:
            patch.setattr(hotswap, "current", away)
            await until(lambda: running.counted("store_failures_total") >= 2)
            assert texts(await running.hears()) == ["la"]
        live(file, "2")
        await running.follows(file)
        assert running.version == "toy 2"


async def test_a_follower_that_ends_by_a_fault_of_ours_is_an_alarm(file, monkeypatch):
    live(file, "1")
    loader = Loader(Shelf())
    engines = Engines(await first_lineup(file, loader, add(file), 8), SMALL, Metrics())

    def faulty(database):
        raise ZeroDivisionError

    monkeypatch.setattr(hotswap, "current", faulty)
    follower = Follower(file, engines, loader, Metrics(), 8)
    follower.start()
    await until(lambda: "restart the server" in engines.lineup.alarm)
    with pytest.raises(ZeroDivisionError):
        await follower.close()
    loader.close()
