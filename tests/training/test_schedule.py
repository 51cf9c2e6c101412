"""How the rate rises and falls, how far a run is and when it is validated."""

import pytest

from training.checkpoints import Patience, Progress
from training.recipe import EarlyStop, Schedule
from training.schedule import is_over, is_validated_after, is_validated_between, learning_rate, share_done


def plan(**keys: object) -> Schedule:
    return Schedule.model_validate({"learning_rate": 1.0, **keys})


def test_the_rate_rises_to_its_height_and_falls_to_a_hundredth() -> None:
    rates = [learning_rate(plan(warmup_share=0.1), share / 100) for share in range(101)]
    assert max(rates) == rates[10] == pytest.approx(1.0)
    assert rates[0] == rates[100] == pytest.approx(0.01)
    assert rates[:11] == sorted(rates[:11])
    assert rates[10:] == sorted(rates[10:], reverse=True)


def test_a_warm_up_in_steps_takes_these_in_a_long_run() -> None:
    """Of 10,000 steps, a hundred are a hundredth."""
    rates = [learning_rate(plan(warmup_steps=100, decay="constant"), step / 10_000, step) for step in range(200)]
    assert rates[50] == pytest.approx(0.505)
    assert rates[100] == rates[199] == 1.0


def test_a_warm_up_in_steps_never_takes_more_than_a_tenth_of_the_run() -> None:
    """Fifty clips are over after 60 steps; a warm-up of 5,000 would last longer than the run."""
    rates = [learning_rate(plan(warmup_steps=5000, decay="constant"), step / 60, step) for step in range(61)]
    assert rates[3] == pytest.approx(0.505)
    assert rates[6] == pytest.approx(1.0)


def test_a_constant_rate_stays_at_its_height() -> None:
    assert {learning_rate(plan(decay="constant", warmup_share=0.0), share / 10) for share in range(11)} == {1.0}


def test_a_rate_on_plateaus_halves_with_each_and_stays_over_a_hundredth() -> None:
    rates = [learning_rate(plan(decay="plateau", warmup_share=0.0), 0.5, 0, drops) for drops in range(30)]
    assert rates[:3] == pytest.approx([1.0, 0.505, 0.2575])
    assert rates[-1] == pytest.approx(0.01, abs=1e-4)


def test_a_run_is_as_far_as_its_epochs_or_its_minutes_whichever_are_nearer_their_end() -> None:
    made = plan(epochs=4, minutes=10)
    assert share_done(made, Progress(epoch=1, batch=5), 10) == pytest.approx(1.5 / 4)
    assert share_done(made, Progress(epoch=1, batch=5, seconds=300), 10) == pytest.approx(0.5)


def test_a_run_is_over_when_its_epochs_its_minutes_or_its_patience_are() -> None:
    made = plan(epochs=4, minutes=10)
    assert not is_over(made, Progress(epoch=3, batch=9, seconds=599, patience=Patience(stale=100)))
    assert is_over(made, Progress(epoch=4))
    assert is_over(made, Progress(seconds=600))
    impatient = made.model_copy(update={"early_stop": EarlyStop(patience=3)})
    assert not is_over(impatient, Progress(patience=Patience(stale=2)))
    assert is_over(impatient, Progress(patience=Patience(stale=3)))


def test_even_the_shortest_run_is_validated_now_and_then() -> None:
    points = [step for step in range(10) if is_validated_between(plan(), step / 10, (step + 1) / 10)]
    assert points == [1, 3, 5, 7, 9]


def test_validations_after_epochs_are_instead_of_those_at_shares() -> None:
    made = plan(validate_epochs=3)
    assert not any(is_validated_between(made, step / 10, (step + 1) / 10) for step in range(10))
    assert [epoch for epoch in range(1, 10) if is_validated_after(made, epoch)] == [3, 6, 9]
    assert not any(is_validated_after(plan(), epoch) for epoch in range(10))


def test_patience_is_kept_while_word_errors_fall_or_at_the_same_rate_the_loss() -> None:
    patience = Patience()
    for wer, loss, stale in [
        (1.0, 3.0, 0),
        (1.0, 2.9, 0),  # nothing is heard yet, and still it learns
        (1.0, 2.9, 1),
        (0.8, 4.0, 0),
        (0.9, 1.0, 1),
        (0.8, 4.1, 2),
        (0.7, 9.0, 0),
    ]:
        patience.feel(wer, loss)
        assert patience.stale == stale, (wer, loss)


def test_less_than_min_delta_is_no_better() -> None:
    patience = Patience(0.50, 1.0)
    patience.feel(0.49, 1.0, min_delta=0.02)
    assert patience.stale == 1
    patience.feel(0.47, 1.0, min_delta=0.02)
    assert (patience.wer, patience.stale) == (0.47, 0)
