"""Each change does what its name and numbers say."""

import numpy as np
import pytest

from stt_server.errors import Unsupported
from tests.voices import at_level, say, white_noise
from training.augmentation import lines
from training.augmentation.level import amplify, overdrive, rms
from training.augmentation.lines import mu_law, narrow_band, opus, telephone
from training.augmentation.noise import add_noise, coloured, cut
from training.augmentation.rooms import move_away, reverberate, simulate_room
from training.augmentation.speaker import change_speaker
from training.augmentation.spectrum import analyse, fast_size, filtered, synthesise
from training.augmentation.timing import change_pitch, change_speed, change_tempo

SENTENCE = "turn on the light in the kitchen"


def tone(hertz: float, seconds: float = 1.0) -> np.ndarray:
    return (0.3 * np.sin(2 * np.pi * hertz * np.arange(int(16000 * seconds)) / 16000)).astype(np.float32)


def loudest_hertz(samples: np.ndarray) -> float:
    return float(np.abs(np.fft.rfft(samples)).argmax() * 16000 / len(samples))


def power_between(samples: np.ndarray, low: float, high: float) -> float:
    hertz = np.fft.rfftfreq(len(samples), 1 / 16000)
    return float(np.square(np.abs(np.fft.rfft(samples)))[(hertz >= low) & (hertz < high)].sum())


def purity(samples: np.ndarray, hertz: float) -> float:
    """The share of a sound's power that lies within 30 Hz of a frequency."""
    return power_between(samples * np.hanning(len(samples)), hertz - 30, hertz + 30) / power_between(
        samples * np.hanning(len(samples)), 0, 8001
    )


def vowel(pitch: float = 110, formants: tuple[float, ...] = (700, 1800, 3000)) -> np.ndarray:
    """Pulses through resonances: a voice whose pitch and formants are known."""
    hertz = np.arange(1, int(7500 / pitch)) * pitch
    gain = np.sum([1 / (1 + ((hertz - formant) / 80) ** 2) for formant in formants], axis=0)
    time = np.arange(16000) / 16000
    return at_level((gain[:, None] * np.cos(2 * np.pi * hertz[:, None] * time)).sum(0), -20)


def formant_of(samples: np.ndarray, near: float) -> float:
    """The centre of the power around a frequency."""
    hertz = np.fft.rfftfreq(len(samples), 1 / 16000)
    power = np.square(np.abs(np.fft.rfft(samples))) * ((hertz > 0.7 * near) & (hertz < 1.35 * near))
    return float((hertz * power).sum() / power.sum())


def pitch_of(samples: np.ndarray) -> float:
    """By the highest peak of the autocorrelation between 60 and 300 Hz."""
    spectrum = np.square(np.abs(np.fft.rfft(samples, 1 << 16)))
    likeness = np.fft.irfft(spectrum)
    lag = 53 + int(likeness[53:267].argmax())
    return 16000 / lag


@pytest.mark.parametrize("factor", [0.85, 1.0, 1.18, 2.0])
def test_speed_shortens_and_raises_by_its_factor(factor: float) -> None:
    faster = change_speed(tone(400), factor)
    assert len(faster) == pytest.approx(16000 / factor, abs=1)
    assert loudest_hertz(faster) == pytest.approx(400 * factor, rel=0.01)


@pytest.mark.parametrize("factor", [0.5, 0.85, 1.0, 1.2, 2.0])
def test_tempo_shortens_and_keeps_the_pitch_and_the_purity_of_a_tone(factor: float) -> None:
    faster = change_tempo(tone(220), factor)
    assert len(faster) == round(16000 / factor)
    assert loudest_hertz(faster) == pytest.approx(220, abs=2)
    assert purity(faster, 220) > 0.98
    assert rms(faster) == pytest.approx(rms(tone(220)), rel=0.05)


@pytest.mark.parametrize("factor", [0.8, 1.25])
def test_tempo_moves_what_is_said_to_its_new_time(factor: float) -> None:
    clicks = np.zeros(32000, np.float32)
    for second in (0.3, 0.9, 1.5):
        clicks[int(16000 * second) :][:1600] = white_noise(0.1, -10)
    faster = np.abs(change_tempo(clicks, factor)) > 0.02
    for second in (0.3, 0.9, 1.5):
        begins = int(16000 * second / factor)
        assert faster[begins + 400 : begins + 1000].any()
        assert not faster[begins - 3000 : begins - 800].any()


