from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stt_server.errors import BadOption
from stt_server.speech.endpoint import (
    Endpoint,
    EndpointConfig,
    EndpointState,
    Event,
    SpeechStarted,
    advance,
    begin_stream,
    begin_utterance,
)
from stt_server.speech.vad import Vad
from tests.voices import at_level, fan_noise, say, silence, trimmed, white_noise

VAD_MS, MODEL_MS = 20, 40
CONFIG = EndpointConfig()


def flags(*spans: tuple[int, bool], frame_ms: int) -> list[bool]:
    """Evidence from spans of (milliseconds, flag)."""
    return [flag for length_ms, flag in spans for _ in range(length_ms // frame_ms)]


def vad(*spans: tuple[int, bool]) -> list[bool]:
    return flags(*spans, frame_ms=VAD_MS)


def tokens(*spans: tuple[int, bool]) -> list[bool]:
    """A model that spells in every third frame of a True span, as CTC models do."""
    return [flag and i % 3 == 0 for i, flag in enumerate(flags(*spans, frame_ms=MODEL_MS))]


def events_of(vad_flags: list[bool], token_flags: list[bool], config: EndpointConfig = CONFIG) -> list[Event]:
    return advance(config, EndpointState(), vad_flags, token_flags)[1]


def only_endpoint(events: list[Event]) -> Endpoint:
    endpoints = [event for event in events if isinstance(event, Endpoint)]
    assert len(endpoints) == 1, events
    return endpoints[0]


# The rules, on evidence made by hand.


def test_nothing_heard_is_no_event():
    assert events_of(vad((60_000, False)), tokens((60_000, False))) == []


def test_a_word_starts_where_the_vad_first_heard_it_and_ends_silence_ms_after_it():
    spans = [(1000, False), (320, True), (1980, False)]
    events = events_of(vad((1000, False), (300, True), (2000, False)), tokens(*spans))
    assert events[0] == SpeechStarted(1000)
    assert events[1] == Endpoint(1920, "silence", 1000, 1300, in_silence=True)
    assert len(events) == 2


def test_tokens_that_come_later_than_their_sound_do_not_delay_the_end():
    late = tokens((1200, False), (320, True), (1780, False))
    assert only_endpoint(events_of(vad((1000, False), (300, True), (2000, False)), late)).at_ms == 1920


def test_a_token_alone_starts_speech_that_the_vad_misses_and_its_blanks_end_it():
    events = events_of(vad((4000, False)), tokens((1000, False), (800, True), (2200, False)))
    assert isinstance(events[0], SpeechStarted)
    end = only_endpoint(events)
    assert end.reason == "silence"
    assert 1800 + CONFIG.silence_ms - CONFIG.token_lag_ms - 3 * MODEL_MS <= end.at_ms <= 1800 + CONFIG.silence_ms


def test_quiet_speech_is_not_cut_while_the_model_still_spells():
    events = events_of(vad((400, True), (4000, False)), tokens((3000, True), (1400, False)))
    assert only_endpoint(events).at_ms > 3000


def test_a_pause_shorter_than_silence_ms_does_not_end_the_utterance():
    spans = [(1000, True), (560, False), (1000, True), (2000, False)]
    assert len([e for e in events_of(vad(*spans), tokens(*spans)) if isinstance(e, Endpoint)]) == 1


def test_a_click_starts_nothing():
    assert events_of(vad((1000, False), (60, True), (2000, False)), tokens((3060, False))) == []


def test_flickering_speech_starts_within_the_window():
    flicker = [False] * 20 + [True, False, True, True, False, True, True, False] + [False] * 22
    assert events_of(flicker, [False] * 25)[0] == SpeechStarted(400)


def test_a_cough_without_words_ends_as_noise_soon_after_it():
    end = only_endpoint(events_of(vad((400, True), (3000, False)), tokens((3400, False))))
    assert end.reason == "noise"
    assert end.at_ms == 400 + CONFIG.silence_ms + CONFIG.token_lag_ms
    assert end.speech_end_ms == 400


def test_noise_that_the_vad_hears_for_ever_ends_as_noise_once():
    end = only_endpoint(events_of(vad((60_000, True)), tokens((60_000, False))))
    assert end.reason == "noise"
    assert end.at_ms == CONFIG.noise_timeout_ms


def test_words_in_noise_that_the_vad_hears_for_ever_end_by_the_models_blanks():
    end = only_endpoint(events_of(vad((20_000, True)), tokens((400, False), (1600, True), (18_000, False))))
    assert end.reason == "blank"
    assert end.at_ms <= 2000 + CONFIG.blank_ms
    assert end.speech_end_ms <= 2000


def test_words_after_a_blank_end_start_a_new_utterance_though_the_vad_is_not_believed():
    events = events_of(vad((20_000, True)), tokens((1600, True), (8400, False), (1600, True), (8400, False)))
    assert [type(event) for event in events] == [SpeechStarted, Endpoint] * 2
    assert events[2].at_ms == pytest.approx(10_000, abs=100)


def test_the_vad_is_believed_again_after_it_was_silent():
    spans = [(20_000, True), (1000, False), (500, True), (3000, False)]
    events = events_of(vad(*spans), tokens((24_480, False)))
    assert events[2] == SpeechStarted(21_000)


def test_endless_speech_is_cut_at_the_maximum_and_goes_on_in_the_next_utterance():
    config = EndpointConfig(max_utterance_ms=10_000)
    events = events_of(vad((24_000, True)), tokens((24_000, True)), config)
    assert [event.at_ms for event in events if isinstance(event, Endpoint)] == [10_000, 20_000]
    assert {event.reason for event in events if isinstance(event, Endpoint)} == {"max_length"}
    assert isinstance(events[-1], SpeechStarted)
    assert events[-1].at_ms == 20_000


def test_the_minimum_keeps_a_short_utterance_open():
    config = EndpointConfig(min_utterance_ms=2000)
    spans = [(300, True), (4000, False)]
    assert only_endpoint(events_of(vad(*spans), tokens(*spans), config)).at_ms == 2000


def test_a_shorter_silence_ends_sooner():
    spans = [(320, True), (4000, False)]
    configs = [EndpointConfig(silence_ms=ms) for ms in (200, 900)]
    assert [only_endpoint(events_of(vad(*spans), tokens(*spans), config)).at_ms for config in configs] == [520, 1240]


def test_a_silence_shorter_than_the_models_lag_does_not_end_an_utterance_it_still_spells():
    spelling = [True] * 50 + [False] * 10
    assert only_endpoint(events_of([False] * 120, spelling, EndpointConfig(silence_ms=100))).at_ms >= 2000


def test_nothing_is_decided_before_both_witnesses_have_spoken():
    state, events = advance(CONFIG, EndpointState(), vad((1000, True), (2000, False)))
    assert events == []
    assert state.now_ms == 0
    state, events = advance(CONFIG, state, tokens=tokens((400, True)))
    assert [type(event) for event in events] == [SpeechStarted]
    assert state.now_ms == 400


def test_a_flush_begins_anew_and_keeps_the_clock_and_the_early_evidence():
    state, _ = advance(CONFIG, EndpointState(), vad((2000, True)), tokens((1000, True)))
    state = begin_utterance(state)
    assert not state.is_speaking
    assert state.now_ms == 1000
    _, events = advance(CONFIG, state, tokens=tokens((1000, True)))
    assert events == [SpeechStarted(1000)]


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"silence_ms": 0}, "silence_ms"),
        ({"silence_ms": 600.0}, "silence_ms"),
        ({"max_utterance_ms": 10}, "max_utterance_ms"),
        ({"max_utterance_ms": 2000, "min_utterance_ms": 2000}, "max_utterance_ms"),
        ({"min_speech_ms": 200}, "min_speech_ms"),
        ({"vad_frame_ms": 30}, "vad_frame_ms"),
    ],
)
def test_impossible_options_are_refused_by_name(options, field):
    with pytest.raises(BadOption) as caught:
        EndpointConfig(**options)
    assert caught.value.field == field
    assert field in caught.value.message


