"""Recordings for tests of corpora: real wav and flac files of noise, which is enough to be read, hashed and split."""

from pathlib import Path

import numpy as np

from stt_server.corpus.clip import Clip
from stt_server.speech.files import write_flac, write_wav


def record(path: Path, *, seconds: float = 0.2, gain: float = 0.1) -> Path:
    """A recording unlike any other, by its path's name and folder."""
    dice = np.random.default_rng([*str(Path(*path.parts[-2:])).encode()])
    samples = np.clip(dice.normal(0, gain, int(16_000 * seconds)), -1, 1).astype(np.float32)
    path.parent.mkdir(parents=True, exist_ok=True)
    (write_flac if path.suffix == ".flac" else write_wav)(path, samples)
    return path


def put(path: Path, text: str) -> Path:
    """A text file, with its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def clip(name: str, text: str = "yes", speaker: str | None = None, split: str | None = None) -> Clip:
    """A clip without a file, for what only looks at labels."""
    return Clip(Path(name), text, "home", speaker, split=split)
