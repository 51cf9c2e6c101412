"""Voices and noises for tests: espeak-ng speech and steady noises, as mono float32 arrays.

    from tests.voices import say, fan_noise

espeak-ng is a required program of the tests: without it they fail and say so.
"""

from __future__ import annotations

import shutil
import subprocess
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from stt_server.speech.files import read_audio

Samples = npt.NDArray[np.float32]
SAMPLE_RATE = 16_000


def say(text: str, voice: str = "en-us", rate: int = 160, *, pitch: int = 50, hz: int = SAMPLE_RATE) -> Samples:
    """`text` by an espeak-ng voice (`en-us+f3`, `en-gb`, …) at `rate` words a minute, sampled at `hz`.

    Cached for the session and read-only.
    """
    return _spoken(text, voice, rate, pitch, hz)


def trimmed(speech: Samples, below: float = 0.01) -> Samples:
    """Speech without the silence at its ends, so that a test knows when it begins and stops."""
    loud = np.flatnonzero(np.abs(speech) > below)
    return speech[loud[0] : loud[-1] + 1]


def silence(seconds: float) -> Samples:
    return np.zeros(int(seconds * SAMPLE_RATE), np.float32)


def white_noise(seconds: float, level_db: float, seed: int = 0) -> Samples:
    """White noise of a level (root mean square) in dB below full scale."""
    return at_level(np.random.default_rng(seed).standard_normal(int(seconds * SAMPLE_RATE)), level_db)


def pink_noise(seconds: float, level_db: float, seed: int = 0) -> Samples:
    """Noise that falls by 3 dB an octave, above 20 Hz."""
    return at_level(_coloured(seconds, seed, lambda hz: 1 / np.sqrt(np.maximum(hz, 20.0))), level_db)


def fan_noise(seconds: float, level_db: float, seed: int = 0) -> Samples:
    """A fan: broad rush that falls with frequency, the blades' hum at 120 Hz and its harmonics, a slow waver."""
    rush = _coloured(seconds, seed, lambda hz: 1 / (1 + (hz / 500) ** 2) ** 0.5)
    time = np.arange(len(rush)) / SAMPLE_RATE
    hum = sum(np.sin(2 * np.pi * 120 * k * time + k) / k for k in range(1, 9))
    waver = 1 + 0.15 * np.sin(2 * np.pi * 0.7 * time)
    return at_level((rush / rush.std() + 0.5 * hum) * waver, level_db)


def at_level(signal: npt.NDArray[np.floating], level_db: float) -> Samples:
    """The signal scaled to a root mean square level in dB below full scale."""
    root_mean_square = np.sqrt(np.mean(np.square(signal, dtype=np.float64)))
    return (signal * (10 ** (level_db / 20) / root_mean_square)).astype(np.float32)


@lru_cache(maxsize=512)
def _spoken(text: str, voice: str, rate: int, pitch: int, hz: int) -> Samples:
    program = shutil.which("espeak-ng")
    assert program, "espeak-ng is not installed; the tests speak with it (apt-get install espeak-ng)"
    command = [program, "-v", voice, "-s", str(rate), "-p", str(pitch), "--stdout", "--", text]
    wav = subprocess.run(command, capture_output=True, check=True, timeout=30).stdout
    samples = read_audio(wav, hz)
    samples.setflags(write=False)
    return samples


def _coloured(seconds: float, seed: int, gain) -> npt.NDArray[np.float64]:
    count = int(seconds * SAMPLE_RATE)
    spectrum = np.fft.rfft(np.random.default_rng(seed).standard_normal(count))
    return np.fft.irfft(spectrum * gain(np.fft.rfftfreq(count, 1 / SAMPLE_RATE)), count)
