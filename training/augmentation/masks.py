"""Stripes of features that are blanked (SpecAugment, Park et al. 2019)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.random import Generator
    from numpy.typing import NDArray

    from training.augmentation.keys import Augmentation


@dataclass(frozen=True, slots=True)
class Stripe:
    """`width` bands or frames from `start` on."""

    in_time: bool
    start: int
    width: int


def draw_masks(recipe: Augmentation, length: int, mels: int, dice: Generator) -> list[Stripe]:
    """The stripes of one clip of `length` frames and `mels` bands."""
    band_width, time_width = min(recipe.band_width, mels), min(recipe.time_width, length // 8)
    bands = [_drawn(False, band_width, mels, dice) for _ in range(recipe.band_masks)]
    return bands + [_drawn(True, time_width, length, dice) for _ in range(recipe.time_masks)]


def blank(frames: NDArray[np.float32], stripes: Sequence[Stripe], fill: NDArray[np.float32]) -> None:
    """Put `fill` (mels,) where stripes lie over log-mel frames (T, mels), in place."""
    for stripe in stripes:
        end = stripe.start + stripe.width
        if stripe.in_time:
            frames[stripe.start : end] = fill
        else:
            frames[:, stripe.start : end] = fill[stripe.start : end]


def _drawn(in_time: bool, widest: int, size: int, dice: Generator) -> Stripe:
    width = int(dice.integers(widest + 1))
    return Stripe(in_time, int(dice.integers(size - width + 1)), width)
