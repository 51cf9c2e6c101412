"""Each change does what its name and numbers say."""

import numpy as np
import pytest

from tests.training.material import UNCHANGED
from tests.voices import say, white_noise
from training.augment import add_noise, augment, change_speed, cut, mask, reverberate, rms, telephone
from training.recipe import Augmentation


def tone(hertz: float, seconds: float = 1.0) -> np.ndarray:
    return (0.3 * np.sin(2 * np.pi * hertz * np.arange(int(16000 * seconds)) / 16000)).astype(np.float32)


def loudest_hertz(samples: np.ndarray) -> float:
    return float(np.abs(np.fft.rfft(samples)).argmax() * 16000 / len(samples))


@pytest.mark.parametrize("factor", [0.85, 1.0, 1.18, 2.0])
def test_speed_shortens_and_raises_by_its_factor(factor: float) -> None:
    faster = change_speed(tone(400), factor)
    assert len(faster) == pytest.approx(16000 / factor, abs=1)
    assert loudest_hertz(faster) == pytest.approx(400 * factor, rel=0.01)


@pytest.mark.parametrize("snr_db", [0.0, 10.0, 20.0])
def test_noise_is_added_at_its_ratio(snr_db: float) -> None:
    voice = say("turn it on")
    added = add_noise(voice, white_noise(0.3, -40), snr_db) - voice
    assert 20 * np.log10(rms(voice) / rms(added)) == pytest.approx(snr_db, abs=0.2)


def test_a_room_keeps_loudness_and_place() -> None:
    voice, response = say("turn it on"), np.zeros(4000, np.float32)
    response[700] = -0.2  # a direct sound that arrives late, and nothing else
    assert reverberate(voice, response) == pytest.approx(-voice, abs=5e-3)
    response[1500:] = white_noise(2500 / 16000, -40)
    wet = reverberate(voice, response)
    assert len(wet) == len(voice)
    assert rms(wet) == pytest.approx(rms(voice), rel=0.02)


def test_a_telephone_leaves_the_middle_of_the_spectrum() -> None:
    assert rms(telephone(tone(1000))) == pytest.approx(rms(tone(1000)), rel=0.05)
    assert rms(telephone(tone(6000))) < 0.05 * rms(tone(6000))
    assert rms(telephone(tone(60))) < 0.05 * rms(tone(60))


def test_a_recipe_that_asks_for_nothing_changes_nothing() -> None:
    voice = say("turn it on")
    dice = np.random.default_rng(0)
    assert np.array_equal(augment(voice, UNCHANGED, [], [], dice, lead=False), voice)


def test_the_same_dice_make_the_same_audio_and_other_dice_other_audio() -> None:
    voice, noises, rooms = say("turn it on"), [white_noise(1, -20)], [tone(100, 0.1)]

    def drawn(seed: int) -> np.ndarray:
        return augment(voice, Augmentation(), noises, rooms, np.random.default_rng(seed), lead=True)

    assert np.array_equal(drawn(1), drawn(1))
    assert not np.array_equal(drawn(1), drawn(2))


def test_what_comes_out_stays_within_full_scale() -> None:
    loud = Augmentation(noise=1, snr_db=(-20, -20), gain_db=(20, 20))
    samples = augment(say("stop"), loud, [white_noise(1, -3)], [], np.random.default_rng(0), lead=False)
    assert np.abs(samples).max() == 1
    assert samples.dtype == np.float32


def test_a_lead_puts_silence_around_the_clip() -> None:
    voice = say("stop")
    lead = UNCHANGED.model_copy(update={"lead_s": (0.5, 0.5)})
    samples = augment(voice, lead, [], [], np.random.default_rng(0), lead=True)
    assert np.array_equal(samples[8000:-8000], voice)
    assert not samples[:8000].any()
    assert not samples[-8000:].any()


@pytest.mark.parametrize("length", [10, 100, 1000])
def test_a_cut_has_the_length_asked_for_even_of_a_shorter_noise(length: int) -> None:
    noise = np.arange(100, dtype=np.float32)
    piece = cut([noise], length, np.random.default_rng(0))
    assert len(piece) == length
    assert set(piece) <= set(noise)


def test_masks_blank_no_more_than_their_widths() -> None:
    recipe = Augmentation(band_masks=2, band_width=12, time_masks=2, time_width=20)
    fill = np.arange(80, dtype=np.float32)
    for seed in range(50):
        frames = np.full((400, 80), -1, np.float32)
        mask(frames, recipe, fill, np.random.default_rng(seed))
        blank = frames >= 0
        assert np.array_equal(frames[blank], np.broadcast_to(fill, frames.shape)[blank])
        assert blank.all(axis=0).sum() <= 24
        assert blank.all(axis=1).sum() <= 40


def test_masks_leave_a_clip_of_a_few_frames_alone_in_time() -> None:
    frames = np.full((4, 80), -1, np.float32)
    mask(frames, Augmentation(band_masks=0), np.zeros(80, np.float32), np.random.default_rng(0))
    assert (frames == -1).all()
