"""Short-time spectra, there and back, and filters over a whole clip."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Samples = NDArray[np.float32]
    Spectra = NDArray[np.complex128]

SAMPLE_RATE = 16000
WINDOW, HOP = 512, 256
BINS = WINDOW // 2 + 1
# The root of a Hann window, taken on the way there and on the way back: two of them overlap to one.
_ROOT_HANN = np.sin(np.pi * (np.arange(WINDOW) + 0.5) / WINDOW)


def analyse(samples: Samples) -> Spectra:
    """Spectra (frames, BINS) of a clip (n,), a frame every HOP samples; the first is centred on its beginning."""
    count = -(-len(samples) // HOP) + 1
    padded = np.zeros((count + 1) * HOP)
    padded[HOP : HOP + len(samples)] = samples
    halves = padded.reshape(-1, HOP)
    return np.fft.rfft(np.concatenate([halves[:-1], halves[1:]], axis=1) * _ROOT_HANN)


def synthesise(spectra: Spectra, length: int) -> Samples:
    """The clip (length,) whose `analyse` gave these spectra, or the nearest to it."""
    windowed = np.fft.irfft(spectra, WINDOW) * _ROOT_HANN
    blocks = windowed[1:, :HOP] + windowed[:-1, HOP:]
    samples: Samples = blocks.reshape(-1)[:length].astype(np.float32)
    return samples


def filtered(samples: Samples, gain: Callable[[NDArray[np.float64]], NDArray[np.float64]]) -> Samples:
    """The clip with every frequency times `gain(hertz)`, without delay; hertz from 0 to 8000."""
    if not len(samples):
        return samples
    size = fast_size(len(samples))
    shaped = np.fft.rfft(samples, size) * gain(np.fft.rfftfreq(size, 1 / SAMPLE_RATE))
    return np.fft.irfft(shaped, size)[: len(samples)].astype(np.float32)


def fast_size(least: int) -> int:
    """The next length of which a Fourier transform is quick: 2ⁿ, or one and a half or one and a quarter times it."""
    power = 1 << max(3, (least - 1).bit_length())
    return next(size for size in (power * 5 // 8, power * 3 // 4, power) if size >= least)
