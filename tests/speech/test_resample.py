import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stt_server.errors import BadOption
from stt_server.speech.resample import Resampler, resample, resampler

COMMON_RATES = [8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000]
ODD_RATES = [4000, 15999, 37813, 96000, 192000]
EDGE = 400  # output samples beside the ends, where the silence outside is heard


def sine(frequency: float, rate: int, seconds: float = 0.5) -> np.ndarray:
    return np.sin(2 * np.pi * frequency * np.arange(int(rate * seconds)) / rate).astype(np.float32)


def rms_db(x: np.ndarray) -> float:
    return float(10 * np.log10(np.mean(x.astype(np.float64) ** 2) + 1e-20))


def in_chunks(convert: Resampler, x: np.ndarray, sizes: list[int]) -> np.ndarray:
    state, pieces, at = convert.initial(), [], 0
    for size in [*sizes, len(x)]:
        y, state = convert(x[at : at + size], state)
        pieces.append(y)
        at += size
    if not convert.is_identity:
        pieces.append(convert.flush(state))
    return np.concatenate(pieces)


@pytest.mark.parametrize("rate", COMMON_RATES + ODD_RATES)
@pytest.mark.parametrize("part_of_nyquist", [0.01, 0.3, 0.7, 0.9])
def test_a_sine_below_nine_tenths_of_nyquist_keeps_its_level_and_its_time(rate, part_of_nyquist):
    frequency = part_of_nyquist * min(rate, 16_000) / 2
    heard = resample(sine(frequency, rate), rate)
    wanted = sine(frequency, 16_000)
    error = (heard - wanted)[EDGE:-EDGE]
    assert rms_db(error) - rms_db(wanted) < -60


@pytest.mark.parametrize("rate", [22050, 24000, 32000, 44100, 48000, 37813, 96000])
@pytest.mark.parametrize("frequency", [8400, 9000, 10_500])
def test_a_sine_above_the_new_nyquist_is_silenced(rate, frequency):
    heard = resample(sine(frequency, rate), rate)[EDGE:-EDGE]
    assert rms_db(heard) - rms_db(sine(frequency, rate)) < -60


@pytest.mark.parametrize("rate", [8000, 11025])
def test_upsampling_makes_no_mirror_image(rate):
    heard = resample(sine(0.8 * rate / 2, rate), rate)[EDGE:-EDGE]
    spectrum = np.abs(np.fft.rfft(heard * np.hanning(len(heard)))) ** 2
    above_old_nyquist = int(len(spectrum) * 1.05 * rate / 16_000)
    assert 10 * np.log10(spectrum[above_old_nyquist:].max() / spectrum.max()) < -60


@pytest.mark.parametrize("rate", COMMON_RATES + ODD_RATES)
def test_a_click_stays_at_its_time(rate):
    x = np.zeros(rate, np.float32)
    x[rate // 2] = 1.0
    assert abs(int(np.argmax(resample(x, rate))) - 8000) <= 1


@pytest.mark.parametrize("rate", COMMON_RATES + ODD_RATES)
@pytest.mark.parametrize("samples", [0, 1, 2, 999, 4410])
def test_length_is_that_of_the_signal_rounded_up(rate, samples):
    assert len(resample(np.ones(samples, np.float32), rate)) == -(-samples * 16_000 // rate)


@pytest.mark.parametrize("rate", COMMON_RATES)
def test_constant_input_gives_the_same_constant(rate):
    heard = resample(np.full(rate, 0.25, np.float32), rate)[EDGE:-EDGE]
    np.testing.assert_allclose(heard, 0.25, atol=1e-6)


@settings(max_examples=150, deadline=None)
@given(
    rate=st.sampled_from(COMMON_RATES + ODD_RATES),
    samples=st.integers(0, 3000),
    sizes=st.lists(st.integers(0, 700), max_size=12),
)
def test_cutting_the_audio_anywhere_changes_no_sample(rate, samples, sizes):
    x = np.random.default_rng(samples).standard_normal(samples).astype(np.float32)
    np.testing.assert_array_equal(in_chunks(resampler(rate), x, sizes), resample(x, rate))


@pytest.mark.parametrize("rate", [8000, 44100, 48000])
def test_sample_by_sample_equals_the_whole(rate):
    x = np.random.default_rng(1).standard_normal(700).astype(np.float32)
    np.testing.assert_array_equal(in_chunks(resampler(rate), x, [1] * 700), resample(x, rate))


def test_a_state_is_a_value_that_can_be_used_twice():
    convert = resampler(44_100)
    _, state = convert(np.ones(1000, np.float32), convert.initial())
    x = np.random.default_rng(2).standard_normal(500).astype(np.float32)
    first, _ = convert(x, state)
    second, _ = convert(x, state)
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("rate", COMMON_RATES)
def test_no_sample_waits_longer_than_the_latency_it_states(rate):
    convert = resampler(rate)
    y, _ = convert(np.zeros(rate, np.float32), convert.initial())
    assert 1.0 - len(y) / 16_000 <= convert.latency_s + 1 / 16_000
    assert convert.latency_s <= 0.005


def test_equal_rates_pass_the_very_same_array():
    convert = resampler(16_000)
    x = np.ones(10, np.float32)
    y, _ = convert(x, convert.initial())
    assert y is x
    assert len(convert.flush(convert.initial())) == 0


def test_state_stays_small_however_long_the_stream():
    convert = resampler(48_000)
    state = convert.initial()
    for _ in range(50):
        _, state = convert(np.zeros(4800, np.float32), state)
    assert len(state.tail) < 250
    assert state.position < 3


@pytest.mark.parametrize("rate", [0, 3999, 192_001])
def test_impossible_rates_are_refused(rate):
    with pytest.raises(BadOption, match="4000 to 192000"):
        resampler(rate)


@pytest.mark.parametrize("rate", [8000, 44_100, 48_000])
def test_agrees_with_soxr(rate):
    soxr = pytest.importorskip("soxr")
    rng = np.random.default_rng(3)
    low = resample(rng.standard_normal(4000).astype(np.float32) * 0.1, 6000, rate)  # band-limited to 3 kHz
    theirs = soxr.resample(low, rate, 16_000, "HQ")
    ours = resample(low, rate)[: len(theirs)]
    error = (ours - theirs[: len(ours)])[EDGE:-EDGE]
    assert rms_db(error) - rms_db(ours[EDGE:-EDGE]) < -60
