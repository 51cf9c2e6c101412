"""The batcher without its thread: turns are called one by one, on a clock of our own."""

from dataclasses import replace

import pytest

from stt_server.engine.batcher import UPLOAD_SHARE, Batcher, Outcome
from stt_server.engine.inbox import Inbox
from stt_server.engine.load import Load
from stt_server.errors import BadAudio, Internal
from stt_server.messages import Behind, Event, Failed, Final, Heard, Partial
from stt_server.metrics import Metrics
from tests.engine.toy import SMALL, STEP_S, Clock, Sender, Toy, loud, quiet


class Bench:
    def __init__(self, **limits) -> None:
        self.toy, self.clock, self.metrics = Toy(), Clock(), Metrics()
        self.limits = replace(SMALL, **limits)
        self.inbox = Inbox(self.limits)
        load = Load(self.limits, self.clock)
        self.batcher = Batcher(self.inbox, self.limits, self.metrics, load, self.clock)

    def sender(self, name: str = "", *, live: bool = True, shadow: bool = False) -> Sender:
        return Sender(self.inbox, self.toy, self.clock, name, live=live, shadow=shadow)

    def turn(self) -> Outcome:
        outcome = self.batcher.turn()
        assert outcome is not None
        return outcome

    def said(self, sender: Sender, turns: int = 1) -> list[Event]:
        return [event for _ in range(turns) for event in self.turn().events.get(sender.lane, [])]

    def value(self, name: str) -> float | None:
        return self.metrics.registry.get_sample_value(f"earloop_{name}")


def kinds(events: list[Event]) -> list[str]:
    return [type(event).__name__ for event in events]


def test_all_ready_streams_go_in_one_call():
    bench = Bench()
    for sender in [bench.sender("a"), bench.sender("b"), bench.sender("c")]:
        sender.audio(loud(1))
    bench.turn()
    assert bench.toy.stacks == [["a", "b", "c"]]


def test_audio_that_piled_up_is_accepted_in_one_go():
    bench = Bench()
    sender = bench.sender()
    for _ in range(8):
        sender.audio(loud(0.125))
    assert kinds(bench.said(sender)) == ["SpeechStarted", "Partial"]
    assert sender.lane.stream.accepts == 1


def test_a_stream_takes_no_more_from_its_queue_than_it_is_about_to_work_on():
    bench = Bench()
    sender = bench.sender()
    for _ in range(10):
        assert sender.audio(loud(1))
    assert not sender.audio(loud(3))
    bench.turn()
    assert len(sender.lane.pieces) == 6  # half a second and what ended it
    bench.turn()
    bench.turn()
    assert len(sender.lane.pieces) == 6
    bench.turn()
    assert len(bench.toy.stacks) == 4


def test_a_sender_that_was_refused_is_named_when_there_is_room():
    bench = Bench(max_queue_s=0.4)
    sender = bench.sender()
    assert sender.audio(loud(2))
    assert not sender.audio(loud(1))
    assert bench.turn().roomy == [sender.lane]


def test_the_batch_is_bounded_and_every_stream_has_its_turn():
    bench = Bench(max_batch=2)
    for name in "abc":
        bench.sender(name).audio(loud(3))
    for _ in range(3):
        bench.turn()
    assert bench.toy.stacks == [["a", "b"], ["c", "a"], ["b", "c"]]


def test_live_streams_go_before_uploads():
    bench = Bench()
    upload, live = bench.sender("upload", live=False), bench.sender("live")
    upload.audio(loud(2))
    live.audio(loud(2))
    for _ in range(4):
        bench.turn()
    assert bench.toy.stacks == [["live"], ["live"], ["upload"], ["upload"]]


def test_uploads_get_a_small_share_of_a_busy_server():
    bench = Bench(max_queue_s=100.0)
    upload, live = bench.sender("upload", live=False), bench.sender("live")
    upload.audio(loud(9))
    live.audio(loud(100))
    for _ in range(3 * (UPLOAD_SHARE + 1)):
        bench.turn()
    assert bench.toy.stacks == ([["live"]] * UPLOAD_SHARE + [["upload"]]) * 3


def test_a_poisoned_stream_fails_alone_and_the_rest_of_its_batch_goes_on():
    bench = Bench()
    good, bad, other = bench.sender("good"), bench.sender("poison"), bench.sender("other")
    for sender in (good, bad, other):
        sender.audio(loud(1) + quiet(1))
    events = bench.turn().events
    assert kinds(events[good.lane]) == kinds(events[other.lane]) == ["SpeechStarted", "Partial"]
    [failed] = events[bad.lane]
    assert isinstance(failed, Failed)
    assert isinstance(failed.error, Internal)
    assert kinds(bench.said(good)) == ["SpeechStopped", "Final"]
    assert bench.toy.stacks[-1] == ["good", "other"]


def test_the_log_has_the_traceback_under_the_id_the_client_was_told(caplog):
    bench = Bench()
    bad = bench.sender("poison")
    bad.audio(loud(1))
    [failed] = bench.said(bad)
    assert isinstance(failed, Failed)
    [record] = [record for record in caplog.records if record.message == "internal_error"]
    assert record.keys["id"] in failed.error.message
    assert record.exc_info is not None
    assert record.exc_info[0] is RuntimeError


def test_bad_audio_fails_its_stream_with_that_error_and_nothing_follows():
    bench = Bench()
    good, bad = bench.sender("good"), bench.sender("bad")
    bad.audio(b"BAD!")
    good.audio(loud(1))
    events = bench.turn().events
    [failed] = events[bad.lane]
    assert isinstance(failed, Failed)
    assert isinstance(failed.error, BadAudio)
    assert failed.error.__traceback__ is None  # or it would keep the batcher's streams as long as a reader keeps it
    assert kinds(events[good.lane]) == ["SpeechStarted", "Partial"]
    bad.audio(loud(1))
    assert bench.said(bad) == []


