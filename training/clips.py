"""All clips of a run decoded once into one array of 16-bit samples, kept beside the run and shared by its workers."""

from __future__ import annotations

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from stt_server.corpus.clip import Clip

SAMPLE_RATE = 16000
DECODERS = 2


@dataclass(frozen=True, slots=True)
class Spoken:
    """What was said in one clip: text as normalised, where it came from and how often an epoch takes it.

    `name` is what people find the clip by, its path.
    """

    text: str
    source: str
    speaker: str
    weight: float = 1.0
    name: str = ""


class ClipArray:
    """`array[i]` is clip i as float32 samples in [-1, 1]; `said[i]` is its text and origin."""

    def __init__(self, samples: NDArray[np.int16], ends: NDArray[np.int64], said: Sequence[Spoken]) -> None:
        self.samples, self.ends, self.said = samples, ends, list(said)

    def __len__(self) -> int:
        return len(self.said)

    def __getitem__(self, index: int) -> NDArray[np.float32]:
        return self.pcm(index).astype(np.float32) / np.float32(32768)

    def pcm(self, index: int) -> NDArray[np.int16]:
        """The samples of a clip as they are kept."""
        start = self.ends[index - 1] if index else 0
        return self.samples[start : self.ends[index]]

    @property
    def seconds(self) -> NDArray[np.float64]:
        """Duration of every clip, shape (n,)."""
        return np.diff(self.ends, prepend=0) / SAMPLE_RATE


def load_clips(
    clips: Sequence[Clip], weights: Sequence[float], cache: Path, progress: Callable[[int], None] = lambda done: None
) -> ClipArray:
    """Decode clips to 16 kHz, or map the array an earlier run decoded from the same files."""
    said = [Spoken(c.text, c.source, c.speaker or "", w, str(c.path)) for c, w in zip(clips, weights, strict=True)]
    key = hashlib.sha256(json.dumps([str(c.path) for c in clips]).encode()).hexdigest()[:16]
    audio, index = cache / f"{key}.pcm", cache / f"{key}.ends.npy"
    if not _is_fresh(index, clips):
        cache.mkdir(parents=True, exist_ok=True)
        _decode_all(clips, audio, index, progress)
    ends = np.load(index)
    samples = np.memmap(audio, np.int16, "r") if len(ends) and ends[-1] else np.zeros(0, np.int16)
    return ClipArray(samples, ends, said)


def _is_fresh(index: Path, clips: Sequence[Clip]) -> bool:
    """Whether the array is there and no clip has changed since it was made."""
    if not index.exists():
        return False
    made = index.stat().st_mtime
    return all(clip.path.stat().st_mtime <= made for clip in clips)


def _decode_all(clips: Sequence[Clip], audio: Path, index: Path, progress: Callable[[int], None]) -> None:
    """Both files appear whole, the index last; a run that has the old ones mapped keeps them."""
    lengths = []
    part = audio.with_suffix(".part")
    try:
        with part.open("wb") as file, at_once(DECODERS) as pool:
            for done, samples in enumerate(pool.map(_decode, clips), 1):
                file.write(samples.tobytes())
                lengths.append(len(samples))
                progress(done)
        part.replace(audio)
        with part.open("wb") as file:
            np.save(file, np.cumsum(lengths, dtype=np.int64))
        part.replace(index)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def at_once(threads: int) -> Iterator[ThreadPoolExecutor]:
    """A pool that, broken off, finishes only what it is at, where executors go on to the end of their list."""
    pool = ThreadPoolExecutor(threads)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _decode(clip: Clip) -> NDArray[np.int16]:
    # Here, since `fit` and what it learns from must be importable on a machine with no more than torch and numpy.
    from stt_server.speech.files import read_audio

    samples = read_audio(clip.path, SAMPLE_RATE)
    pcm: NDArray[np.int16] = np.round(np.clip(samples, -1, 1 - 2**-15) * 32768).astype(np.int16)
    return pcm
