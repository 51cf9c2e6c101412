"""Engine and sessions with the real thread and the real loop; the toy's gate holds a batch where a test wants it."""

import asyncio
import gc
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from stt_server.engine.engines import Engines
from stt_server.engine.lineup import Lineup
from stt_server.errors import (
    BadAudio,
    BadOption,
    Busy,
    Conflict,
    EarloopError,
    Internal,
    TimedOut,
    TooLarge,
    Unavailable,
)
from stt_server.messages import Audio, Behind, Failed, Final, Finish, Finished, Flush, Heard, Partial, Ready
from stt_server.metrics import Metrics
from tests.engine.toy import SMALL, STEP_S, OneModel, Toy, loud, options, quiet, read, read_until, texts

DEADLINE_S = 30


@contextmanager
def engine(toy: Toy | None = None, metrics: Metrics | None = None, **limits) -> Iterator[OneModel]:
    """A running engine. Its gate is opened before it is closed, so that no thread is left behind."""
    toy = toy or Toy()
    made = OneModel(toy, replace(SMALL, **limits), metrics or Metrics())
    made.start()
    try:
        yield made
    finally:
        toy.gate.set()
        made.close()
        assert not made.alive


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop and the thread go on until something holds."""
    async with asyncio.timeout(DEADLINE_S):
        while not condition():  # noqa: ASYNC110 - what is waited for has no event of its own
            await asyncio.sleep(0.001)


async def inside(toy: Toy) -> None:
    """Wait until the thread is in `advance`."""
    assert await asyncio.to_thread(toy.inside.wait, DEADLINE_S)


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(f"earloop_{name}", labels)


async def test_a_session_says_ready_what_it_hears_and_finished():
    with engine() as running:
        session = running.open(options())
        for command in (Audio(loud(2) + quiet(1)), Audio(loud(1)), Flush(), Audio(loud(1)), Finish()):
            await session.send(command)
        events = await read(session)
    assert events[0] == Ready(session.id, "toy", "en", options().audio, version="toy 1")
    assert [(event.text, event.reason) for event in events if isinstance(event, Final)] == [
        ("la la", "silence"),
        ("la", "flush"),
        ("la", "finish"),
    ]
    assert events[-1] == Finished(5 * STEP_S, "toy")


@pytest.mark.parametrize("size", [1, 333, 2560, 5120, 99_999])
async def test_how_the_audio_was_cut_changes_no_final(size):
    audio = loud(2) + quiet(1) + loud(3.3) + quiet(2)
    with engine() as running:
        session = running.open(options())

        async def send() -> None:
            for start in range(0, len(audio), size):
                await session.send(Audio(audio[start : start + size]))
            await session.send(Finish())

        _, events = await asyncio.gather(send(), read(session))
    assert texts(events) == ["la la", "la la la la", ""]


async def test_twenty_streams_at_once_each_hear_their_own():
    with engine(max_streams=20) as running:
        sessions = [running.open(options()) for _ in range(20)]
        for number, session in enumerate(sessions):
            await session.send(Audio(loud(1 + number % 5)))
            await session.send(Finish())
        heard = await asyncio.gather(*map(read, sessions))
    assert [texts(events) for events in heard] == [[" ".join(["la"] * (1 + number % 5))] for number in range(20)]


async def test_while_a_batch_runs_audio_piles_up_and_is_taken_in_one_go():
    toy = Toy()
    with engine(toy) as running:
        first, second = running.open(options("first")), running.open(options("second"))
        toy.gate.clear()
        await first.send(Audio(loud(1)))
        await inside(toy)
        for session in (first, second):
            for _ in range(10):
                await session.send(Audio(loud(0.1)))
            await session.send(Finish())
        toy.gate.set()
        assert [texts(events) for events in await asyncio.gather(read(first), read(second))] == [["la la"], ["la"]]
    assert toy.stacks[1] == ["first", "second"]


# ------------------------------------------------------------------------------------------------------- the way in


async def test_sending_waits_while_the_queue_is_full_and_goes_on_when_there_is_room():
    toy = Toy()
    toy.gate.clear()
    with engine(toy, max_queue_s=0.5) as running:
        session = running.open(options())
        sending = asyncio.create_task(session.send(Audio(loud(40))))
        await inside(toy)
        await asyncio.sleep(0)
        assert not sending.done()
        toy.gate.set()
        await asyncio.wait_for(sending, DEADLINE_S)
        await session.send(Finish())
        assert texts(await read(session)) == [" ".join(["la"] * 40)]


async def test_a_queue_that_stays_full_is_timed_out_and_disturbs_no_other():
    toy = Toy()
    toy.gate.clear()
    with engine(toy, max_queue_s=0.5, send_timeout_s=0.05) as running:
        hasty, other = running.open(options("hasty")), running.open(options("other"))
        with pytest.raises(TimedOut, match="full for"):
            await hasty.send(Audio(loud(40)))
        await hasty.close()
        toy.gate.set()
        await other.send(Audio(loud(1)))
        await other.send(Finish())
        assert texts(await read(other)) == ["la"]


async def test_a_sender_that_waits_is_woken_by_the_failure_of_its_stream():
    toy = Toy()
    toy.gate.clear()
    with engine(toy, max_queue_s=0.5) as running:
        session = running.open(options("poison"))
        sending = asyncio.create_task(session.send(Audio(loud(40))))
        await inside(toy)
        toy.gate.set()
        with pytest.raises(Internal):
            await asyncio.wait_for(sending, DEADLINE_S)


async def test_a_sender_that_waits_is_let_go_by_close():
    toy = Toy()
    toy.gate.clear()
    with engine(toy, max_queue_s=0.5) as running:
        session = running.open(options())
        sending = asyncio.create_task(session.send(Audio(loud(40))))
        await inside(toy)
        await session.close()
        with pytest.raises(Conflict):
            await asyncio.wait_for(sending, DEADLINE_S)


async def test_a_stream_that_leaves_makes_room_for_one_that_the_engine_had_no_room_for():
    toy = Toy()
    toy.gate.clear()
    with engine(toy, max_queue_s=2.0, max_engine_queue_s=2.0, send_timeout_s=1000) as running:
        busy, hog, waiting = running.open(options()), running.open(options()), running.open(options())
        await busy.send(Audio(loud(1)))
        await inside(toy)
        await hog.send(Audio(loud(12)))
        sending = asyncio.create_task(waiting.send(Audio(loud(12))))
        await asyncio.sleep(0)
        assert not sending.done()
        await hog.close()
        await asyncio.wait_for(sending, DEADLINE_S)  # with the thread still in its batch


async def test_an_endless_stream_is_ended_and_its_finals_still_come():
    with engine(max_stream_s=1.0) as running:
        session = running.open(options())
        await session.send(Audio(loud(6)))
        with pytest.raises(TooLarge, match="at most 1 s"):
            await session.send(Audio(loud(1)))
        await session.send(Finish())
        assert texts(await read(session)) == ["la la la la la la"]


async def test_after_finish_and_after_close_nothing_can_be_sent():
    with engine() as running:
        finished, closed = running.open(options()), running.open(options())
        await finished.send(Finish())
        await closed.close()
        for session in (finished, closed):
            with pytest.raises(Conflict):
                await session.send(Audio(loud(1)))


async def test_heard_answers_every_audio_when_asked_for_however_long_it_is():
    with engine() as running:
        session = running.open(options(acknowledge=True))
        events = session.events()
        assert isinstance(await anext(events), Ready)
        total_s = 0.0
        for steps in (0.5, 0.5, 1, 9.5, 0):
            await session.send(Audio(loud(steps)))
            total_s += steps * STEP_S
            while not isinstance(event := await anext(events), Heard):
                assert not isinstance(event, Failed)
            assert event.audio_s == pytest.approx(total_s)


# ------------------------------------------------------------------------------------------------------ the way out


async def test_a_reader_that_takes_nothing_is_failed_alone():
    metrics = Metrics()
    with engine(metrics=metrics, write_timeout_s=0.05) as running:
        slow, other = running.open(options("slow")), running.open(options("other"))
        await slow.send(Audio(loud(2)))
        await until(lambda: slow.error is not None)
        assert isinstance(slow.error, TimedOut)
        assert running.open_streams == 1
        [failed] = await read(slow)  # what it left lying is gone
        assert failed == Failed(slow.error)
        await other.send(Audio(loud(1)))
        await other.send(Finish())
        assert texts(await read(other)) == ["la"]
    assert value(metrics, "failures_total", code="timed_out") == 1


async def test_a_reader_that_takes_something_now_and_then_is_not_failed():
    with engine(write_timeout_s=1.5) as running:
        session = running.open(options())
        await session.send(Audio((loud(1) + quiet(1)) * 8))
        await session.send(Finish())
        seen = []
        async for event in session.events():
            seen.append(event)
            await asyncio.sleep(0.05)  # 35 events: longer in all than the timeout
    assert len(seen) == 35
    assert texts(seen) == ["la"] * 8 + [""]


async def test_events_that_wait_are_bounded_in_number():
    with engine(max_events=8, write_timeout_s=1000) as running:
        session = running.open(options())
        await session.send(Audio((loud(1) + quiet(1)) * 5))
        await until(lambda: session.error is not None)
        assert [type(event) for event in await read(session)] == [Failed]


async def test_a_reader_that_is_behind_gets_the_newest_partial_only():
    with engine() as running:
        session = running.open(options())
        await session.send(Audio(loud(12)))
        await session.send(Finish())
        await until(lambda: running.open_streams == 0)
        partials = [event.text for event in await read(session) if isinstance(event, Partial)]
    assert partials == [" ".join(["la"] * 12)]


async def test_a_stream_that_lags_is_told():
    toy = Toy()
    toy.gate.clear()
    with engine(toy, lag_notice_ms=20) as running:
        session = running.open(options())
        await session.send(Audio(loud(2)))
        await inside(toy)
        await until(lambda: running.lag_s > 0.03)
        toy.gate.set()
        await asyncio.wait_for(read_until(session, Behind), DEADLINE_S)


# ------------------------------------------------------------------------------------------------------- the door


async def test_who_comes_when_all_places_are_taken_is_told_when_to_return():
    metrics = Metrics()
    with engine(metrics=metrics, retry_after_s=3.0) as running:
        taken = [running.open(options()) for _ in range(SMALL.max_streams)]
        with pytest.raises(Busy) as refused:
            running.open(options())
        assert refused.value.retry_after_s == 3.0
        uploads = [running.open(options(live=False)) for _ in range(SMALL.max_uploads)]
        with pytest.raises(Busy, match="uploads"):
            running.open(options(live=False))
        await taken[0].close()
        running.open(options())
        with pytest.raises(Busy):
            running.open(options())
        assert running.open_streams == len(taken) + len(uploads)
    assert value(metrics, "refused_total", reason="full") == 3


async def test_a_place_is_free_as_soon_as_the_stream_has_ended_read_or_not():
    with engine(max_streams=1) as running:
        session = running.open(options())
        await session.send(Finish())
        await until(lambda: running.open_streams == 0)
        await running.open(options()).close()
        assert isinstance((await read(session))[-1], Finished)


async def test_an_impossible_option_takes_no_place():
    with engine(max_streams=1) as running:
        with pytest.raises(BadOption):
            running.open(options(decoder="best"))
        with pytest.raises(BadOption, match="sample_rate"):
            running.open(options(audio=replace(options().audio, sample_rate=1)))
        running.open(options())


async def test_an_engine_that_was_not_started_is_unavailable():
    with pytest.raises(Unavailable):
        OneModel(Toy(), SMALL, Metrics()).open(options())


# ------------------------------------------------------------------------------------------------------- going wrong


async def test_a_poisoned_stream_fails_alone_among_streams_that_work():
    toy, metrics = Toy(), Metrics()
    toy.gate.clear()
    with engine(toy, metrics) as running:
        sessions = {name: running.open(options(name)) for name in ("good", "poison", "other")}
        await sessions["other"].send(Audio(loud(1)))
        await inside(toy)
        for session in sessions.values():
            await session.send(Audio(loud(1)))
            await session.send(Finish())
        toy.gate.set()
        heard = {name: await read(session) for name, session in sessions.items()}
    assert texts(heard["good"]) == ["la"]
    assert texts(heard["other"]) == ["la la"]
    last = heard["poison"][-1]
    assert isinstance(last, Failed)
    assert isinstance(last.error, Internal)
    assert value(metrics, "failures_total", code="internal") == 1
    assert value(metrics, "streams_open", protocol="test") == 0


async def test_bad_audio_is_told_and_further_sending_raises_it():
    with engine() as running:
        session = running.open(options())
        await session.send(Audio(b"BAD!"))
        last = (await read(session))[-1]
        assert isinstance(last, Failed)
        assert isinstance(last.error, BadAudio)
        with pytest.raises(BadAudio):
            await session.send(Audio(loud(1)))


async def test_when_the_thread_dies_all_its_streams_fail_and_it_is_not_alive():
    with engine() as running:
        innocent, deadly = running.open(options("innocent")), running.open(options("deadly"))
        await deadly.send(Audio(loud(1)))
        for session in (innocent, deadly):
            last = (await asyncio.wait_for(read(session), DEADLINE_S))[-1]
            assert isinstance(last, Failed)
            assert isinstance(last.error, Internal)
        running._thread.join(DEADLINE_S)
        assert not running.alive
        assert running.open_streams == 0
        with pytest.raises(Unavailable):
            running.open(options())


async def test_a_client_that_vanishes_in_a_batch_frees_its_place_at_once_and_its_neighbour_goes_on():
    toy = Toy()
    toy.gate.clear()
    with engine(toy) as running:
        gone, stays = running.open(options("gone")), running.open(options("stays"))
        for session in (gone, stays):
            await session.send(Audio(loud(3)))
        await inside(toy)
        await gone.close()
        await gone.close()
        assert running.open_streams == 1
        toy.gate.set()
        await stays.send(Finish())
        assert texts(await read(stays)) == ["la la la"]
        assert await read(gone) == []
    assert ["gone"] not in toy.stacks


async def test_a_reader_that_waits_is_let_go_by_close():
    with engine() as running:
        session = running.open(options())
        reading = asyncio.create_task(read(session))
        await asyncio.sleep(0)
        await session.close()
        assert [type(event) for event in await asyncio.wait_for(reading, DEADLINE_S)] in ([], [Ready])


async def test_closed_sessions_and_their_streams_are_collected():
    with engine(max_streams=100, write_timeout_s=1000) as running:
        sessions = [running.open(options()) for _ in range(50)]
        for number, session in enumerate(sessions):
            await session.send(Audio(loud(number % 4)))
            if number % 3 == 1:
                await session.send(Finish())
                await read(session)
            if number % 3 == 2:  # an error that is logged with its traceback is kept by the log of the tests
                await session.send(Audio(b"BAD!"))
                await read(session)
        watched = [weakref.ref(session) for session in sessions]
        watched += [weakref.ref(session._lane.stream) for session in sessions if session._lane is not None]
        for session in sessions:
            await session.close()
        del session, sessions
        await until(lambda: gc.collect() >= 0 and not any(reference() for reference in watched))
        assert running.open_streams == 0


# ----------------------------------------------------------------------------------------------------------- the end


async def test_draining_lets_every_stream_say_its_final_and_takes_no_new_one():
    metrics = Metrics()
    with engine(metrics=metrics) as running:
        session = running.open(options())
        await session.send(Audio(loud(2)))
        reading = asyncio.create_task(read(session))
        draining = asyncio.create_task(running.drain(DEADLINE_S))
        await asyncio.sleep(0)
        with pytest.raises(Unavailable, match="shutting down"):
            running.open(options())
        await session.send(Audio(loud(1)))  # a microphone that goes on is not failed for it
        await asyncio.wait_for(draining, DEADLINE_S)
        events = await reading
        assert texts(events) == ["la la"]
        assert isinstance(events[-1], Finished)
        assert not running.alive
    assert value(metrics, "failures_total", code="unavailable") is None


async def test_draining_waits_for_the_reader_of_a_stream_that_had_finished():
    with engine() as running:
        session = running.open(options())
        await session.send(Finish())
        await until(lambda: running.open_streams == 0)
        draining = asyncio.create_task(running.drain(DEADLINE_S))
        await asyncio.sleep(0)
        assert not draining.done()
        await read(session)
        await asyncio.wait_for(draining, DEADLINE_S)


async def test_draining_ends_when_its_grace_is_over_and_fails_who_is_left():
    toy = Toy()
    toy.gate.clear()
    with engine(toy) as running:
        session = running.open(options())
        await session.send(Audio(loud(2)))
        await inside(toy)
        threading.Timer(0.2, toy.gate.set).start()
        await asyncio.wait_for(running.drain(0.05), DEADLINE_S)
        [failed] = await read(session)
        assert isinstance(failed, Failed)
        assert isinstance(failed.error, Unavailable)


async def test_draining_with_nobody_there_is_over_at_once():
    with engine() as running:
        await running.drain(0)
        assert not running.alive


# --------------------------------------------------------------------------------------------------- several engines


@contextmanager
def engines(count: int, toy: Toy | None = None, **limits) -> Iterator[Engines]:
    made = Engines(Lineup.of(toy or Toy()), replace(SMALL, **limits), Metrics(), count=count)
    made.start()
    try:
        yield made
    finally:
        made.close()


async def test_a_stream_goes_to_the_engine_with_the_fewest_and_the_bound_is_for_all():
    with engines(2, max_streams=4) as running:
        for _ in range(4):
            running.open(options())
        assert [engine.open_streams for engine in running._engines] == [2, 2]
        assert running.open_streams == 4
        with pytest.raises(Busy):
            running.open(options())
        assert (running.name, running.language, running.models) == ("toy", "en", ("toy",))


async def test_a_place_can_be_reserved_before_the_options_are_known():
    with engines(1, max_streams=1) as running:
        place = running.reserve()
        with pytest.raises(Busy):
            running.reserve()
        with pytest.raises(BadOption):
            running.open(options(decoder="best"), place)
        session = running.open(options(), place)
        await session.close()
        place.release()
        running.reserve().release()
        running.reserve(live=False)


async def test_a_server_is_ready_until_an_engine_dies_or_it_drains():
    with engines(2) as running:
        assert running.ready
        assert running.alive
        deadly = running.open(options("deadly"))
        await deadly.send(Audio(loud(1)))
        assert isinstance((await read(deadly))[-1], Failed)
        running._engines[0]._thread.join(DEADLINE_S)
        assert not running.ready
        assert not running.alive
        session = running.open(options())  # the other one still serves
        await session.send(Finish())
        assert isinstance((await read(session))[-1], Finished)
        await running.drain(1)
        with pytest.raises(EarloopError):
            running.reserve()


async def test_an_idle_engine_uses_no_processor():
    with engine() as running:
        session = running.open(options())
        await session.send(Audio(loud(1)))
        await asyncio.wait_for(read_until(session, Partial), DEADLINE_S)
        turns = 0
        take_news = running._inbox.news

        def counted(*, wait: bool, gather_s: float = 0.0):
            nonlocal turns
            turns += 1
            return take_news(wait=wait, gather_s=gather_s)

        running._inbox.news = counted  # type: ignore[method-assign]
        await session.send(Flush())
        await asyncio.wait_for(read_until(session, Final), DEADLINE_S)
        assert turns <= 3


class Slow(Toy):
    """Takes its time to make ready what a stream asks for."""

    def __init__(self) -> None:
        super().__init__()
        self.may_open, self.opening = threading.Event(), asyncio.Event()
        self.loop = asyncio.get_running_loop()
        self.opened_in: list[str] = []

    def open(self, options):
        self.opened_in.append(threading.current_thread().name)
        self.loop.call_soon_threadsafe(self.opening.set)
        assert self.may_open.wait(DEADLINE_S)
        return super().open(options)


async def test_what_a_stream_asks_for_is_made_ready_beside_the_event_loop():
    toy = Slow()
    with engines(1, toy) as made:
        making = asyncio.create_task(made.make_ready(options("a hotword")))
        async with asyncio.timeout(DEADLINE_S):
            await toy.opening.wait()  # the loop goes on
        assert not making.done()
        toy.may_open.set()
        await making
    assert toy.opened_in != [threading.current_thread().name]


async def test_what_a_default_vocabulary_brings_is_made_ready_too():
    toy = Slow()
    toy.may_open.set()
    with engines(1, toy) as made:
        made.complete(lambda asked: replace(asked, hints=("scullery",)))
        await made.make_ready(options())
    assert len(toy.opened_in) == 1
    assert toy.opened_in != [threading.current_thread().name]


async def test_what_cannot_be_made_ready_is_refused_as_by_open_and_nothing_is_made_for_those_who_ask_for_nothing():
    toy = Slow()
    toy.may_open.set()
    with engines(1, toy) as made:
        await made.make_ready(options())
        assert not toy.opened_in
        with pytest.raises(BadOption) as refused:
            await made.make_ready(options("a hotword", decoder="magic"))
        assert refused.value.field == "decoder"
