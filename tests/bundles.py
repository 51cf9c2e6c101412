"""A tiny bundle that really hears: four words in two espeak-ng voices, fitted in a few seconds, exported as any other.

    def test_…(tiny_bundle): Recognizer.load(tiny_bundle)

Tests that need more words use the shipped bundle (`shipped_bundle`), and are skipped in a checkout that has none yet.
"""

from __future__ import annotations

import hashlib
import tempfile
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from stt_server.speech.bundle import shipped
from stt_server.speech.recognizer import Recognizer
from tests.voices import Samples, say, trimmed

WORDS = ("yes", "no", "stop", "light")
VOICES = ("en-us", "en-us+f3")
GOLDEN = "stop light"


ROOT = Path(__file__).parent.parent
MADE_BY = (
    "tests/bundles.py",
    "tests/tiny_model.py",
    "tests/voices.py",
    "training/export.py",
    "training/model.py",
    "training/streaming.py",
    "stt_server/speech/bundle.py",
    "stt_server/speech/features.py",
)


@pytest.fixture(scope="session")
def tiny_bundle(request: pytest.FixtureRequest) -> Path:
    """The folder of the tiny bundle. Not to be written to; pytest caches it until what makes it changes."""
    kept = request.config.cache.mkdir("tiny-bundle")
    folder: Path = kept / _fingerprint()
    if not folder.is_dir():
        from tests.tiny_model import make_tiny_bundle  # with torch, which most tests do without

        with tempfile.TemporaryDirectory(dir=kept) as part:
            made = make_tiny_bundle(Path(part) / "tiny")
            with suppress(OSError):  # not empty: another run of the tests was faster
                made.replace(folder)
    return folder


def _fingerprint() -> str:
    return hashlib.sha256(b"".join((ROOT / name).read_bytes() for name in MADE_BY)).hexdigest()[:16]


@pytest.fixture(scope="session")
def tiny(tiny_bundle: Path) -> Recognizer:
    """The tiny bundle's recogniser. Its default decoder is the reference with a language model."""
    return Recognizer.load(tiny_bundle)


@pytest.fixture(scope="session")
def shipped_bundle() -> Path:
    return shipped()


def spoken(*words: str, voice: str = VOICES[0], gap_s: float = 0.25, noise: float = 1e-3) -> Samples:
    """Words as the tiny model knows them, with pauses before, between and after, over a little noise."""
    gap = np.zeros(int(16000 * gap_s), np.float32)
    parts = [gap]
    for word in words:
        parts += [0.7 * trimmed(say(word, voice, 150)), gap]
    samples = np.concatenate(parts)
    hiss = np.random.default_rng(len(samples)).standard_normal(len(samples))
    return (samples + noise * hiss).astype(np.float32)
