"""Streaming log-mel features: the one definition that training and serving share.

A frame is 25 ms of 16 kHz audio under a Hann window, one every 10 ms; its power spectrum is gathered by triangular
filters on the mel scale (O'Shaughnessy 1987: 1127 ln(1 + f/700)) and logged above a floor. No pre-emphasis and no
removal of the mean: a fixed gain per band is what the model's own normalisation takes out.

Frame `k` covers samples [160 k, 160 k + 400). Nothing is padded at the start; a finished stream is padded with zeros
by whoever finishes it. However the samples are cut, the frames agree to 1e-6; to the bit they agree only where the cuts
do too, for BLAS adds in another order for another number of rows. A stream therefore always asks for whole steps
(`segment`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class FeatureRecipe:
    """What a bundle's manifest says of its features. Times in milliseconds, frequencies in hertz."""

    sample_rate: int = 16000
    n_mels: int = 80
    window_ms: int = 25
    hop_ms: int = 10
    low_hz: float = 40.0
    high_hz: float = 7800.0
    floor: float = 1e-6

    @property
    def window(self) -> int:
        """Samples in a frame."""
        return self.sample_rate * self.window_ms // 1000

    @property
    def hop(self) -> int:
        """Samples between the starts of two frames."""
        return self.sample_rate * self.hop_ms // 1000

    @property
    def silence(self) -> float:
        """The value of every feature in digital silence."""
        return float(np.log(np.float32(self.floor)))


def mel_filters(recipe: FeatureRecipe, n_fft: int) -> Floats:
    """Triangular filters, shape (n_fft // 2 + 1, n_mels), each rising and falling between its neighbours' centres."""

    def mel(hz: NDArray[np.float64] | float) -> NDArray[np.float64]:
        return np.asarray(1127.0 * np.log1p(np.asarray(hz) / 700.0))

    edges = np.linspace(mel(recipe.low_hz), mel(recipe.high_hz), recipe.n_mels + 2)
    bins = mel(np.arange(n_fft // 2 + 1) * recipe.sample_rate / n_fft)[:, None]
    rising = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    return np.maximum(0.0, np.minimum(rising, falling)).astype(np.float32)


class LogMel:
    """Turns samples into log-mel frames. Holds constants only; the unused tail of a stream is the caller's value."""

    def __init__(self, recipe: FeatureRecipe) -> None:
        self.recipe = recipe
        self._n_fft = 1 << (recipe.window - 1).bit_length()

    @cached_property
    def _filters(self) -> Floats:
        return mel_filters(self.recipe, self._n_fft)

    @cached_property
    def _taper(self) -> Floats:
        return np.hanning(self.recipe.window + 1)[:-1].astype(np.float32)

    def initial(self) -> Floats:
        """The state of a stream before its first sample: no samples kept, shape (0,)."""
        return np.zeros(0, np.float32)

    def __call__(self, samples: Floats, tail: Floats) -> tuple[Floats, Floats]:
        """Samples (n,) in [-1, 1] and the kept tail → every complete frame (t, n_mels) and the new tail."""
        pending = np.concatenate([tail, samples]) if len(tail) else samples
        count = max(0, 1 + (len(pending) - self.recipe.window) // self.recipe.hop)
        if count == 0:
            return np.zeros((0, self.recipe.n_mels), np.float32), pending
        return self._frames(pending, count), pending[count * self.recipe.hop :].copy()

    def whole(self, samples: Floats) -> Floats:
        """Every complete frame of a whole recording, shape (t, n_mels)."""
        return self(samples, self.initial())[0]

    def _frames(self, samples: Floats, count: int) -> Floats:
        views = np.lib.stride_tricks.sliding_window_view(samples, self.recipe.window)[:: self.recipe.hop][:count]
        spectrum = np.fft.rfft(views * self._taper, self._n_fft, axis=1)
        power = (spectrum.real**2 + spectrum.imag**2).astype(np.float32)
        logged: Floats = np.log(power @ self._filters + np.float32(self.recipe.floor))
        return logged
