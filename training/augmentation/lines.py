"""What lines and codecs leave of a voice on its way to the server."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np

from stt_server.errors import Unsupported
from training.augmentation.spectrum import SAMPLE_RATE, filtered

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Samples = NDArray[np.float32]

NARROW_HZ = 3700.0  # what filters leave of the 4000 that a rate of 8 kHz can carry
TELEPHONE_HZ = 200.0
MOST_KBPS, KBPS_A_LEVEL = 256.0, 250.0  # libsndfile's compression level runs from 256 kbit/s at 0 to 6 at 1
MISSING = "Opus cannot be encoded here; pip install 'soundfile>=0.13', or set augmentation.opus=0"


def telephone(samples: Samples) -> Samples:
    """Narrow band and mu-law steps: what a telephone line leaves of a voice."""
    line = filtered(samples, lambda hertz: ((hertz >= TELEPHONE_HZ) & (hertz <= NARROW_HZ)).astype(float))
    return mu_law(line)


def narrow_band(samples: Samples) -> Samples:
    """What a sample rate of 8 kHz leaves."""
    return filtered(samples, lambda hertz: (hertz <= NARROW_HZ).astype(float))


def mu_law(samples: Samples) -> Samples:
    """Eight bits a sample, finer where it is quiet (ITU-T G.711, mu = 255). Cuts off at full scale."""
    samples = np.clip(samples, -1, 1)
    steps = np.round(np.sign(samples) * np.log1p(255 * np.abs(samples)) / np.log(256) * 127) / 127
    heard: Samples = (np.sign(steps) * (256 ** np.abs(steps) - 1) / 255).astype(np.float32)
    return heard


def opus(samples: Samples, kbps: float) -> Samples:
    """Encoded by libopus at about `kbps` thousand bits a second and decoded, of the same length and in time.

    Raises Unsupported where libsndfile has no Opus encoder or no choice of bit rate.
    """
    if not len(samples):
        return samples
    sound = _soundfile()
    file = io.BytesIO()
    level = float(np.clip((MOST_KBPS - kbps) / KBPS_A_LEVEL, 0, 1))
    sound.write(file, np.clip(samples, -1, 1), SAMPLE_RATE, format="OGG", subtype="OPUS", compression_level=level)
    file.seek(0)
    heard, _ = sound.read(file, frames=len(samples), dtype="float32", fill_value=0.0)
    return np.asarray(heard, np.float32)


def check_opus() -> None:
    """Raises Unsupported, as `opus` would hours later."""
    opus(np.zeros(SAMPLE_RATE // 50, np.float32), MOST_KBPS)


def _soundfile() -> Any:
    """Imported when the first clip is encoded: learning by itself does without it."""
    try:
        import soundfile
    except ImportError as error:
        raise Unsupported(MISSING, field="augmentation.opus") from error
    can_choose = tuple(map(int, soundfile.__version__.split(".")[:2])) >= (0, 13)
    if not can_choose or "OPUS" not in soundfile.available_subtypes("OGG"):
        raise Unsupported(MISSING, field="augmentation.opus")
    return soundfile
