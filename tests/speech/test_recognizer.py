import itertools
import re
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stt_server.errors import BadAudio, BadOption, Conflict, Internal
from stt_server.messages import (
    AudioSpec,
    Endpointing,
    Final,
    Finished,
    Grammar,
    Open,
    Partial,
    SpeechStarted,
    SpeechStopped,
)
from stt_server.speech.pcm import AudioFormat, encode_pcm
from stt_server.speech.recognizer import Recognizer, RecognizerSettings
from stt_server.speech.resample import resample
from tests.bundles import VOICES, spoken
from tests.voices import fan_noise, silence, white_noise

GREEDY = Open("test", decoder="greedy")
WITHOUT_ENDPOINTS = replace(GREEDY, endpointing=Endpointing(enabled=False))
FLUSH = "flush"


def pcm(samples, **changes):
    return encode_pcm(AudioFormat(**changes), samples)


def quiet(seconds):
    return white_noise(seconds, -60)


def work(recognizer, stream):
    while recognizer.ready(stream):
        recognizer.advance([stream])


def play(recognizer, items, options=GREEDY, *, at_once=False):
    """The events of a stream that is given bytes and flushes; worked through after each of them, or only at the end."""
    stream, events = recognizer.open(options), []
    for item in items:
        if item == FLUSH:
            recognizer.flush(stream)
        else:
            recognizer.accept(stream, item)
        if not at_once:
            work(recognizer, stream)
            events += recognizer.take(stream)
    recognizer.finish(stream)
    work(recognizer, stream)
    assert stream.done
    return events + recognizer.take(stream)


def cut(data, places):
    edges = [0, *sorted(places), len(data)]
    return [data[start:end] for start, end in itertools.pairwise(edges)]


def finals(events):
    return [event for event in events if isinstance(event, Final)]


def texts(events):
    return [final.text for final in finals(events)]


# --------------------------------------------------------------------------------------------- chunking changes nothing

# Words, pauses that end an utterance, a silence in which the model begins afresh, and words right behind it.
LONG = pcm(np.concatenate([spoken("yes", "no"), quiet(1.1), spoken("stop"), quiet(6.0), spoken("light", "yes")]))


@pytest.mark.parametrize("size", [320, 641, 3200, 5121, 32_000, 1_000_000])
@pytest.mark.parametrize(
    "options", [GREEDY, WITHOUT_ENDPOINTS, Open("test")], ids=["greedy", "no endpoints", "reference"]
)
def test_pieces_of_any_size_give_the_events_of_the_whole(tiny, size, options):
    whole = play(tiny, [LONG], options, at_once=True)
    assert "stop" in " ".join(texts(whole))
    assert play(tiny, cut(LONG, range(size, len(LONG), size)), options) == whole


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(places=st.lists(st.integers(0, len(LONG)), max_size=30), at_once=st.booleans())
def test_cuts_drawn_at_random_give_the_events_of_the_whole(tiny, places, at_once):
    assert play(tiny, cut(LONG, places), at_once=at_once) == play(tiny, [LONG], at_once=True)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(flushes=st.lists(st.integers(0, len(LONG) // 2), max_size=4), size=st.integers(300, 40_000))
def test_flushes_drawn_at_random_cut_at_the_same_sample_whether_work_is_done_at_once_or_late(tiny, flushes, size):
    items = []
    for part in cut(LONG, [2 * place for place in flushes]):
        items += [*cut(part, range(size, len(part), size)), FLUSH]
    late = play(tiny, items, at_once=True)
    assert play(tiny, items) == late
    assert [final.reason for final in finals(late)].count("flush") == len(flushes) + 1


@pytest.mark.parametrize("rate", [8000, 22_050, 48_000])
def test_chunking_changes_nothing_at_other_rates(tiny, rate):
    options = replace(GREEDY, audio=AudioSpec(sample_rate=rate))
    data = pcm(resample(spoken("stop", "light"), 16_000, rate), sample_rate=rate)
    whole = play(tiny, [data], options, at_once=True)
    assert texts(whole) == ["stop light"]
    assert play(tiny, cut(data, range(333, len(data), 333)), options) == whole


def test_streams_in_a_batch_hear_what_each_hears_alone(tiny):
    """Streams that begin at different times and differ in length share calls in changing company."""
    spoken_words = [("yes",), ("no", "stop"), ("light", "light", "no"), ("stop",), ("yes", "no", "yes")]
    clips = [pcm(spoken(*words, gap_s=0.2 + 0.1 * i)) for i, words in enumerate(spoken_words)]
    streams = [tiny.open(GREEDY) for _ in clips]
    for second in range(6):
        for i, (stream, clip) in enumerate(zip(streams, clips, strict=True)):
            if 0 <= second - i % 2 < 3:
                tiny.accept(stream, clip[(second - i % 2) * 32_000 :][: 32_000 * (1 if second - i % 2 < 2 else 100)])
            if second - i % 2 == 3:
                tiny.finish(stream)
        while ready := [stream for stream in streams if tiny.ready(stream)]:
            tiny.advance(ready)
    for stream, clip, words in zip(streams, clips, spoken_words, strict=True):
        events, alone = tiny.take(stream), play(tiny, [clip])
        assert " ".join(texts(events)).split() == list(words)
        assert [_rounded(event) for event in events] == [_rounded(event) for event in alone]


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 9)), min_size=1, max_size=13))
def test_words_do_not_depend_on_how_many_streams_share_a_call_nor_on_what_fills_it_up(tiny, alone, drawn):
    """Each stream says one of four things and is some steps ahead of the others."""
    streams = [tiny.open(GREEDY) for _ in drawn]
    for stream, (said, ahead) in zip(streams, drawn, strict=True):
        tiny.accept(stream, SAYINGS[said])
        tiny.finish(stream)
        for _ in range(ahead):
            if tiny.ready(stream):
                tiny.advance([stream])
    while ready := [stream for stream in streams if tiny.ready(stream)]:
        tiny.advance(ready)
    for stream, (said, _) in zip(streams, drawn, strict=True):
        assert [_rounded(event) for event in tiny.take(stream)] == alone[said]


