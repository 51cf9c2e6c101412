"""Tempo and pitch, both together or each by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Samples = NDArray[np.float32]

HOP = 320  # 20 ms
SEEK = 160  # 10 ms: a period of the lowest voices
STRIDE = 2  # likeness is measured on every second sample, at a quarter of the cost
_POSITIONS = np.arange(2 * HOP)
_HANN = (0.5 - 0.5 * np.cos(np.pi * _POSITIONS / HOP)).astype(np.float32)


def change_speed(samples: Samples, factor: float) -> Samples:
    """Faster and higher for `factor` > 1: resampling by linear interpolation moves tempo, pitch and formants.

    The length is divided by `factor` and rounded down.
    """
    if not len(samples):
        return samples
    return _resampled(samples, factor, int(len(samples) / factor))


def change_tempo(samples: Samples, factor: float) -> Samples:
    """Faster for `factor` > 1 at the same pitch; the length is divided by `factor` and rounded.

    Waveform similarity overlap-add (Verhelst and Roelands 1993): windows of 40 ms are laid over one another every
    20 ms, each taken from where it is most like what would have followed the one before.
    """
    length = round(len(samples) / factor)
    count = -(-length // HOP) + 1
    padded = np.zeros(int(count * HOP * factor) + len(samples) + 4 * HOP + 2 * SEEK, np.float32)
    padded[HOP + SEEK : HOP + SEEK + len(samples)] = samples
    starts = _similar_starts(padded, count, factor)
    pieces = padded[starts[:, None] + _POSITIONS] * _HANN
    faster: Samples = (pieces[1:, :HOP] + pieces[:-1, HOP:]).reshape(-1)[:length]
    return faster


def change_pitch(samples: Samples, semitones: float) -> Samples:
    """Higher for `semitones` > 0, formants too, at the same tempo and length."""
    if not len(samples):
        return samples
    factor = 2 ** (semitones / 12)
    return _resampled(change_tempo(samples, 1 / factor), factor, len(samples))


def _resampled(samples: Samples, factor: float, length: int) -> Samples:
    return np.interp(np.arange(length) * factor, np.arange(len(samples)), samples).astype(np.float32)


def _similar_starts(padded: Samples, count: int, factor: float) -> NDArray[np.int64]:
    """Where in `padded` each of `count` windows begins: near its place in time, and like its predecessor's sequel."""
    starts = np.empty(count, np.int64)
    starts[0] = SEEK
    for number in range(1, count):
        sequel = starts[number - 1] + HOP
        earliest = int(number * HOP * factor)
        area = padded[earliest : earliest + 2 * SEEK + HOP : STRIDE]
        starts[number] = earliest + STRIDE * _most_alike(area, padded[sequel : sequel + HOP : STRIDE])
    return starts


def _most_alike(area: Samples, piece: Samples) -> int:
    """The offset at which `area` is most like `piece`, by correlation over the root of the energy there."""
    energy = np.concatenate([[0.0], np.cumsum(np.square(area, dtype=np.float64))])
    within = energy[len(piece) :] - energy[: -len(piece)]
    return int(np.argmax(np.correlate(area, piece, "valid") / np.sqrt(within + 1e-6)))
