"""What happens to a clip follows from dice, recipe and share of the run, and every sound survives it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.training.material import UNCHANGED
from tests.voices import say, white_noise
from training.augmentation.chain import Surroundings, Varied, draw_changes, vary
from training.augmentation.keys import Augmentation
from training.augmentation.level import rms
from training.section import Moving

AROUND = Surroundings([white_noise(1, -20), white_noise(0.01, -30)], [white_noise(0.1, -20)])
PROBABILITIES = (
    "speaker pitch tempo speed reverb simulated_rooms far noise made_noise clipping telephone narrow mulaw opus"
).split()
ALL = Augmentation(**dict.fromkeys(PROBABILITIES, 1.0), empty=0, noise_layers=3)


def varied(recipe: Augmentation, seed: int = 1, at: float = 0.0, around: Surroundings = AROUND) -> Varied:
    return vary(say("turn it on"), recipe, around, np.random.default_rng(seed), lead=False, at=at)


def only(**keys) -> Augmentation:
    return UNCHANGED.model_copy(update=keys)


def test_a_recipe_that_asks_for_nothing_changes_nothing() -> None:
    assert np.array_equal(varied(UNCHANGED).samples, say("turn it on"))
    assert varied(UNCHANGED).said == ("gain +0 dB",)


def test_the_same_dice_make_the_same_audio_and_other_dice_other_audio() -> None:
    one, again, other = varied(ALL, 1), varied(ALL, 1), varied(ALL, 2)
    assert np.array_equal(one.samples, again.samples)
    assert one.said == again.said != other.said


def test_everything_at_once_is_said_in_the_order_in_which_it_is_done() -> None:
    first_words = [said.split()[0] for said in varied(ALL).said if "noise" not in said]
    assert first_words == "speaker pitch tempo speed room far clipping telephone 8 mu-law opus gain".split()


@pytest.mark.parametrize("name", PROBABILITIES)
def test_a_change_without_probability_does_not_happen_and_with_it_does(name: str) -> None:
    base = {"reverb": 1.0} if name == "simulated_rooms" else {"noise": 1.0} if name == "made_noise" else {}
    with_it, without = only(**base, **{name: 1.0}), only(**base)
    assert not np.array_equal(varied(with_it).samples, varied(without).samples)


def test_what_has_no_recordings_does_not_happen_unless_it_is_made() -> None:
    nowhere = Surroundings()
    assert varied(only(reverb=1, noise=1), around=nowhere).said == ("gain +0 dB",)
    said = varied(only(reverb=1, noise=1, simulated_rooms=1, made_noise=1), around=nowhere).said
    assert [each.split()[0] for each in said] == ["room", "noise", "gain"]


def test_ranges_move_over_the_run() -> None:
    recipe = only(noise=1, snr_db=Moving((20, 20), (0, 0)))
    said = [varied(recipe, at=at).said[0] for at in (0.0, 0.5, 1.0)]
    assert said == ["noise 20 dB", "noise 10 dB", "noise 0 dB"]


@pytest.mark.parametrize("layers", [1, 4])
def test_the_ratio_holds_for_all_noises_together(layers: int) -> None:
    recipe = only(noise=1, made_noise=1, noise_layers=layers, snr_db=(10, 10))
    voice = say("turn it on")
    for seed in range(8):
        added = varied(recipe, seed).samples - voice
        assert 20 * np.log10(rms(voice) / rms(added)) == pytest.approx(10, abs=0.6)


def test_what_comes_out_stays_within_full_scale() -> None:
    samples = varied(only(noise=1, snr_db=(-20, -20), gain_db=(20, 20))).samples
    assert np.abs(samples).max() == 1
    assert samples.dtype == np.float32


def test_a_lead_puts_silence_around_the_clip() -> None:
    voice, recipe = say("stop"), only(lead_s=(0.5, 0.5))
    samples = vary(voice, recipe, AROUND, np.random.default_rng(0), lead=True).samples
    assert np.array_equal(samples[8000:-8000], voice)
    assert not samples[:8000].any()
    assert not samples[-8000:].any()


def test_an_emptied_clip_has_no_words() -> None:
    each = [varied(only(empty=1.0), seed) for seed in range(60)]
    assert not any(one.words for one in each)
    silent = sum(one.said[0] == "silence" and not one.samples.any() for one in each)
    assert 3 < silent < 25
    assert all(one.said[0] in {"silence", "noise alone"} for one in each)


def test_what_is_drawn_later_does_not_depend_on_the_length_of_the_clip() -> None:
    short, long = (
        [change.said for change in draw_changes(ALL, AROUND, np.random.default_rng(3), lead=True)] for _ in range(2)
    )
    assert short == long
    dice = np.random.default_rng(5), np.random.default_rng(5)
    vary(np.zeros(100, np.float32), ALL, AROUND, dice[0], lead=True)
    vary(np.zeros(9000, np.float32), ALL, AROUND, dice[1], lead=True)
    assert dice[0].random() == dice[1].random()


SOUNDS = st.sampled_from(["silence", "noise", "full scale", "one click", "denormal"])


def sound(kind: str, length: int) -> np.ndarray:
    samples = np.zeros(length, np.float32)
    if kind == "noise":
        samples = white_noise(1, -20)[:length].copy()
    if kind == "full scale":
        samples[:] = np.where(np.arange(length) % 50 < 25, 1, -1)
    if kind == "one click" and length:
        samples[length // 2] = 1
    if kind == "denormal":
        samples[:] = 1e-40
    return samples


@settings(max_examples=150, deadline=None)
@given(st.sampled_from([0, 1, 2, 3, 159, 160, 319, 320, 321, 511, 513, 640, 1601, 4000]), SOUNDS, st.integers(0, 10**6))
def test_every_sound_of_every_length_comes_back_finite(length: int, kind: str, seed: int) -> None:
    dice = np.random.default_rng(seed)
    chosen = {name: float(dice.random() < 0.5) for name in PROBABILITIES}
    recipe = ALL.model_copy(update=chosen)
    samples = vary(sound(kind, length), recipe, AROUND, dice, lead=bool(seed % 2)).samples
    assert samples.dtype == np.float32
    assert np.isfinite(samples).all()
    assert not len(samples) or np.abs(samples).max() <= 1
    longest_lead = 16000 * 2 * 0.6
    assert len(samples) <= length * recipe.longest_factor + longest_lead + 2
