import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stt_server.errors import BadOption
from stt_server.speech.vad import FRAME, SAMPLE_RATE, Vad, VadConfig, gate, initial_history, levels
from tests.voices import at_level, fan_noise, pink_noise, say, silence, trimmed, white_noise

NOISES = {"white": white_noise, "pink": pink_noise, "fan": fan_noise}
SENTENCES = [
    ("turn on the kitchen lights and set the temperature to twenty one degrees", "en-us"),
    ("what is the weather in london tomorrow morning", "en-gb+f3"),
    ("remind me to call my mother at half past seven", "en-us+m3"),
    ("stop", "en-us"),
    ("yes", "en-us+f5"),
]
GAP_S = 2.0


def flags_of(samples: np.ndarray, config: VadConfig | None = None) -> np.ndarray:
    return Vad(config).process(samples)


def spoken_with_gaps() -> tuple[np.ndarray, np.ndarray]:
    """Sentences with silence between them, and which frames lie inside one."""
    parts, inside = [], []
    for text, voice in SENTENCES:
        speech = at_level(trimmed(say(text, voice)), -26)
        parts += [speech, silence(GAP_S)]
        inside += [np.ones(len(speech), bool), np.zeros(int(GAP_S * SAMPLE_RATE), bool)]
    whole = len(np.concatenate(parts)) // FRAME * FRAME
    return np.concatenate(parts)[:whole], np.concatenate(inside)[:whole].reshape(-1, FRAME).mean(axis=1) > 0.5


SPEECH, INSIDE = spoken_with_gaps()
LOUD = INSIDE & (levels(SPEECH.reshape(-1, FRAME)) > -45)


def utterances(inside: np.ndarray) -> list[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(np.concatenate([[0], inside.astype(int), [0]])))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def test_silence_is_never_speech():
    assert not flags_of(silence(5)).any()


def test_clean_speech_is_heard_from_its_first_frame_to_its_last():
    flags = flags_of(SPEECH)
    assert flags[LOUD].mean() > 0.98
    for begin, end in utterances(INSIDE):
        assert flags[begin : begin + 3].any()
        last = begin + np.flatnonzero(flags[begin : end + 50])[-1]
        assert end - 5 <= last <= end + 2  # the gate cuts off webrtcvad's 100 ms of hangover


def test_speech_that_begins_with_the_first_sample_is_heard():
    speech = trimmed(say("yes"))
    assert flags_of(speech)[:4].all()


def test_gaps_between_sentences_are_not_speech():
    flags = flags_of(SPEECH)
    gaps = ~INSIDE
    for _, end in utterances(INSIDE):
        gaps[end : end + 5] = False
    assert flags[gaps].mean() < 0.01


@pytest.mark.parametrize("noise", NOISES)
def test_speech_in_ten_decibels_of_noise_is_heard_without_long_holes(noise):
    flags = flags_of(SPEECH + NOISES[noise](len(SPEECH) / SAMPLE_RATE, -36)[: len(SPEECH)])
    assert flags[LOUD].mean() > 0.5
    for begin, end in utterances(INSIDE):
        heard = np.flatnonzero(flags[begin : end + 25])
        assert heard[0] <= 8
        assert np.diff(heard).max(initial=0) <= 25  # half a second: shorter than the silence that ends an utterance
    assert flags[100:][~INSIDE[100:]].mean() < 0.02


@pytest.mark.parametrize("level_db", [-10, -20, -30])
@pytest.mark.parametrize("noise", NOISES)
def test_loud_steady_noise_is_no_speech_after_two_seconds(noise, level_db):
    flags = flags_of(NOISES[noise](20, level_db))
    assert not flags[100:].any()


@pytest.mark.parametrize("noise", NOISES)
def test_webrtcvad_alone_calls_loud_noise_speech_which_is_why_there_is_a_gate(noise):
    assert flags_of(NOISES[noise](20, -20), VadConfig(gate_db=-200.0)).mean() > 0.9


