"""The paired bootstrap says what chance can do, no more and no less."""

import numpy as np
import pytest

from training.gate.bootstrap import clips_needed, compare

WORDS = 5


def drawn(dice: np.random.Generator, clips: int, before: float, after: float, shared: float = 0.0):
    """Errors of both models in clips of five words; `shared` is the rate of words that both have wrong."""
    hard = dice.binomial(WORDS, shared, clips)
    return hard + dice.binomial(WORDS, before, clips), hard + dice.binomial(WORDS, after, clips), [WORDS] * clips


def test_the_interval_is_that_of_the_closed_form() -> None:
    """The mean of many differences is normal: 1.96 standard errors to each side."""
    base, candidate, words = drawn(np.random.default_rng(1), 2000, 0.3, 0.2)
    change = compare(base, candidate, words)
    gains = (base - candidate) / WORDS
    half = 1.96 * gains.std() / np.sqrt(len(gains))
    assert change.delta == pytest.approx(gains.mean())
    assert change.low == pytest.approx(gains.mean() - half, abs=0.07 * half)
    assert change.high == pytest.approx(gains.mean() + half, abs=0.07 * half)


def test_the_interval_holds_the_truth_in_95_of_100_samples() -> None:
    dice, held = np.random.default_rng(2), 0
    for _ in range(300):
        change = compare(*drawn(dice, 80, 0.25, 0.2), resamples=400)
        held += change.low <= 0.05 <= change.high
    assert 0.91 <= held / 300 <= 0.98


def test_a_gain_is_claimed_of_equal_models_in_few_samples() -> None:
    """At most the 2.5 % that the interval leaves on that side, and what 300 samples may be off by."""
    dice = np.random.default_rng(3)
    claimed = sum(compare(*drawn(dice, 80, 0.2, 0.2), resamples=400).low > 0 for _ in range(300))
    assert claimed / 300 <= 0.055


def test_what_is_hard_for_both_does_not_widen_the_interval() -> None:
    base, candidate, words = drawn(np.random.default_rng(4), 400, 0.1, 0.05, shared=0.4)
    apart = compare(np.sort(base), candidate, words)  # the same errors, no longer paired by utterance
    paired = compare(base, candidate, words)
    assert paired.delta == pytest.approx(apart.delta)
    assert paired.high - paired.low < 0.7 * (apart.high - apart.low)


def test_where_people_differ_whole_speakers_widen_the_interval() -> None:
    dice = np.random.default_rng(5)
    speakers = np.repeat(np.arange(12), 20)
    helped = dice.random(12) < 0.5
    base, candidate = np.full(240, 2), np.where(helped[speakers], 0, 2)
    single = compare(base, candidate, [WORDS] * 240)
    whole = compare(base, candidate, [WORDS] * 240, groups=list(speakers))
    assert whole.drawn == 12
    assert single.drawn == 240
    assert whole.high - whole.low > 2 * (single.high - single.low)


def test_where_nothing_differs_three_errors_remain_possible() -> None:
    change = compare([1] * 20, [1] * 20, [WORDS] * 20)
    assert change.delta == 0
    assert [change.low, change.high] == pytest.approx([-0.03, 0.03])


def test_who_makes_no_error_cannot_gain() -> None:
    change = compare([0] * 20, [0] * 20, [WORDS] * 20)
    assert [change.low, change.high] == pytest.approx([-0.03, 0])


def test_large_sets_are_drawn_in_parts_and_each_run_draws_the_same() -> None:
    base, candidate, words = drawn(np.random.default_rng(6), 30_000, 0.3, 0.2)
    first = compare(base, candidate, words, resamples=200)
    assert first == compare(base, candidate, words, resamples=200)
    assert first.low < first.delta < first.high


def test_as_many_clips_as_are_said_to_be_needed_mostly_tell() -> None:
    dice = np.random.default_rng(7)
    change = compare(*drawn(dice, 60, 0.22, 0.2))
    needed = clips_needed(change, 60, 0.02)
    told = sum(compare(*drawn(dice, 2 * needed, 0.22, 0.2), resamples=300).low > 0 for _ in range(40))
    assert needed > 60
    assert told >= 28  # with the very number it is an even chance, for the gain that was seen is itself a draw


def test_nothing_said_is_nothing_to_compare() -> None:
    with pytest.raises(ValueError, match="nothing to compare"):
        compare([], [], [])


def test_a_loss_from_no_errors_is_seen_as_clearly_as_any() -> None:
    change = compare([0] * 20, [1] * 10 + [3] * 10, [WORDS] * 20)
    assert change.low < change.delta == -0.4 < change.high < -0.25
