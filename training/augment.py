"""Changes that make a clip sound like other rooms, microphones, distances and speakers.

Each is a plain function on 16 kHz samples; `augment` draws which ones happen. Draws come from the caller's generator,
so an epoch is repeatable.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.random import Generator
    from numpy.typing import NDArray

    from training.recipe import Augmentation, Range

    Samples = NDArray[np.float32]

QUIETEST = 1e-4
RIR_SAMPLES = 6400


def change_speed(samples: Samples, factor: float) -> Samples:
    """Faster and higher for `factor` > 1: resampling by linear interpolation moves tempo, pitch and formants."""
    positions = np.arange(int(len(samples) / factor)) * factor
    faster: Samples = np.interp(positions, np.arange(len(samples)), samples).astype(np.float32)
    return faster


def add_noise(samples: Samples, noise: Samples, snr_db: float) -> Samples:
    """Noise (any length, repeated or cut) at a signal-to-noise ratio in decibels."""
    noise = np.resize(noise, len(samples))
    ratio = (rms(samples) + QUIETEST) / (rms(noise) + QUIETEST)
    return samples + noise * np.float32(ratio * 10 ** (-snr_db / 20))


def reverberate(samples: Samples, response: Samples) -> Samples:
    """Convolve with a room's impulse response, aligned on its direct sound and as loud as before."""
    response = response[int(np.argmax(np.abs(response))) :][:RIR_SAMPLES]
    size = 1 << (len(samples) + len(response) - 2).bit_length()
    convolved = np.fft.irfft(np.fft.rfft(samples, size) * np.fft.rfft(response, size), size)
    wet: Samples = convolved[: len(samples)].astype(np.float32)
    return wet * np.float32((rms(samples) + QUIETEST) / (rms(wet) + QUIETEST))


def telephone(samples: Samples) -> Samples:
    """Narrow band and mu-law steps: what a telephone line leaves of a voice (ITU-T G.711, mu = 255)."""
    spectrum = np.fft.rfft(samples)
    hertz = np.linspace(0, 8000, len(spectrum))
    spectrum[(hertz < 200) | (hertz > 3700)] = 0
    narrow = np.clip(np.fft.irfft(spectrum, len(samples)), -1, 1)
    steps = np.round(np.sign(narrow) * np.log1p(255 * np.abs(narrow)) / np.log(256) * 127) / 127
    heard: Samples = (np.sign(steps) * (256 ** np.abs(steps) - 1) / 255).astype(np.float32)
    return heard


def rms(samples: Samples) -> float:
    """Root mean square; 0 where there are no samples."""
    return float(np.sqrt(np.mean(np.square(samples)))) if len(samples) else 0.0


def augment(
    samples: Samples,
    recipe: Augmentation,
    noises: Sequence[Samples],
    rooms: Sequence[Samples],
    dice: Generator,
    *,
    lead: bool,
) -> Samples:
    """One draw of every change. `noises` and `rooms` may be empty; then those changes do not happen.

    Whether silence is put around the clip, `lead`, the caller draws.
    """
    if dice.random() < recipe.speed:
        samples = change_speed(samples, _between(recipe.speed_range, dice))
    if lead:
        samples = _with_lead(samples, recipe.lead_s, dice)
    if rooms and dice.random() < recipe.reverb:
        samples = reverberate(samples, rooms[dice.integers(len(rooms))])
    if noises and dice.random() < recipe.noise:
        samples = add_noise(samples, cut(noises, len(samples), dice), _between(recipe.snr_db, dice))
    if dice.random() < recipe.telephone:
        samples = telephone(samples)
    return np.clip(samples * np.float32(10 ** (_between(recipe.gain_db, dice) / 20)), -1, 1)


def cut(noises: Sequence[Samples], length: int, dice: Generator) -> Samples:
    """A piece of one of the noises, repeated where it is too short."""
    noise = noises[dice.integers(len(noises))]
    start = int(dice.integers(max(1, len(noise) - length)))
    return np.resize(noise[start : start + length], length).astype(np.float32)


def mask(frames: NDArray[np.float32], recipe: Augmentation, fill: NDArray[np.float32], dice: Generator) -> None:
    """Blank bands and stretches of log-mel frames (T, mels) in place (SpecAugment, Park et al. 2019)."""
    length, mels = frames.shape
    for _ in range(recipe.band_masks):
        width = int(dice.integers(recipe.band_width + 1))
        start = int(dice.integers(mels - width + 1))
        frames[:, start : start + width] = fill[start : start + width]
    for _ in range(recipe.time_masks):
        width = int(dice.integers(min(recipe.time_width, length // 8) + 1))
        start = int(dice.integers(length - width + 1))
        frames[start : start + width] = fill


def _with_lead(samples: Samples, lead_s: Range, dice: Generator) -> Samples:
    before, after = (int(16000 * _between(lead_s, dice)) for _ in range(2))
    return np.pad(samples, (before, after))


def _between(limits: Range, dice: Generator) -> float:
    return float(dice.uniform(*limits))