@pytest.mark.parametrize("semitones", [-5.0, 0.0, 4.0])
def test_pitch_moves_by_semitones_and_length_stays(semitones: float) -> None:
    higher = change_pitch(tone(220), semitones)
    assert len(higher) == 16000
    assert loudest_hertz(higher) == pytest.approx(220 * 2 ** (semitones / 12), rel=0.02)


@pytest.mark.parametrize("factor", [0.85, 1.2])
def test_another_speaker_has_other_formants_and_the_same_pitch(factor: float) -> None:
    voice = vowel()
    other = change_speaker(voice, factor)
    assert len(other) == len(voice)
    assert pitch_of(other) == pytest.approx(pitch_of(voice), rel=0.02)
    assert rms(other) == pytest.approx(rms(voice), rel=0.02)
    moved = [formant_of(other, hertz * factor) / formant_of(voice, hertz) for hertz in (1800, 3000)]
    assert moved == pytest.approx([factor, factor], rel=0.04)
    lowest = formant_of(other, 700 * factor) / formant_of(voice, 700)
    assert abs(lowest - 1) > 0.4 * abs(factor - 1)  # two ripples wide, so it moves by half


def test_the_same_speaker_is_left_as_he_is() -> None:
    voice = say(SENTENCE)
    assert change_speaker(voice, 1.0) == pytest.approx(voice, abs=1e-3)


@pytest.mark.parametrize("length", [0, 1, 255, 256, 257, 16001])
def test_spectra_lead_back_to_the_clip(length: int) -> None:
    samples = white_noise(2, -20)[:length]
    assert synthesise(analyse(samples), length) == pytest.approx(samples, abs=1e-6)


@pytest.mark.parametrize("snr_db", [0.0, 10.0, 20.0])
def test_noise_is_added_at_its_ratio(snr_db: float) -> None:
    voice = say("turn it on")
    added = add_noise(voice, white_noise(0.3, -40), snr_db) - voice
    assert 20 * np.log10(rms(voice) / rms(added)) == pytest.approx(snr_db, abs=0.2)


@pytest.mark.parametrize("slope", [0.0, 1.0, 2.0])
def test_made_noise_falls_by_its_slope(slope: float) -> None:
    noise = coloured(64000, slope, np.random.default_rng(0))
    # An octave is twice as broad as the one below: power an octave falls by slope - 1.
    fall = power_between(noise, 500, 1000) / power_between(noise, 1000, 2000)
    assert np.log2(fall) == pytest.approx(slope - 1, abs=0.15)


@pytest.mark.parametrize("length", [0, 10, 100, 1000])
def test_a_cut_has_the_length_asked_for_even_of_a_shorter_noise(length: int) -> None:
    noise = np.arange(100, dtype=np.float32)
    piece = cut([noise], length, np.random.default_rng(0))
    assert len(piece) == length
    assert set(piece) <= set(noise)


def test_a_room_keeps_loudness_and_place() -> None:
    voice, response = say("turn it on"), np.zeros(4000, np.float32)
    response[700] = -0.2  # a direct sound that arrives late, and nothing else
    assert reverberate(voice, response) == pytest.approx(-voice, abs=5e-3)
    response[1500:] = white_noise(2500 / 16000, -40)
    wet = reverberate(voice, response)
    assert len(wet) == len(voice)
    assert rms(wet) == pytest.approx(rms(voice), rel=0.02)


@pytest.mark.parametrize("decay_s", [0.2, 0.4, 0.7])
def test_a_simulated_room_decays_in_its_time(decay_s: float) -> None:
    """By Schroeder's backward integral from 5 to 25 dB below the whole, over many rooms."""
    times = []
    for seed in range(20):
        response = simulate_room(decay_s, np.random.default_rng(seed))
        left_db = 10 * np.log10(np.cumsum(np.square(response[::-1].astype(float)))[::-1] / np.square(response).sum())
        begins, ends = int((left_db < -15).argmax()), int((left_db < -25).argmax())
        times.append(6 * (ends - begins) / 16000)
    assert np.median(times) == pytest.approx(decay_s, rel=0.35)


