"""Other speakers out of one: a vocal tract that is longer or shorter, with the pitch as it was.

A child's vocal tract is a fifth shorter than a man's and its formants as much higher. Vocal tract length perturbation
(Jaitly and Hinton 2013) warps the whole spectrum; here its envelope alone is warped, so that voices and pitches come in
combinations that no one has recorded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from training.augmentation.level import as_loud
from training.augmentation.spectrum import BINS, analyse, synthesise

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Samples = NDArray[np.float32]

# Ripples over the spectrum that make its envelope. The harmonics of a voice of 400 Hz are the fortieth.
RIPPLES = 30
FLOOR = 1e-5
MOST = np.log(20.0)  # neither a gap between formants nor the band behind the last one is lifted further
_BIN = np.arange(BINS) / (BINS - 1)
_RIPPLE = np.arange(RIPPLES)[:, None]
_COSINES = np.cos(np.pi * _RIPPLE * _BIN)  # (ripples, bins)
# Projects a log spectrum on the ripples: a cosine transform whose first and last bins count half.
_WEIGHTS = np.where((_BIN == 0) | (_BIN == 1), 0.5, 1.0) * np.where(_RIPPLE == 0, 1.0, 2.0) / (BINS - 1)
_PROJECTION = (_COSINES * _WEIGHTS).T.astype(np.float32)  # (bins, ripples)


def change_speaker(samples: Samples, factor: float) -> Samples:
    """Formants at `factor` times their frequency; length, pitch and loudness as before.

    The first formant, nearer to the harmonics than the envelope is fine, moves by about half of that.
    """
    if not len(samples):
        return samples
    spectra = analyse(samples)
    envelope = np.log(np.abs(spectra).astype(np.float32) + FLOOR) @ _PROJECTION
    # The envelope at another place less the envelope here; both are sums of the same cosines.
    moved = np.cos(np.pi * _RIPPLE * np.minimum(_BIN / factor, 1.0)) - _COSINES
    spectra *= np.exp(np.clip(envelope @ moved.astype(np.float32), -MOST, MOST))
    return as_loud(synthesise(spectra, len(samples)), samples)
