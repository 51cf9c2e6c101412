"""Several models at once: who is heard by which, what a swap leaves alone, and that an old model is gone in the end."""

import asyncio
import gc
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from stt_server.engine.batcher import SHADOW_BATCH
from stt_server.engine.engines import Engines
from stt_server.engine.lineup import Caller, Lineup
from stt_server.engine.shadow import MOST, Shadow
from stt_server.engine.trial import Tally, Trial
from stt_server.errors import BadOption
from stt_server.messages import Audio, Final, Finish, Finished, Flush, Ready
from stt_server.metrics import Metrics
from stt_server.store.routes import Kind, Route
from tests.engine.test_batcher import Bench
from tests.engine.test_engine import DEADLINE_S, until, value
from tests.engine.toy import SMALL, Toy, loud, options, quiet, read, texts

OLD, NEW = "old", "new"


def live(model_id: str) -> Route:
    return Route(Kind.LIVE, "", model_id, 1.0, "en")


def lineup(*routes: Route, **models: Toy) -> Lineup:
    return Lineup(routes, models)


@contextmanager
def engines(first: Lineup, metrics: Metrics | None = None, *, count: int = 1, **limits) -> Iterator[Engines]:
    made = Engines(first, replace(SMALL, max_streams=20, **limits), metrics or Metrics(), count=count)
    del first  # or it would be held here
    made.start()
    try:
        yield made
    finally:
        made.close()


async def ended(session) -> list:
    await session.send(Finish())
    return await asyncio.wait_for(read(session), DEADLINE_S)


# ------------------------------------------------------------------------------------------------------------- swapping


async def test_a_swap_keeps_open_sessions_on_the_old_model_and_new_ones_get_the_new():
    with engines(lineup(live("a"), a=Toy("toy", "1", "la")), count=2) as running:
        before = [running.open(options()) for _ in range(4)]
        for session in before:
            await session.send(Audio(loud(1)))
        running.lineup = lineup(live("b"), b=Toy("toy", "2", "ti"))
        after = [running.open(options()) for _ in range(4)]
        for session in before + after:
            await session.send(Audio(loud(2)))
        said = [await ended(session) for session in before + after]
    assert [texts(events) for events in said] == [["la la la"]] * 4 + [["ti ti"]] * 4
    assert [events[0].version for events in said] == ["toy 1"] * 4 + ["toy 2"] * 4
    assert (running.name, running.recognizer.version) == ("toy", "toy 2")


async def test_streams_of_two_models_never_share_a_batch_and_neither_waits_for_the_other_twice():
    bench, other = Bench(), Toy("toy", "2", "ti")
    senders = [bench.sender("a"), bench.sender("b")]
    for number, sender in enumerate([bench.sender("c"), bench.sender("d")]):
        sender.lane.recognizer = other
        senders.insert(2 * number, sender)
    for sender in senders:
        sender.audio(loud(2))
    for _ in range(4):
        bench.turn()
    assert bench.toy.stacks == [["a", "b"]] * 2
    assert other.stacks == [["c", "d"]] * 2


async def test_the_old_model_is_freed_with_its_last_stream_and_not_before():
    first = Toy("toy", "1")
    held = weakref.ref(first)
    with engines(lineup(live("a"), a=first)) as running:
        sessions = [running.open(options()) for _ in range(3)]
        running.lineup = lineup(live("b"), b=Toy("toy", "2"))
        del first
        for session in sessions:
            await session.send(Audio(loud(1)))
        last = sessions.pop()
        for session in sessions:
            assert isinstance((await ended(session))[-1], Finished)
        del session
        sessions.clear()
        assert held() is not None  # the third one still speaks
        await last.send(Audio(loud(1)))
        assert texts(await ended(last)) == ["la la"]
        del last
        with without_the_collector():
            await until(lambda: held() is None)


async def test_a_vanished_client_frees_the_old_model_too():
    first = Toy("toy", "1")
    held = weakref.ref(first)
    with engines(lineup(live("a"), a=first)) as running:
        session = running.open(options())
        await session.send(Audio(loud(3)))
        running.lineup = lineup(live("b"), b=Toy("toy", "2"))
        await session.close()
        del first, session
        with without_the_collector():
            await until(lambda: held() is None)


