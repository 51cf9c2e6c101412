"""How loud a clip is, and what a microphone makes of what is too loud for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Samples = NDArray[np.float32]

QUIETEST = 1e-4


def rms(samples: Samples) -> float:
    """Root mean square; 0 where there are no samples."""
    return float(np.sqrt(np.mean(np.square(samples)))) if len(samples) else 0.0


def as_loud(samples: Samples, before: Samples) -> Samples:
    """`samples` at the level of `before`; what is next to silence is not blown up."""
    return samples * np.float32((rms(before) + QUIETEST) / (rms(samples) + QUIETEST))


def amplify(samples: Samples, gain_db: float) -> Samples:
    """Louder or quieter, and cut off at full scale."""
    return np.clip(samples * np.float32(10 ** (gain_db / 20)), -1, 1)


def overdrive(samples: Samples, clipping_db: float) -> Samples:
    """Peaks cut off `clipping_db` below the highest, as a microphone does that is driven so far over its full scale."""
    if not len(samples):
        return samples
    ceiling = np.float32(np.abs(samples).max() * 10 ** (-clipping_db / 20))
    return np.clip(samples, -ceiling, ceiling)