# A model that looks ahead: the VAD has heard more than the model has spoken about.

AHEAD = EndpointConfig(vad_ahead_ms=480)


def far_ahead(vad_flags: list[bool], token_flags: list[bool], *, closing: bool = False) -> list[Event]:
    """The model's frames begin with those that are about no time yet."""
    late = [False] * (AHEAD.vad_ahead_ms // MODEL_MS)
    return advance(AHEAD, begin_stream(AHEAD), vad_flags, late + token_flags, closing=closing)[1]


def test_a_silence_is_complete_when_the_vad_has_heard_it_though_the_model_has_not_spoken_about_it():
    word = [(1000, False), (320, True), (2000, False)]
    events = far_ahead(vad((1000, False), (300, True), (2500, False)), tokens(*word))
    assert events[0] == SpeechStarted(1000)
    end = only_endpoint(events)
    assert end.in_silence
    assert end.at_ms + AHEAD.vad_ahead_ms == pytest.approx(1300 + AHEAD.silence_ms, abs=MODEL_MS)


def test_letters_that_are_half_a_second_late_do_not_delay_the_end():
    late = tokens((1480, False), (320, True), (1700, False))
    end = next(e for e in far_ahead(vad((1000, False), (300, True), (2680, False)), late) if isinstance(e, Endpoint))
    assert end.at_ms + AHEAD.vad_ahead_ms <= 1300 + AHEAD.silence_ms + AHEAD.token_lag_ms


def test_a_voice_that_the_vad_does_not_hear_is_not_cut_at_every_letter():
    end = only_endpoint(far_ahead(vad((6000, False)), tokens((1000, False), (2000, True), (2000, False))))
    assert end.at_ms >= 3000 - 3 * MODEL_MS + AHEAD.silence_ms - AHEAD.token_lag_ms


def test_a_cough_is_silent_when_it_ends_and_an_endless_noise_is_not():
    (cough,) = (e for e in far_ahead(vad((400, True), (3000, False)), [False] * 70) if isinstance(e, Endpoint))
    (noise,) = (e for e in far_ahead(vad((9000, True)), [False] * 200) if isinstance(e, Endpoint))
    assert (cough.reason, cough.in_silence) == ("noise", True)
    assert (noise.reason, noise.in_silence) == ("noise", False)


def test_silence_behind_the_end_of_the_audio_ends_nothing():
    heard = vad((400, True), (3000, False)), tokens((400, True), (2400, False))
    assert [type(event) for event in far_ahead(*heard)] == [SpeechStarted, Endpoint]
    assert [type(event) for event in far_ahead(*heard, closing=True)] == [SpeechStarted]


# Properties.

SPANS = st.lists(st.tuples(st.integers(1, 40), st.booleans()), max_size=12)


def evidence(spans: list[tuple[int, bool]]) -> list[bool]:
    return [flag for length, flag in spans for _ in range(length)]


@given(vad_spans=SPANS, token_spans=SPANS, turns=st.lists(st.tuples(st.booleans(), st.integers(0, 30)), max_size=60))
def test_cutting_and_interleaving_the_evidence_changes_no_event(vad_spans, token_spans, turns):
    vad_flags, token_flags = evidence(vad_spans), evidence(token_spans)
    whole_state, whole = advance(CONFIG, EndpointState(), vad_flags, token_flags)
    state, events, heard, spelt = EndpointState(), [], 0, 0
    for is_vad, count in turns:
        if is_vad:
            state, new = advance(CONFIG, state, vad=vad_flags[heard : heard + count])
            heard += count
        else:
            state, new = advance(CONFIG, state, tokens=token_flags[spelt : spelt + count])
            spelt += count
        events += new
    state, new = advance(CONFIG, state, vad_flags[heard:], token_flags[spelt:])
    assert events + new == whole
    assert state == whole_state


@given(vad_spans=SPANS, token_spans=SPANS, silence_ms=st.integers(100, 1500))
def test_starts_and_ends_alternate_in_order_and_no_utterance_outlasts_its_maximum(vad_spans, token_spans, silence_ms):
    config = EndpointConfig(silence_ms=silence_ms, max_utterance_ms=3000)
    events = events_of(evidence(vad_spans), evidence(token_spans), config)
    assert [type(event) for event in events] == ([SpeechStarted, Endpoint] * len(events))[: len(events)]
    for earlier, later in pairwise(events):
        assert earlier.at_ms <= later.at_ms
    for event in events:
        if isinstance(event, Endpoint):
            assert event.started_ms <= event.speech_end_ms <= event.at_ms
            assert event.at_ms - event.started_ms < 3000 + MODEL_MS


@given(vad_spans=SPANS, token_spans=SPANS, vad_after=st.booleans())
def test_nothing_hangs_when_only_silence_or_only_noise_follows(vad_spans, token_spans, vad_after):
    vad_flags, token_flags = evidence(vad_spans), evidence(token_spans)
    steps = max(len(vad_flags) // 2 + 1, len(token_flags)) + 2 * CONFIG.noise_timeout_ms // MODEL_MS
    vad_flags += [vad_after] * (2 * steps - len(vad_flags))
    token_flags += [False] * (steps - len(token_flags))
    state, _ = advance(CONFIG, EndpointState(), vad_flags, token_flags)
    assert state.now_ms == steps * MODEL_MS
    assert not state.is_speaking


# With the real VAD on real sound; the model's evidence is a schedule, late by what a streaming model is.


def heard_events(signal: np.ndarray, spoken_ms: list[tuple[int, int]], lag_ms: int = 120) -> list[Event]:
    token_flags = [False] * (len(signal) // (16 * MODEL_MS))
    for begin_ms, end_ms in spoken_ms:
        for at_ms in range(begin_ms + lag_ms, end_ms + lag_ms, 3 * MODEL_MS):
            token_flags[at_ms // MODEL_MS] = True
    return events_of(Vad().process(signal).tolist(), token_flags)


@pytest.mark.parametrize("word", ["stop", "yes", "no", "go"])
@pytest.mark.parametrize("voice", ["en-us", "en-gb+f3"])
@pytest.mark.parametrize("room_db", [None, -60, -50])
def test_a_single_short_word_ends_silence_ms_after_its_last_sound(word, voice, room_db):
    speech = at_level(trimmed(say(word, voice)), -24)
    length_ms = len(speech) // 16
    assert 150 <= length_ms <= 500
    signal = np.concatenate([silence(1), speech, silence(3)])
    if room_db is not None:
        signal += white_noise(len(signal) / 16_000 + 1, room_db)[: len(signal)]
    events = heard_events(signal, [(1000, 1000 + length_ms)])
    assert events[0].at_ms == pytest.approx(1000, abs=140)
    end = only_endpoint(events)
    assert end.reason == "silence"
    assert 1000 + length_ms + CONFIG.silence_ms - 220 <= end.at_ms <= 1000 + length_ms + CONFIG.silence_ms + 80


@pytest.mark.parametrize("level_db", [-10, -20, -30])
def test_twenty_seconds_of_loud_fan_end_soon_and_only_once(level_db):
    events = heard_events(fan_noise(20, level_db), [])
    end = only_endpoint(events)
    assert end.reason == "noise"
    assert end.at_ms <= 2600


def test_a_command_before_loud_fan_noise_ends_though_the_fan_goes_on():
    speech = at_level(trimmed(say("turn on the fan")), -20)
    length_ms = len(speech) // 16
    signal = np.concatenate([silence(1), speech, fan_noise(20, -15)])
    end = only_endpoint(heard_events(signal, [(1000, 1000 + length_ms)]))
    assert end.reason in ("silence", "blank")
    assert end.at_ms <= 1000 + length_ms + 1500


def test_two_sentences_with_a_pause_are_two_utterances():
    first, second = (at_level(trimmed(say(text)), -24) for text in ("turn on the lights", "what time is it"))
    signal = np.concatenate([first, silence(1.2), second, silence(2)])
    second_at = len(first) // 16 + 1200
    spoken = [(0, len(first) // 16), (second_at, second_at + len(second) // 16)]
    events = heard_events(signal, spoken)
    assert [type(event) for event in events] == [SpeechStarted, Endpoint] * 2
    assert events[2].at_ms == pytest.approx(second_at, abs=100)
