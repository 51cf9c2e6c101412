"""Rooms and distances: recorded impulse responses, and rooms that are computed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from training.augmentation.level import as_loud
from training.augmentation.spectrum import SAMPLE_RATE, fast_size, filtered

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

    Samples = NDArray[np.float32]

LONGEST = 6400  # 0.4 s of an impulse response; the rest is too faint to be worth its cost
SOUND_M_S = 343.0
EARLY_S = 0.03  # echoes are computed one by one up to here
SMALLEST_M, LARGEST_M = np.array([2.5, 2.0, 2.3]), np.array([8.0, 6.0, 3.5])
WALL_M = 0.4  # nobody stands nearer to a wall
SABINE = 0.161


def reverberate(samples: Samples, response: Samples) -> Samples:
    """Convolve with a room's impulse response, aligned on its direct sound and as loud as before."""
    if not len(samples) or not len(response):
        return samples
    response = response[int(np.argmax(np.abs(response))) :][:LONGEST]
    size = fast_size(len(samples) + len(response) - 1)
    convolved = np.fft.irfft(np.fft.rfft(samples, size) * np.fft.rfft(response, size), size)
    return as_loud(convolved[: len(samples)].astype(np.float32), samples)


def simulate_room(decay_s: float, dice: Generator) -> Samples:
    """The impulse response of a box of a room, from 2.5 × 2 to 8 × 6 m, that falls by 60 dB in `decay_s` seconds.

    Echoes of the first 30 ms are image sources (Allen and Berkley 1979), one by one; later ones are noise that decays,
    at the level that the images of a room of this volume have on average.
    """
    size = dice.uniform(SMALLEST_M, LARGEST_M)
    mouth, microphone = (dice.uniform(WALL_M, size - WALL_M) for _ in range(2))
    surface = 2 * (size[0] * size[1] + size[0] * size[2] + size[1] * size[2])
    absorbed = min(0.95, SABINE * size.prod() / (surface * decay_s))
    distances, bounces = _images(size, mouth, microphone)
    response = np.zeros(LONGEST)
    arrivals = (distances * SAMPLE_RATE / SOUND_M_S).astype(int)
    early = arrivals < EARLY_S * SAMPLE_RATE
    early[np.argmin(distances)] = True  # the direct sound, however far away
    np.add.at(response, arrivals[early], (1 - absorbed) ** (bounces[early] / 2) / distances[early])
    response += _tail(size.prod(), decay_s, dice)
    return response.astype(np.float32)


def move_away(samples: Samples, corner_hz: float) -> Samples:
    """High frequencies swallowed: 3 dB less at `corner_hz`, 6 dB an octave beyond; as loud as before."""
    muffled = filtered(samples, lambda hertz: 1 / np.sqrt(1 + np.square(hertz / corner_hz)))
    return as_loud(muffled, samples)


def _images(
    size: NDArray[np.float64], mouth: NDArray[np.float64], microphone: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Distances (n,) in metres of the mouth's mirror images from the microphone, and how often each was reflected."""
    reach = EARLY_S * SOUND_M_S
    squares, bounces = np.zeros(1), np.zeros(1, np.int64)
    for length, source, ear in zip(size, mouth, microphone, strict=True):
        # Image k lies in the k-th copy of the room; every other copy is a mirror image.
        copies = np.arange(-int(reach / length) - 1, int(reach / length) + 2)
        places = copies * length + np.where(copies % 2, length - source, source)
        squares = (squares[:, None] + np.square(places - ear)).reshape(-1)
        bounces = (bounces[:, None] + np.abs(copies)).reshape(-1)
    return np.maximum(np.sqrt(squares), 0.1), bounces


def _tail(volume: float, decay_s: float, dice: Generator) -> NDArray[np.float64]:
    """Noise (LONGEST,) from EARLY_S on. Images come 4πc³t²/V a second, each with the energy 1/(ct)²: 4πc/V in all."""
    start = int(EARLY_S * SAMPLE_RATE)
    seconds = np.arange(start, LONGEST) / SAMPLE_RATE
    level = np.sqrt(4 * np.pi * SOUND_M_S / volume / SAMPLE_RATE) * 10 ** (-3 * seconds / decay_s)
    return np.concatenate([np.zeros(start), level * dice.standard_normal(LONGEST - start)])