SAYINGS = [pcm(spoken(*words)) for words in (("yes",), ("no", "stop"), ("light", "no"), ("stop",))]


@pytest.fixture(scope="module")
def alone(tiny):
    """The events of each saying in a stream by itself."""
    return [[_rounded(event) for event in play(tiny, [saying], at_once=True)] for saying in SAYINGS]


def _rounded(event):
    """Confidence to two digits: another batch size lets BLAS add in another order."""
    if not isinstance(event, Final):
        return event
    return replace(event, words=tuple(replace(word, confidence=round(word.confidence, 2)) for word in event.words))


def test_a_step_is_ready_as_soon_as_its_audio_is_there(tiny):
    """Coalescing small pieces delays nothing: 16 frames end 2800 samples into the audio, then 2560 further each."""
    for rate in (16_000, 48_000):
        stream = tiny.open(replace(GREEDY, audio=AudioSpec(sample_rate=rate)))
        piece, look_ahead = bytes(2 * rate // 50), 96 / 48_000 if rate == 48_000 else 0.0
        for step in range(5):
            while not tiny.ready(stream):
                tiny.accept(stream, piece)
            due = (2800 + 2560 * step) / 16_000 + look_ahead
            assert due <= stream.audio_s < due + 0.0201
            tiny.advance([stream])


# --------------------------------------------------------------------------------------------------------------- events


def test_events_come_in_order_and_utterances_are_numbered(tiny):
    events = play(tiny, cut(LONG, range(640, len(LONG), 640)))
    assert texts(events)[:3] == ["yes no", "stop", "light yes"]
    assert [final.utterance for final in finals(events)] == list(range(len(finals(events))))
    assert [final.reason for final in finals(events)][:2] == ["silence", "silence"]
    assert isinstance(events[-1], Finished)
    assert isinstance(events[-2], Final)
    open_, spoken_of = False, 0
    for event in events:
        if isinstance(event, SpeechStarted | SpeechStopped):
            assert open_ == isinstance(event, SpeechStopped)
            open_ = not open_
        elif isinstance(event, Partial):
            assert open_
            assert event.utterance == spoken_of
        elif isinstance(event, Final):
            assert not open_
            spoken_of += 1


def test_partials_grow_and_what_is_stable_stays(tiny):
    events = play(tiny, cut(LONG, range(640, len(LONG), 640)))
    for final in finals(events):
        partials = [e for e in events if isinstance(e, Partial) and e.utterance == final.utterance]
        for earlier, later in itertools.pairwise(partials):
            assert earlier.text != later.text
            assert later.text.startswith(earlier.text[: earlier.stable])
        assert all(final.text.startswith(partial.text[: partial.stable].rstrip()) for partial in partials)


def test_no_partials_where_none_are_wanted(tiny):
    events = play(tiny, [LONG], replace(GREEDY, partials=False))
    assert not any(isinstance(event, Partial) for event in events)
    assert texts(events)[0] == "yes no"


@pytest.mark.parametrize(
    "options", [GREEDY, WITHOUT_ENDPOINTS, Open("test")], ids=["greedy", "no endpoints", "reference"]
)
def test_words_have_the_times_at_which_they_were_said(tiny, options):
    """Also behind an endpoint, a silence in which the model began afresh, and a flush."""
    parts = [quiet(0.5), spoken("yes"), quiet(7.0), spoken("stop"), FLUSH, quiet(0.3), spoken("light")]
    items, said, at = [], [], 0.0
    for part in parts:
        if isinstance(part, str):
            items.append(part)
            continue
        if np.abs(part).max() > 0.1:
            loud = np.flatnonzero(np.abs(part) > 0.05)
            said.append((at + loud[0] / 16_000, at + loud[-1] / 16_000))
        items.append(pcm(part))
        at += len(part) / 16_000
    events = play(tiny, items, options)
    words = [word for final in finals(events) for word in final.words]
    assert [word.text for word in words] == ["yes", "stop", "light"]
    for word, (start_s, end_s) in zip(words, said, strict=True):
        assert start_s - 0.3 <= word.start_s < word.end_s <= end_s + 0.3
    for final in finals(events):
        assert final.start_s <= final.end_s
        assert all(final.start_s <= word.start_s <= word.end_s <= final.end_s for word in final.words)


def test_a_short_word_ends_soon_after_it_was_said(tiny):
    stream = tiny.open(GREEDY)
    data = pcm(np.concatenate([spoken("no"), quiet(3.0)]))
    end_s = len(spoken("no")) / 16_000 - 0.25
    for piece in cut(data, range(640, len(data), 640)):
        tiny.accept(stream, piece)
        work(tiny, stream)
        if finals(stream.events):
            break
    assert texts(stream.events) == ["no"]
    assert stream.audio_s - end_s < 0.6 + 0.5  # the silence asked for, the look-ahead and a step


# -------------------------------------------------------------------------------------------------------- flush, finish


def test_an_empty_stream_ends_with_an_empty_final(tiny):
    assert play(tiny, []) == [Final(0, "", (), 0.0, 0.0, "finish"), Finished(0.0, "tiny")]


def test_two_flushes_in_a_row_give_two_finals(tiny):
    events = play(tiny, [pcm(spoken("stop")), FLUSH, FLUSH, pcm(spoken("yes"))])
    assert [(final.text, final.reason) for final in finals(events)] == [
        ("stop", "flush"),
        ("", "flush"),
        ("yes", "finish"),
    ]


def test_a_flush_ends_an_utterance_without_waiting_for_silence(tiny):
    stream = tiny.open(GREEDY)
    tiny.accept(stream, pcm(spoken("stop", gap_s=0.1)))
    tiny.flush(stream)
    work(tiny, stream)
    assert [type(event) for event in stream.events][-2:] == [SpeechStopped, Final]
    assert texts(stream.events) == ["stop"]


def test_audio_behind_a_flush_waits_and_keeps_its_times(tiny):
    first = spoken("stop")
    stream = tiny.open(GREEDY)
    tiny.accept(stream, pcm(first))
    tiny.flush(stream)
    tiny.accept(stream, pcm(spoken("light")))
    assert stream.audio_s == pytest.approx((len(first) + len(spoken("light"))) / 16_000)
    tiny.finish(stream)
    work(tiny, stream)
    one, two = finals(tiny.take(stream))
    assert (one.text, two.text) == ("stop", "light")
    assert two.words[0].start_s > len(first) / 16_000


def test_after_finish_nothing_more_is_accepted(tiny):
    stream = tiny.open(GREEDY)
    tiny.finish(stream)
    for late in (lambda: tiny.accept(stream, b"ab"), lambda: tiny.flush(stream), lambda: tiny.finish(stream)):
        with pytest.raises(Conflict, match="finished"):
            late()
    assert [type(event) for event in tiny.take(stream)] == [Final, Finished]


def test_half_a_sample_at_the_end_is_no_sample(tiny):
    data = pcm(spoken("stop"))
    assert play(tiny, [data[:-1]])[-1].audio_s == pytest.approx((len(data) // 2 - 1) / 16_000)
    assert texts(play(tiny, [data, b"\x01"])) == texts(play(tiny, [data])) == ["stop"]


# -------------------------------------------------------------------------------------------------------------- formats


@pytest.mark.parametrize(
    "audio",
    [
        AudioSpec("mulaw", 8000, 1),
        AudioSpec("alaw", 8000, 1),
        AudioSpec("s16le", 48_000, 2),
        AudioSpec("f32le", 44_100, 1),
        AudioSpec("s16le", 8000, 1),
    ],
    ids=lambda audio: f"{audio.encoding} {audio.sample_rate} {audio.channels}",
)
@pytest.mark.parametrize("voice", VOICES)
def test_words_come_through_every_format(tiny, audio, voice):
    samples = resample(spoken("stop", "no", voice=voice), 16_000, audio.sample_rate)
    data = encode_pcm(AudioFormat(audio.encoding, audio.sample_rate, audio.channels), samples)
    events = play(tiny, cut(data, range(1999, len(data), 1999)), replace(GREEDY, audio=audio))
    assert texts(events) == ["stop no"]
    assert events[-1].audio_s == pytest.approx(len(samples) / audio.sample_rate, abs=1e-4)


def test_bad_samples_are_refused_and_the_stream_keeps_what_it_had(tiny):
    stream = tiny.open(replace(GREEDY, audio=AudioSpec("f32le")))
    half = len(spoken("stop")) // 2
    tiny.accept(stream, spoken("stop")[:half].tobytes())
    with pytest.raises(BadAudio):
        tiny.accept(stream, np.full(4, np.nan, np.float32).tobytes())
    tiny.accept(stream, spoken("stop")[half:].tobytes())
    tiny.finish(stream)
    work(tiny, stream)
    assert texts(tiny.take(stream)) == ["stop"]


# -------------------------------------------------------------------------------------------------------------- options


@pytest.mark.parametrize(
    ("options", "field"),
    [
        (Open("test", model="other"), "model"),
        (Open("test", language="de-DE"), "language"),
        (Open("test", decoder="best"), "decoder"),
        (Open("test", audio=AudioSpec(sample_rate=4000)), "sample_rate"),
        (Open("test", audio=AudioSpec("opus")), "encoding"),  # type: ignore[arg-type]
        (Open("test", audio=AudioSpec(channels=0)), "channels"),
        (Open("test", endpointing=Endpointing(silence_ms=5)), "silence_ms"),
        (Open("test", endpointing=Endpointing(max_utterance_ms=10**9)), "max_utterance_ms"),
        (Open("test", endpointing=Endpointing(min_utterance_ms=2000, max_utterance_ms=1500)), "max_utterance_ms"),
    ],
)
def test_an_option_that_cannot_be_is_refused_by_its_field(tiny, options, field):
    with pytest.raises(BadOption) as refused:
        tiny.open(options)
    assert refused.value.field == field


@pytest.mark.parametrize("language", ["en", "en-US", "EN-gb"])
def test_a_language_with_a_region_is_the_language(tiny, language):
    assert tiny.open(Open("test", language=language)).options.language == language


def test_a_final_says_what_was_heard_without_the_language_model_where_that_is_another_text(tiny):
    words = spoken("yes", "no", "light", "stop")
    heard = [pcm(words + white_noise(len(words) / 16_000, level)[: len(words)]) for level in (-60, -30, -24, -20, -16)]
    searched = [finals(play(tiny, [each], Open("test"))) for each in heard]
    greedy = [texts(play(tiny, [each])) for each in heard]
    assert [[final.text if final.greedy is None else final.greedy for final in each] for each in searched] == greedy
    others = [final for each in searched for final in each if final.greedy is not None]
    assert others
    assert all(final.greedy != final.text for final in others)


@pytest.mark.parametrize("decoder", ["greedy", "reference", "native"])
def test_alternatives_are_there_when_asked_for_and_begin_with_the_text(tiny, decoder):
    words = spoken("yes", "no", "light")
    heard = pcm(words + white_noise(len(words) / 16_000, -20)[: len(words)])
    (plain, *_) = finals(play(tiny, [heard], Open("test", decoder=decoder)))
    (final, *_) = finals(play(tiny, [heard], Open("test", decoder=decoder, alternatives=5)))
    assert replace(final, alternatives=()) == plain
    assert (final.alternatives[0].text, final.alternatives[0].words) == (final.text, final.words)
    once = {each.text for each in final.alternatives}
    scores = [each.score for each in final.alternatives]
    assert len(once) == len(scores) <= 5
    assert scores == sorted(scores, reverse=True)
    assert (len(scores) > 1) == (decoder == "native")


def test_partials_have_words_when_asked_for(tiny):
    events = play(tiny, cut(LONG, range(640, len(LONG), 640)), replace(GREEDY, partial_words=True))
    partials = [event for event in events if isinstance(event, Partial)]
    assert any(partial.words for partial in partials)
    assert all(" ".join(word.text for word in partial.words) == partial.text for partial in partials)


@pytest.mark.parametrize("hotwords", [("ear",) * 1001, ("a" * 20_001,), ("ear " * 200,) * 100])
def test_more_hotwords_than_the_decoder_handles_in_time_are_refused(tiny, hotwords):
    with pytest.raises(BadOption) as caught:
        tiny.open(Open("test", hotwords=hotwords))
    assert caught.value.field == "hotwords"


@pytest.mark.parametrize("name", ["model", "language", "decoder"])
def test_what_is_not_there_is_named_in_a_short_sentence(tiny, name):
    with pytest.raises(BadOption) as caught:
        tiny.open(replace(Open("test"), **{name: "x" * 100_000}))  # type: ignore[arg-type]
    assert len(caught.value.message) < 200


def test_hotwords_are_normalised_and_hints_that_cannot_be_spelled_left_out(tiny):
    stream = tiny.open(Open("test", hotwords=("Bedroom 2!", "Lou's"), hints=("光", "  ", "Ear", "lou's")))
    assert stream.options.hotwords == ("bedroom two", "lou's", "ear")


@pytest.mark.parametrize("phrase", ["光", "  ", "?!"])
def test_a_hotword_that_cannot_be_spelled_is_named(tiny, phrase):
    with pytest.raises(BadOption, match=re.escape(repr(phrase))) as caught:
        tiny.open(Open("test", hotwords=("ear", phrase)))
    assert caught.value.field == "hotwords"


@pytest.mark.parametrize(
    ("decoder", "name", "wish"),
    [
        ("greedy", "hotwords", ("ear",)),
        ("greedy", "grammar", Grammar(("stop",))),
        ("greedy", "beam", 10),
        ("reference", "grammar", Grammar(("stop",))),
        ("reference", "boosts", (("ear", 3.0),)),
    ],
)
def test_what_a_decoder_cannot_be_asked_for_is_refused(tiny, decoder, name, wish):
    with pytest.raises(BadOption, match=f"{decoder} takes no {name}") as caught:
        tiny.open(replace(Open("test", decoder=decoder), **{name: wish}))
    assert caught.value.field == name


def test_a_language_model_that_there_is_not_is_refused(tiny):
    with pytest.raises(BadOption, match="no language model 'medicine'") as caught:
        tiny.open(Open("test", lm="medicine"))
    assert caught.value.field == "lm"


def test_a_stream_may_ask_for_its_own_silence(tiny):
    data = pcm(np.concatenate([spoken("yes", gap_s=0.1), quiet(0.2), spoken("no", gap_s=0.1), quiet(2.0)]))
    assert texts(play(tiny, [data]))[0] == "yes no"
    hasty = replace(GREEDY, endpointing=Endpointing(silence_ms=200))
    assert texts(play(tiny, [data], hasty))[:2] == ["yes", "no"]


def test_an_utterance_is_ended_at_its_longest(tiny):
    data = pcm(np.concatenate([spoken("yes", "no", "stop", "light", gap_s=0.15)] * 3))
    events = play(tiny, [data], replace(GREEDY, endpointing=Endpointing(max_utterance_ms=1500)))
    assert finals(events)[0].reason == "max_length"
    assert all(final.end_s - final.start_s < 2.2 for final in finals(events))


@pytest.mark.parametrize("pause_s", [0.9, 1.2, 2.0, 6.0])
@pytest.mark.parametrize("decoder", ["greedy", "reference"])
def test_without_endpointing_a_pause_parts_words(tiny, pause_s, decoder):
    """Also those between which the model, which begins afresh in the pause, writes no space."""
    data = pcm(np.concatenate([spoken("stop", gap_s=0.1), quiet(pause_s), spoken("stop", gap_s=0.1)]))
    (final,) = finals(play(tiny, [data], replace(WITHOUT_ENDPOINTS, decoder=decoder)))
    assert final.text == "stop stop"
    first, second = final.words
    assert second.start_s - first.end_s > pause_s - 0.2


def test_without_endpointing_no_utterance_is_too_long(tiny):
    """What the server's longest utterance cuts, a client without endpointing gets whole."""
    words = ["yes", "no", "stop", "light"] * 6
    endpointing = Endpointing(enabled=False, max_utterance_ms=1000)
    (final,) = finals(play(tiny, [pcm(spoken(*words, gap_s=0.15))], replace(GREEDY, endpointing=endpointing)))
    assert final.text == " ".join(words)


def test_without_endpointing_a_long_pause_ends_nothing_and_loses_nothing(tiny):
    data = pcm(np.concatenate([spoken("yes"), quiet(12.0), spoken("no"), quiet(5.0)]))
    events = play(tiny, cut(data, range(3200, len(data), 3200)), WITHOUT_ENDPOINTS)
    assert [(final.text, final.reason) for final in finals(events)] == [("yes no", "finish")]
    assert sum(isinstance(event, SpeechStarted) for event in events) == 2
    assert sum(isinstance(event, SpeechStopped) for event in events) == 2


# ---------------------------------------------------------------------------------------------------- faults and memory


def test_a_call_of_the_model_that_fails_leaves_every_stream_where_it_was(tiny_bundle, monkeypatch):
    recognizer = Recognizer.load(tiny_bundle)
    streams = [recognizer.open(GREEDY) for _ in range(3)]
    for stream in streams:
        recognizer.accept(stream, pcm(spoken("stop")))
        recognizer.finish(stream)
    step = recognizer.model.step

    def failing(features, states):
        raise MemoryError

    monkeypatch.setattr(recognizer.model, "step", failing)
    with pytest.raises(MemoryError):
        recognizer.advance(streams)
    monkeypatch.setattr(recognizer.model, "step", step)
    for stream in streams:
        work(recognizer, stream)
        assert texts(recognizer.take(stream)) == ["stop"]


def test_a_stream_that_fails_in_a_step_fails_for_good_and_alone(tiny, monkeypatch):
    streams = [tiny.open(GREEDY) for _ in range(3)]
    for stream in streams:
        tiny.accept(stream, pcm(spoken("stop")))
        tiny.finish(stream)

    def failing(rows):
        raise ZeroDivisionError

    monkeypatch.setattr(streams[1]._decoding, "hold", failing)
    with pytest.raises(ZeroDivisionError):
        tiny.advance(streams)
    with pytest.raises(Internal, match="cannot go on"):
        tiny.advance([streams[1]])
    for stream in (streams[0], streams[2]):
        work(tiny, stream)
        assert texts(tiny.take(stream)) == ["stop"]


@pytest.mark.parametrize(
    "options",
    [Open("test", partials=False), replace(WITHOUT_ENDPOINTS, partials=False)],
    ids=["reference", "no endpoints"],
)
def test_a_stream_of_silence_does_not_grow(tiny, options):
    stream = tiny.open(options)
    minute = [pcm(quiet(1.0))] * 60

    def hear(pieces):
        for piece in pieces:
            tiny.accept(stream, piece)
            work(tiny, stream)
            tiny.take(stream)

    hear([pcm(spoken("stop")), *minute])
    tracemalloc.start()
    try:
        hear(minute)
        grown, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert grown < 300_000  # of which most is what the stream held before and holds again


def test_offline_audio_is_worked_through_as_it_is_fed(tiny):
    """Ten minutes are held as samples once, and never as features: those would be five times as much."""
    samples = np.tile(np.concatenate([spoken("yes"), quiet(3.0)]), 160)[: 600 * 16_000]
    tracemalloc.start()
    try:
        transcript = tiny.transcribe(samples, GREEDY)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 3_000_000
    assert set(transcript.text.split()) == {"yes"}
    assert transcript.audio_s == 600


def test_transcribing_is_a_stream_in_a_loop(tiny):
    samples = spoken("light", "stop")
    transcript = tiny.transcribe(samples, GREEDY)
    data = samples.astype("<f4").tobytes()
    assert list(transcript.finals) == finals(play(tiny, [data], replace(GREEDY, audio=AudioSpec("f32le"))))
    assert (transcript.text, transcript.model, transcript.language) == ("light stop", "tiny", "en")


# ----------------------------------------------------------------------------------------------------------------- load


def test_the_bundles_decoder_is_the_default_and_can_be_overruled(tiny_bundle, tiny):
    assert tiny.default_decoder == "native"
    assert Recognizer.load(tiny_bundle, decoder="reference").default_decoder == "reference"
    assert Recognizer.load(tiny_bundle, decoder="greedy").default_decoder == "greedy"
    assert Recognizer.load(tiny_bundle, settings=RecognizerSettings(decoder="greedy")).default_decoder == "greedy"
    with pytest.raises(BadOption) as refused:
        Recognizer.load(tiny_bundle, settings=RecognizerSettings(decoder="best"))
    assert refused.value.field == "decoder"


def test_a_language_model_of_ones_own_replaces_the_bundles(tiny_bundle, tmp_path):
    """Between "no" and a word that only the new model knows, the new model decides."""
    arpa = "\\data\\\nngram 1=4\nngram 2=1\n\n\\1-grams:\n-9\t<s>\t0\n-1\t</s>\t0\n-9\t<unk>\t0\n-0.1\tnope\t0\n\n"
    (tmp_path / "own.arpa").write_text(arpa + "\\2-grams:\n-0.1\t<s> nope\n\n\\end\\\n", encoding="utf-8")
    recognizer = Recognizer.load(tiny_bundle, lm=tmp_path / "own.arpa")
    assert recognizer.default_decoder == "native"
    lm = recognizer.decoders["native"].lm  # type: ignore[attr-defined]
    assert (lm.knows("nope"), lm.knows("no")) == (True, False)


# --------------------------------------------------------------------------------------------------- the shipped bundle


@pytest.fixture(scope="module")
def shipped_model(shipped_bundle):
    return Recognizer.load(shipped_bundle)


@pytest.mark.parametrize("word", ["stop", "yes"])
def test_the_shipped_model_ends_a_short_command_promptly(shipped_model, word):
    from tests.voices import say, trimmed

    sound = 0.6 * trimmed(say(word, "en-us", 180))
    assert 0.2 < len(sound) / 16_000 < 0.5
    data = pcm(np.concatenate([quiet(0.5), sound, quiet(3.0)]))
    stream = shipped_model.open(Open("test"))
    for piece in cut(data, range(640, len(data), 640)):
        shipped_model.accept(stream, piece)
        work(shipped_model, stream)
        if finals(stream.events):
            break
    assert stream.audio_s - (0.5 + len(sound) / 16_000) < 1.4
    assert finals(stream.events)[0].reason == "silence"


def test_the_shipped_model_is_not_kept_listening_by_a_fan(shipped_model):
    events = play(shipped_model, cut(pcm(fan_noise(20.0, -20)), range(3200, 640_000, 3200)), Open("test"))
    listening = [event.at_s for event in events if isinstance(event, SpeechStarted | SpeechStopped)]
    assert sum(listening[1::2]) - sum(listening[::2]) < 5.0
    assert all(final.reason in ("noise", "silence", "blank", "finish") for final in finals(events))
    assert len(" ".join(texts(events)).split()) <= 3  # a word or two of low confidence are known to happen


def test_the_shipped_model_hears_nothing_in_silence(shipped_model):
    assert texts(play(shipped_model, [pcm(silence(10.0))])) == [""]
