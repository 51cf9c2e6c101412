"""Stripes are no wider than asked, and blank what they lie over."""

import numpy as np

from training.augmentation.keys import Augmentation
from training.augmentation.masks import blank, draw_masks

FILL = np.arange(80, dtype=np.float32)


def masked(recipe: Augmentation, length: int, seed: int) -> np.ndarray:
    frames = np.full((length, 80), -1, np.float32)
    blank(frames, draw_masks(recipe, length, 80, np.random.default_rng(seed)), FILL)
    return frames


def test_masks_blank_no_more_than_their_widths() -> None:
    recipe = Augmentation(band_masks=2, band_width=12, time_masks=2, time_width=20)
    for seed in range(50):
        frames = masked(recipe, 400, seed)
        hidden = frames >= 0
        assert np.array_equal(frames[hidden], np.broadcast_to(FILL, frames.shape)[hidden])
        assert hidden.all(axis=0).sum() <= 24
        assert hidden.all(axis=1).sum() <= 40


def test_masks_reach_every_band_and_moment() -> None:
    hidden = np.stack([masked(Augmentation(), 200, seed) >= 0 for seed in range(300)])
    assert hidden.any(axis=0).all()
    assert not hidden.all(axis=0).any()


def test_masks_leave_a_clip_of_a_few_frames_alone_in_time() -> None:
    assert (masked(Augmentation(band_masks=0), 4, 0) == -1).all()


def test_a_mask_wider_than_the_features_hides_all_of_them_at_most() -> None:
    recipe = Augmentation(band_masks=1, band_width=500, time_masks=0)
    assert any((masked(recipe, 10, seed) >= 0).all() for seed in range(400))
