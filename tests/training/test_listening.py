"""What a model makes of clips: in their order, per letter, and the same however they are batched."""

import numpy as np
import pytest

from tests.training.material import ALPHABET, MEL, SENTENCES, clip_array, six_clips, toy_model
from tests.voices import white_noise
from training.batches import BatchMaker
from training.fit import set_normalisation
from training.listening import fits, listen


def test_losses_come_in_the_order_of_the_clips_however_they_are_batched() -> None:
    model = toy_model()
    set_normalisation(model, six_clips(), MEL)
    together = listen(model, six_clips(), ALPHABET, MEL)
    one_by_one = listen(model, six_clips(), ALPHABET, MEL, batch_s=0.1)
    assert together.losses == pytest.approx(one_by_one.losses, rel=1e-3)
    assert together.blanks == pytest.approx(one_by_one.blanks)
    assert together.texts == one_by_one.texts
    assert len(together.texts) == len(SENTENCES)
    assert listen(model, six_clips(), ALPHABET, MEL).losses == pytest.approx(together.losses)


def test_a_text_that_does_not_fit_has_an_infinite_loss() -> None:
    clips = clip_array([(white_noise(0.2, -30), "much too long for it"), (white_noise(2.0, -30), "yes")])
    losses = listen(toy_model(), clips, ALPHABET, MEL).losses
    assert np.isinf(losses[0])
    assert np.isfinite(losses[1])


@pytest.mark.parametrize(("text", "fit"), [("abcde", True), ("abcdef", False), ("aabb", False), ("aab", True)])
def test_a_text_needs_a_frame_a_letter_and_one_between_two_of_the_same(text: str, fit: bool) -> None:
    """Five frames of 40 ms."""
    maker = BatchMaker(clip_array([(white_noise(0.2, -30), text)]), ALPHABET, MEL)
    maker.set_plan([[(0,)]], 1, 0)
    assert maker[0].frames.tolist() == [5]
    assert fits(maker[0]) == [fit]