@pytest.mark.parametrize("noise", NOISES)
def test_noise_that_starts_in_a_quiet_room_is_no_speech_after_two_seconds(noise):
    quiet = white_noise(3, -75)
    flags = flags_of(np.concatenate([quiet, NOISES[noise](10, -20)]))
    assert not flags[: 3 * 50].any()
    assert not flags[5 * 50 :].any()


def test_speech_is_heard_again_after_twenty_seconds_of_fan():
    speech = at_level(trimmed(say("turn the fan off please")), -20)
    noise = fan_noise(20 + len(speech) / SAMPLE_RATE, -35)
    signal = noise.copy()
    signal[-len(speech) :] += speech
    assert flags_of(signal)[20 * 50 :].mean() > 0.4


def test_a_long_sentence_does_not_become_its_own_floor():
    speech = at_level(np.concatenate([trimmed(say(text, voice)) for text, voice in SENTENCES[:3]]), -26)
    loud = levels(speech[: len(speech) // FRAME * FRAME].reshape(-1, FRAME)) > -40
    flags = flags_of(speech)
    assert len(speech) > 6 * SAMPLE_RATE
    assert flags[loud].mean() > 0.95


def test_clicks_are_short_and_rare():
    clicks = silence(10)
    clicks[:: SAMPLE_RATE // 3] = 0.8
    flags = flags_of(clicks)
    assert flags.mean() < 0.1
    runs = [end - begin for begin, end in utterances(flags)]
    assert max(runs, default=0) <= 3  # shorter than the shortest speech that starts an utterance


@settings(max_examples=60, deadline=None)
@given(sizes=st.lists(st.integers(0, 5000), max_size=30), begin=st.integers(0, 40_000))
def test_cutting_the_audio_anywhere_changes_no_flag(sizes, begin):
    signal = SPEECH[begin : begin + 30_000] + fan_noise(2, -45)[:30_000]
    vad, pieces, at = Vad(), [], 0
    for size in [*sizes, len(signal)]:
        pieces.append(vad.process(signal[at : at + size]))
        at += size
    np.testing.assert_array_equal(np.concatenate(pieces), flags_of(signal))


@given(cut=st.integers(0, 300), seed=st.integers(0, 5))
def test_the_gate_can_stop_and_go_on_at_any_frame(cut, seed):
    config = VadConfig()
    levels_db = np.random.default_rng(seed).uniform(-80, -20, 300).astype(np.float32)
    whole, last = gate(config, levels_db, initial_history(config))
    first, state = gate(config, levels_db[:cut], initial_history(config))
    second, end = gate(config, levels_db[cut:], state)
    np.testing.assert_array_equal(np.concatenate([first, second]), whole)
    np.testing.assert_array_equal(end, last)


def test_the_floor_is_the_lowest_mean_of_the_window():
    config = VadConfig(floor_window_ms=200, smooth_ms=40, least_floor_db=-200.0)
    levels_db = np.random.default_rng(0).uniform(-80, -20, 80).astype(np.float32)
    flags, _ = gate(config, levels_db, initial_history(config))
    padded = np.concatenate([initial_history(config), levels_db])
    for i, flag in enumerate(flags):
        window = padded[i : i + config.history + 1]
        floor = min((window[j] + window[j + 1]) / 2 for j in range(len(window) - 1))
        assert flag == (levels_db[i] >= floor + config.gate_db)


def test_levels_are_decibels_of_a_full_scale_sine_in_the_telephone_band():
    time = np.arange(FRAME) / SAMPLE_RATE
    frames = np.stack([np.sin(2 * np.pi * hz * time) for hz in (1000, 100, 6000)]).astype(np.float32)
    in_band, hum, hiss = levels(frames)
    assert in_band == pytest.approx(0.0, abs=0.05)
    assert hum < -30
    assert hiss < -60


def test_reset_forgets_the_stream():
    vad = Vad()
    first = vad.process(SPEECH[:10_000])
    vad.process(fan_noise(3, -10))
    vad.reset()
    np.testing.assert_array_equal(vad.process(SPEECH[:10_000]), first)


def test_impossible_aggressiveness_is_refused():
    with pytest.raises(BadOption, match="0, 1, 2 or 3"):
        VadConfig(aggressiveness=4)
