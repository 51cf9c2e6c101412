"""Noise behind the voice: recorded, or made where there are no recordings."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from training.augmentation.level import QUIETEST, rms
from training.augmentation.spectrum import filtered

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.random import Generator
    from numpy.typing import NDArray

    Samples = NDArray[np.float32]

LOWEST_HZ = 40.0


def add_noise(samples: Samples, noise: Samples, snr_db: float) -> Samples:
    """Noise (any length, repeated or cut) at a signal-to-noise ratio in decibels."""
    return samples + beside(samples, noise, snr_db)


def beside(samples: Samples, noise: Samples, snr_db: float) -> Samples:
    """Noise (any length) as long as the samples and so many decibels below them."""
    noise = np.resize(noise, len(samples))
    ratio = (rms(samples) + QUIETEST) / (rms(noise) + QUIETEST)
    return noise * np.float32(ratio * 10 ** (-snr_db / 20))


def cut(noises: Sequence[Samples], length: int, dice: Generator) -> Samples:
    """A piece of one of the noises, repeated where it is too short."""
    noise = noises[dice.integers(len(noises))]
    start = int(dice.integers(max(1, len(noise) - length)))
    return np.resize(noise[start : start + length], length).astype(np.float32)


def coloured(length: int, slope: float, dice: Generator) -> Samples:
    """Steady noise whose power falls with frequency to the power of `slope`: 0 is white, 1 pink, 2 brown (a fan)."""
    white = dice.standard_normal(length, np.float32)
    noise = filtered(white, lambda hertz: np.maximum(hertz / LOWEST_HZ, 1.0) ** (-slope / 2))
    return noise * np.float32(0.1 / (rms(noise) + QUIETEST))