@contextmanager
def without_the_collector() -> Iterator[None]:
    """Counts of references alone must do: a cycle would keep a model's memory until who knows when."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


# -------------------------------------------------------------------------------------------------------------- routing


MANY = lineup(
    live("a"),
    Route(Kind.LANGUAGE, "de", "b", 1.0, "de"),
    Route(Kind.NAME, "kitchen", "c", 1.0, "en"),
    Route(Kind.PERSON, "ann", "d", 1.0, "en"),
    a=Toy("first"),
    b=Toy("zweites"),
    c=Toy("third"),
    d=Toy("ann-own"),
)


@pytest.mark.parametrize(
    ("asked", "caller", "heard_by"),
    [
        ({}, Caller(), "first"),
        ({"model": "first"}, Caller(), "first"),
        ({"model": "first"}, Caller("ann"), "first"),
        ({"model": "kitchen"}, Caller(), "third"),
        ({"model": "zweites"}, Caller(), "zweites"),
        ({"language": "de-AT"}, Caller(), "zweites"),
        ({}, Caller("ann"), "ann-own"),
        ({}, Caller("bob"), "first"),
    ],
)
async def test_a_session_is_heard_by_the_model_of_its_name_person_or_language(asked, caller, heard_by):
    with engines(MANY) as running:
        running.identify(lambda: caller)
        events = await ended(running.open(options(**asked)))
    assert isinstance(events[0], Ready)
    assert events[0].model == heard_by


@pytest.mark.parametrize("name", ["nothing", "ann-own", "third", ""])
async def test_a_model_that_is_not_there_or_somebody_elses_own_is_refused_with_the_names_there_are(name):
    with engines(MANY) as running:
        with pytest.raises(BadOption) as refusal:
            running.open(options(model=name))
        assert running.models == ("first", "zweites", "kitchen")
        assert running.open_streams == 0
    assert refusal.value.field == "model"
    assert all(each in refusal.value.message for each in running.models)


async def test_a_canary_gets_its_share_of_sessions_and_both_are_counted():
    trial = Trial("b", "a", Tally(), Tally())
    models = {"a": Toy("toy", "1"), "b": Toy("toy", "2")}
    routes = (live("a"), Route(Kind.CANARY, "", "b", 0.5, "en"))
    with engines(Lineup(routes, models, trial=trial)) as running:
        said = [await ended(running.open(options())) for _ in range(60)]
    canaries = sum(events[0].version == "toy 2" for events in said)
    assert 10 < canaries < 50  # 40 more than chance could ever explain
    assert (trial.canary.streams, trial.live.streams) == (canaries, 60 - canaries)
    assert trial.canary.empty == trial.canary.utterances == canaries


# --------------------------------------------------------------------------------------------------------------- shadow


SHADOWED = (live("a"), Route(Kind.SHADOW, "", "b", 1.0, "en"))


@contextmanager
def shadowed(metrics: Metrics, **limits) -> Iterator[tuple[Engines, Toy, list[Shadow]]]:
    candidate = Toy("toy", "2", "ti")
    whole: list[Shadow] = []
    with engines(Lineup(SHADOWED, {"a": Toy("toy", "1", "la"), "b": candidate}), metrics, **limits) as running:
        running.compared = whole.append
        running.identify(lambda: Caller("ann", may_shadow=True))
        yield running, candidate, whole


async def test_a_shadow_hears_the_same_audio_and_flushes_in_silence_and_is_told_of_when_both_are_done():
    metrics = Metrics()
    with shadowed(metrics) as (running, _, whole):
        session = running.open(options(acknowledge=True))
        for command in (Audio(loud(2) + quiet(1)), Audio(loud(1)), Flush(), Audio(loud(3))):
            await session.send(command)
        events = await ended(session)
        await until(lambda: bool(whole))
    assert texts(events) == ["la la", "la", "la la la"]
    assert texts(whole[0].own_finals) == ["ti ti", "ti", "ti ti ti"]
    assert whole[0].live_finals == [event for event in events if isinstance(event, Final)]
    assert (whole[0].model_id, whole[0].live_id) == ("b", "a")
    assert value(metrics, "shadow_sessions_total") == 1
    assert value(metrics, "utterances_total") == 3  # what nobody was told is no utterance
    assert value(metrics, "streams_total", protocol="test") == 1


async def test_whoever_did_not_agree_has_no_shadow():
    with shadowed(Metrics()) as (running, candidate, whole):
        running.identify(lambda: Caller("ann"))
        session = running.open(options())
        await session.send(Audio(loud(2)))
        await ended(session)
    assert session.shadow is None
    assert (candidate.stacks, whole) == ([], [])


@pytest.mark.parametrize("name", ["poison", "fragile"])
async def test_a_candidate_that_fails_costs_the_session_nothing(name):
    metrics = Metrics()

    class Faulty(Toy):
        def open(self, asked):
            return super().open(options(name))

    with engines(Lineup(SHADOWED, {"a": Toy(), "b": Faulty("toy", "2")}), metrics) as running:
        running.identify(lambda: Caller("ann", may_shadow=True))
        session = running.open(options())
        await session.send(Audio(loud(2)))
        await until(lambda: value(metrics, "shadow_dropped_total", reason="failed") == 1)
        assert texts(await ended(session)) == ["la la"]


async def test_a_shadow_is_dropped_when_it_falls_behind_when_its_session_vanishes_and_when_the_server_leaves():
    metrics = Metrics()
    with shadowed(metrics, max_queue_s=2.0) as (running, candidate, whole):
        gone, leaving = running.open(options()), running.open(options())
        await gone.close()
        assert value(metrics, "shadow_dropped_total", reason="session") == 1
        await leaving.send(Audio(loud(1)))
        drained = asyncio.create_task(running.drain(DEADLINE_S))
        events = await asyncio.wait_for(read(leaving), DEADLINE_S)
        await drained
        assert value(metrics, "shadow_dropped_total", reason="closing") == 1
    assert isinstance(events[-1], Finished)
    assert whole == []
    assert candidate.stacks in ([], [[""]])


async def test_a_full_lane_drops_the_shadow_and_keeps_the_session():
    metrics = Metrics()
    with shadowed(metrics, max_queue_s=1.0) as (running, candidate, _):
        session = running.open(options())
        assert session.shadow is not None
        candidate.ready = lambda stream: False  # type: ignore[method-assign]  # takes audio and never gets to it
        running._engines[0]._inbox.remove(session.shadow.lane)
        for _ in range(20):
            await session.send(Audio(loud(1)))
        assert value(metrics, "shadow_dropped_total", reason="behind") == 1
        assert texts(await ended(session)) == [" ".join(["la"] * 20)]


async def test_under_load_shadows_are_dropped_first_and_none_is_opened():
    metrics = Metrics()
    with shadowed(metrics) as (running, _, _):
        session = running.open(options())
        load = running._engines[0].load
        load.refuses = lambda streams, *, live: None if live else "lag"  # type: ignore[method-assign]
        await until(lambda: value(metrics, "shadow_dropped_total", reason="load") == 1)
        other = running.open(options())
        assert other.shadow is None
        await session.send(Audio(loud(1)))
        assert [texts(await ended(each)) for each in (session, other)] == [["la"], [""]]


async def test_shadows_are_bounded_in_number():
    metrics = Metrics()
    with shadowed(metrics) as (running, _, _):
        sessions = [running.open(options()) for _ in range(MOST + 2)]
        assert sum(session.shadow is not None for session in sessions) == MOST
        assert value(metrics, "shadow_dropped_total", reason="load") == 2


def test_shadows_advance_a_few_at_a_time_when_nobody_else_is_ready_and_count_as_no_load():
    bench = Bench(max_queue_s=100.0)
    live_one, upload = bench.sender("live"), bench.sender("upload", live=False)
    silent = [bench.sender(f"s{number}", live=False, shadow=True) for number in range(SHADOW_BATCH + 1)]
    for sender in (*silent, upload, live_one):
        sender.audio(loud(1))
    for _ in range(4):
        bench.turn()
    names = [sender.lane.stream.name for sender in silent]
    assert bench.toy.stacks == [["live"], ["upload"], names[:SHADOW_BATCH], names[SHADOW_BATCH:]]
    assert bench.value("batch_size_count") == 2
    assert bench.value("audio_seconds_total") == pytest.approx(2 * 0.16)