def test_an_error_outside_the_model_fails_its_stream_too():
    bench = Bench()
    bad = bench.sender("fragile")
    bad.audio(loud(1))
    [failed] = bench.said(bad)
    assert isinstance(failed, Failed)
    assert isinstance(failed.error, Internal)


def test_heard_comes_when_every_full_step_of_the_audio_was_advanced():
    bench = Bench()
    sender = bench.sender()
    sender.audio(loud(2.5), acknowledge=True)
    assert kinds(bench.said(sender)) == ["SpeechStarted", "Partial"]
    events = bench.said(sender)
    assert kinds(events) == ["Partial", "Heard"]
    assert events[-1] == Heard(2.5 * STEP_S)


def test_heard_comes_for_audio_too_short_for_a_step_and_for_none():
    bench = Bench()
    sender = bench.sender()
    sender.audio(loud(0.5), acknowledge=True)
    sender.audio(b"", acknowledge=True)
    assert bench.said(sender) == [Heard(0.5 * STEP_S), Heard(0.5 * STEP_S)]


def test_a_client_that_runs_ahead_gets_one_heard_for_each_audio_at_its_place():
    bench = Bench()
    sender = bench.sender()
    for data in (loud(1), loud(0.5), loud(0.5)):
        sender.audio(data, acknowledge=True)
    events = bench.said(sender, turns=3)
    assert kinds(events) == ["SpeechStarted", "Partial", "Heard", "Heard", "Partial", "Heard"]


def test_a_flush_cuts_where_it_was_sent():
    bench = Bench()
    sender = bench.sender()
    sender.audio(loud(1))
    sender.flush()
    sender.audio(loud(2))
    sender.flush()
    finals = [event for event in bench.said(sender, turns=6) if isinstance(event, Final)]
    assert [(final.text, final.reason) for final in finals] == [("la", "flush"), ("la la", "flush")]


def test_a_live_stream_that_lags_is_told_so_once_a_second():
    bench = Bench(lag_notice_ms=300, max_batch=1)
    slow = bench.sender("slow")
    slow.audio(loud(8))
    bench.clock.now += 0.3
    assert not [event for event in bench.said(slow) if isinstance(event, Behind)]
    bench.clock.now += 0.1
    assert bench.said(slow)[-1] == Behind(400)
    bench.clock.now += 0.9
    assert not [event for event in bench.said(slow) if isinstance(event, Behind)]
    bench.clock.now += 0.1
    assert bench.said(slow)[-1] == Behind(1400)


def test_a_stream_kept_waiting_by_others_is_told_too_and_an_upload_is_not():
    bench = Bench(lag_notice_ms=300, max_batch=1)
    first, waiting, upload = bench.sender("first"), bench.sender("waiting"), bench.sender("upload", live=False)
    for sender in (first, waiting, upload):
        sender.audio(loud(2))
    bench.clock.now += 1.0
    events = bench.turn().events
    assert events[waiting.lane] == [Behind(1000)]
    assert upload.lane not in events


def test_a_partial_step_is_no_lag():
    bench = Bench(lag_notice_ms=300)
    sender = bench.sender()
    sender.audio(loud(1.5))
    bench.said(sender, turns=2)
    bench.clock.now += 5
    bench.sender("other").audio(loud(1))
    assert bench.said(sender) == []
    assert sender.lane.lag_s(bench.clock.now) == 0.0


def test_a_removed_stream_leaves_the_batch_and_what_it_had_queued_is_dropped():
    bench = Bench()
    gone, stays = bench.sender("gone"), bench.sender("stays")
    for sender in (gone, stays):
        sender.audio(loud(3))
    bench.turn()
    bench.inbox.remove(gone.lane)
    bench.turn()
    assert bench.toy.stacks == [["gone", "stays"], ["stays"]]


def test_metrics_tell_the_audio_the_batches_and_the_latency_from_the_arrival_of_what_filled_the_step():
    bench = Bench()
    first, second = bench.sender("first"), bench.sender("second")
    first.audio(loud(1.5))
    bench.clock.now += 0.05
    second.audio(loud(1))
    bench.clock.now += 0.05
    bench.turn()
    assert bench.value("audio_seconds_total") == pytest.approx(2.5 * STEP_S)
    assert bench.value("batch_size_sum") == 2
    assert bench.value("step_seconds_count") == 1
    assert bench.value("queue_lag_seconds_sum") == pytest.approx(0.1)
    assert bench.value("chunk_latency_seconds_sum") == pytest.approx(0.1 + 0.05)
    assert bench.value("chunk_latency_seconds_count") == 2


def test_the_latency_of_a_final_counts_from_the_audio_that_ended_its_utterance():
    bench = Bench()
    sender = bench.sender()
    sender.audio(loud(1))
    bench.said(sender, turns=2)
    bench.clock.now += 3.0
    sender.audio(quiet(1))
    bench.clock.now += 0.07
    assert kinds(bench.said(sender)) == ["SpeechStopped", "Final"]
    assert bench.value("final_latency_seconds_sum") == pytest.approx(0.07)


def test_a_partial_comes_with_each_step():
    bench = Bench()
    sender = bench.sender()
    sender.audio(loud(2))
    assert [event.text for event in bench.said(sender, turns=2) if isinstance(event, Partial)] == ["la", "la la"]
