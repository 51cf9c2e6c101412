"""Labels that belong to their recordings are nearer to what is heard than those of others."""

import random

from training.gate.labels import label_fit

SENTENCES = ("turn on the light", "turn off the light", "play some music", "what time is it", "close the door")


def heard(labels: list[str]) -> list[tuple[str, str]]:
    """Everything is heard right; `labels` are what the list says."""
    return list(zip(labels, right(len(labels)), strict=True))


def right(count: int) -> list[str]:
    return [SENTENCES[number % len(SENTENCES)] for number in range(count)]


def test_right_labels_fit_and_so_do_those_of_which_a_third_are_wrong() -> None:
    labels = right(60)
    fit = label_fit(heard(labels))
    assert fit is not None
    assert (fit.fits, fit.own) == (True, 0.0)
    dice = random.Random(1)
    for place in dice.sample(range(60), 18):
        labels[place] = dice.choice([text for text in SENTENCES if text != labels[place]])
    some_wrong = label_fit(heard(labels))
    assert some_wrong is not None
    assert some_wrong.fits


def test_shuffled_labels_do_not_fit() -> None:
    for seed in range(5):
        labels = right(60)
        random.Random(seed).shuffle(labels)
        fit = label_fit(heard(labels))
        assert fit is not None
        assert not fit.fits


def test_one_sentence_alone_or_few_recordings_cannot_tell() -> None:
    assert label_fit([("turn on the light",) * 2] * 50) is None
    assert label_fit(heard(right(9))) is None