def test_simulated_rooms_differ_and_repeat() -> None:
    one, again, other = (simulate_room(0.4, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)


def test_a_distance_takes_the_high_frequencies() -> None:
    near = white_noise(1, -20)
    away = move_away(near, 1000)
    assert rms(away) == pytest.approx(rms(near), rel=0.02)
    fall = power_between(away, 3900, 4100) / power_between(away, 900, 1100)
    before = power_between(near, 3900, 4100) / power_between(near, 900, 1100)
    assert 10 * np.log10(fall / before) == pytest.approx(-9.3, abs=0.5)  # 3 dB less at 1 kHz, 12.3 at 4 kHz


def test_a_telephone_leaves_the_middle_of_the_spectrum() -> None:
    assert rms(telephone(tone(1000))) == pytest.approx(rms(tone(1000)), rel=0.05)
    assert rms(telephone(tone(6000))) < 0.05 * rms(tone(6000))
    assert rms(telephone(tone(60))) < 0.05 * rms(tone(60))


def test_a_narrow_band_keeps_low_frequencies() -> None:
    assert rms(narrow_band(tone(6000))) < 0.05 * rms(tone(6000))
    assert rms(narrow_band(tone(60))) == pytest.approx(rms(tone(60)), rel=0.05)


def test_mu_law_has_two_hundred_and_fifty_five_levels_and_an_error_of_a_step() -> None:
    ramp = np.linspace(-1, 1, 10001).astype(np.float32)
    steps = mu_law(ramp)
    assert len(np.unique(steps)) == 255
    assert np.abs(steps - ramp).max() < 0.025
    assert np.abs(steps - ramp)[np.abs(ramp) < 0.01].max() < 5e-4


def test_opus_loses_more_at_a_lower_rate_and_keeps_length_and_time() -> None:
    voice = say(SENTENCE)
    losses = [rms(opus(voice, kbps) - voice) / rms(voice) for kbps in (64, 16, 6)]
    assert losses == sorted(losses)
    assert losses[0] < 0.2 < losses[-1]
    heard = opus(voice, 16)
    assert len(heard) == len(voice)
    likeness = np.correlate(heard[8000:24000], voice[8400:23600], "valid")
    assert abs(int(likeness.argmax()) - 400) <= 2


@pytest.mark.parametrize("version", ["0.12.1", "0.9"])
def test_a_library_that_cannot_choose_a_bit_rate_is_refused_by_a_sentence(monkeypatch, version: str) -> None:
    monkeypatch.setattr("soundfile.__version__", version)
    with pytest.raises(Unsupported, match="Opus cannot be encoded here"):
        lines.check_opus()


def test_opus_is_encoded_here() -> None:
    lines.check_opus()


def test_an_overdriven_microphone_cuts_off_the_peaks() -> None:
    voice = say(SENTENCE)
    cut_off = overdrive(voice, 6)
    assert np.abs(cut_off).max() == pytest.approx(np.abs(voice).max() / 2, rel=0.01)
    quiet = np.abs(voice) < np.abs(voice).max() / 2.1
    assert np.array_equal(cut_off[quiet], voice[quiet])


def test_a_gain_is_in_decibels_and_ends_at_full_scale() -> None:
    assert rms(amplify(tone(400), -6)) == pytest.approx(rms(tone(400)) / 2, rel=0.01)
    assert np.abs(amplify(tone(400), 40)).max() == 1


@pytest.mark.parametrize("least", [1, 7, 8, 9, 1000, 10000, 16000, 65537])
def test_a_fast_size_is_long_enough_and_hardly_longer(least: int) -> None:
    assert least <= fast_size(least) <= max(8, 1.61 * least)


def test_a_filter_that_lets_everything_pass_changes_nothing() -> None:
    voice = say(SENTENCE)
    assert filtered(voice, np.ones_like) == pytest.approx(voice, abs=1e-6)
