"""Validations measure each set, choose the best, feed patience and plateau, and tell a collapse."""

from typing import Any

import pytest

from stt_server.errors import BadOption
from tests.training.material import ALPHABET, MEL, six_clips, toy_model
from training.checkpoints import Progress
from training.clips import ClipArray, Spoken
from training.distributed import ALONE
from training.precision import PLAIN
from training.recipe import Schedule
from training.validation import Validation, check_best, note, told_of_collapse, validate

PLAN = Schedule.model_validate({"early_stop": {"patience": 3}, "decay": "plateau"})


def two_sets() -> ClipArray:
    clips = six_clips()
    said = [Spoken(each.text, "home" if clip < 2 else "street", "") for clip, each in enumerate(clips.said)]
    return ClipArray(clips.samples, clips.ends, said)


def validation(wer: float, loss: float = 1.0) -> Validation:
    return Validation({"dev": wer}, {"dev": loss}, wer, loss, 0.5, 0.0, [])


def measured(best: str | None) -> Validation:
    return validate(toy_model(), two_sets(), ALPHABET, MEL, PLAIN, ALONE, best, 300)


def test_every_set_has_a_rate_and_a_loss_and_all_are_chosen_by() -> None:
    all_of_it = measured(None)
    assert list(all_of_it.wer) == list(all_of_it.loss) == ["home", "street"]
    words = {"home": 2, "street": 2 + 2 + 4 + 1}
    pooled = sum(all_of_it.wer[name] * count for name, count in words.items()) / 11
    assert all_of_it.chosen_wer == pytest.approx(pooled)
    assert all_of_it.chosen_loss == pytest.approx((2 * all_of_it.loss["home"] + 4 * all_of_it.loss["street"]) / 6)


def test_one_set_chooses_where_the_recipe_names_it() -> None:
    street = measured("street")
    assert (street.chosen_wer, street.chosen_loss) == (street.wer["street"], street.loss["street"])


def test_a_set_that_is_not_there_cannot_choose() -> None:
    with pytest.raises(BadOption, match="the validation sets are home, street; name one of them"):
        check_best("kitchen", two_sets())
    check_best("home", two_sets())
    check_best(None, two_sets())


def test_the_lowest_error_rate_is_the_best_and_at_the_same_the_lowest_loss() -> None:
    progress = Progress()
    found = []
    for step, (wer, loss) in enumerate([(0.9, 2.0), (0.8, 3.0), (0.8, 2.5), (0.8, 2.5), (0.85, 0.1)]):
        progress.step = step
        found.append(note(progress, validation(wer, loss), PLAN, planned=True))
    assert found == [True, True, True, False, False]
    assert progress.best == {"step": 2, "wer": 0.8, "loss": 2.5}
    assert [entry["chosen_wer"] for entry in progress.history] == [0.9, 0.8, 0.8, 0.8, 0.85]


def test_the_rate_drops_after_two_validations_that_are_no_better() -> None:
    progress = Progress()
    drops = []
    for step, wer in enumerate([0.5, 0.6, 0.6, 0.6, 0.6, 0.4, 0.6]):
        progress.step = step
        note(progress, validation(wer), PLAN, planned=True)
        drops.append(progress.drops)
    assert drops == [0, 0, 1, 1, 2, 2, 2]
    assert progress.patience.stale == 1


def test_a_validation_that_was_not_planned_changes_nothing_but_the_best() -> None:
    progress = Progress()
    note(progress, validation(0.5), PLAN, planned=True)
    progress.step = 7
    assert note(progress, validation(0.4), PLAN, planned=False)
    assert (progress.patience.wer, progress.patience.stale, progress.plateau.wer) == (0.5, 0, 0.5)
    assert not note(progress, validation(0.4), PLAN, planned=True)  # the run goes on, and it is its turn
    assert (progress.patience.wer, len(progress.history)) == (0.4, 2)


def entries(*empty: float, wer: float = 1.0, losses: tuple[float, ...] = ()) -> list[dict[str, Any]]:
    told = losses or (2.9,) * len(empty)
    rates = [wer, *[1.0] * (len(empty) - 1)]
    return [
        {"empty": share, "blank": share, "chosen_wer": rate, "chosen_loss": loss}
        for share, rate, loss in zip(empty, rates, told, strict=True)
    ]


def test_a_model_that_knew_words_and_writes_nothing_any_more_has_collapsed() -> None:
    told = told_of_collapse(entries(0.1, 1.0, 1.0, 1.0, wer=0.3), 0.2)
    assert told.startswith("the model has collapsed: in 3 validations in a row nothing was heard (100% of the frames")
    assert "set schedule.learning_rate to a third" in told
    assert told_of_collapse(entries(0.1, 1.0, 1.0, wer=0.3), 0.2) == ""
    assert told_of_collapse(entries(0.1, 1.0, 1.0, 0.9, wer=0.3), 0.2) == ""


def test_a_young_model_may_write_nothing_while_it_learns() -> None:
    """The letters of an untrained model are no words it knew, and CTC begins with blanks."""
    assert told_of_collapse(entries(0.0, *[1.0] * 9, wer=1.3), 0.4) == ""
    falling = tuple(3.0 * 0.98**number for number in range(10))
    assert told_of_collapse(entries(*[1.0] * 10, losses=falling), 0.9) == ""


def test_a_model_that_never_wrote_anything_by_half_its_run_and_falls_no_more_is_stopped() -> None:
    told = told_of_collapse(entries(*[1.0] * 10), 0.6)
    assert told.startswith("the model does not learn")
    assert "are the texts those of the clips?" in told
