"""The door's two measurements, on a clock of our own."""

import pytest

from stt_server.engine.limits import Limits
from stt_server.engine.load import EVIDENCE_S, WINDOW_S, Load
from stt_server.engine.watch import EVERY_S
from tests.engine.toy import Clock, Sender, Toy, loud


class Door:
    def __init__(self, **limits) -> None:
        self.clock = Clock()
        self.load = Load(Limits(**limits), self.clock)

    def lag(self, lag_s: float, for_s: float) -> None:
        for _ in range(round(for_s / EVERY_S)):
            self.clock.now += EVERY_S
            self.load.sample(lag_s, EVERY_S)

    def work(self, cost: float, audio_s: float) -> None:
        self.load.worked(cost * audio_s, audio_s)

    def refused(self, streams: float = 1, *, live: bool = True) -> str | None:
        return self.load.refuses(streams, live=live)


def test_an_idle_engine_takes_everybody():
    door = Door()
    assert door.refused() is None
    assert door.refused(live=False) is None


def test_one_slow_batch_turns_nobody_away():
    door = Door(max_lag_ms=1000)
    door.lag(1.5, for_s=0.6)
    assert door.refused() is None


def test_lag_that_stays_closes_the_door_to_uploads_first_and_then_to_live_streams():
    door = Door(max_lag_ms=1000)
    door.lag(0.7, for_s=5)
    assert (door.refused(), door.refused(live=False)) == (None, "lag")
    door.lag(1.5, for_s=5)
    assert (door.refused(), door.refused(live=False)) == ("lag", "lag")


def test_the_door_opens_again_only_when_half_of_the_lag_is_gone():
    door = Door(max_lag_ms=1000)
    door.lag(1.5, for_s=5)
    door.lag(0.8, for_s=5)
    assert door.refused() == "lag"
    door.lag(0.4, for_s=5)
    assert (door.refused(), door.refused(live=False)) == (None, "lag")
    door.lag(0.0, for_s=5)
    assert door.refused(live=False) is None


def test_streams_that_would_need_more_than_the_bound_are_refused_before_anything_lags():
    door = Door(max_load=0.9)
    door.work(0.1, audio_s=100)
    assert [door.refused(streams) for streams in (0, 7, 8, 9)] == [None, None, None, "load"]
    assert [door.refused(streams, live=False) for streams in (0, 5, 6, 9)] == [None, None, "load", "load"]
    assert door.load.need(5) == pytest.approx(0.5)


def test_one_stream_may_always_come_however_slow_the_machine():
    door = Door()
    door.work(3.0, audio_s=100)
    assert (door.refused(0), door.refused(0, live=False)) == (None, None)
    assert door.refused(1) == "load"


def test_the_cost_is_believed_only_while_there_is_enough_recent_evidence():
    door = Door()
    door.work(3.0, audio_s=EVIDENCE_S - 1)
    assert door.refused(5) is None
    door.work(3.0, audio_s=2)
    assert door.refused(5) == "load"
    door.clock.now += WINDOW_S
    assert door.refused(5) is None


def test_a_machine_that_has_become_faster_is_believed_soon():
    door = Door()
    door.work(0.5, audio_s=100)
    assert door.refused(2) == "load"
    for _ in range(30):
        door.clock.now += 1
        door.work(0.05, audio_s=10)
    assert door.refused(10) is None


# ------------------------------------------------------------------------------------------- what counts as behind


def sender() -> tuple[Sender, Clock, Limits]:
    from stt_server.engine.inbox import Inbox

    clock, limits = Clock(), Limits()
    return Sender(Inbox(limits), Toy(), clock), clock, limits


def test_audio_that_came_in_real_time_and_waits_is_overdue():
    stream, clock, _ = sender()
    stream.audio(loud(1))
    clock.now += 0.4
    assert stream.lane.overdue_s(clock.now) == pytest.approx(0.4)


def test_a_client_that_runs_ahead_of_real_time_is_not_behind_for_it():
    stream, clock, _ = sender()
    for _ in range(20):  # 3.2 s of audio at once
        stream.audio(loud(1))
    lane = stream.lane
    for _ in range(10):  # the engine takes it as fast as it is spoken
        lane.taken([lane.pieces.popleft()])
        clock.now += 0.16
        lane.worked_through()
    assert lane.lag_s(clock.now) == pytest.approx(1.6)
    assert lane.overdue_s(clock.now) == pytest.approx(0.0)
    clock.now += 0.5  # and now it pauses
    assert lane.overdue_s(clock.now) == pytest.approx(0.5)
