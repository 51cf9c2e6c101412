"""Sentences spoken as an evaluation kit's are: by voices that never speak in training, every second one in noise.

Benchmarks that need more than a kit has speak it themselves: the same sentences and seed make the same clips.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import soundfile

from stt_server.corpus.clip import Clip
from stt_server.corpus.manifest import read_manifest, write_manifest
from training.augmentation.noise import add_noise
from training.clips import at_once
from training.kit import EDGE_S, SNR_DB, steady_noise
from training.sentences import SentenceSource
from training.synthetic import HELD_OUT, SAMPLE_RATE, check_programs, draw_utterance, speak

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

MANIFEST = "manifest.csv"
LICENCE = "none; synthetic voices"


def speak_sentences(
    sentences: Sequence[str], folder: Path, seed: int, told: Callable[[int], None] = lambda done: None, workers: int = 2
) -> list[Clip]:
    """A clip of each sentence, in order, as FLAC in `folder`; what a call before made there is taken as it is.

    Raises Unsupported where espeak-ng or flite is not installed.
    """
    manifest = folder / MANIFEST
    kept = list(read_manifest(manifest)) if manifest.is_file() else []
    if kept and [clip.text for clip in kept] == list(sentences):
        return kept
    check_programs()
    folder.mkdir(parents=True, exist_ok=True)
    clips = []
    with at_once(workers) as pool:
        jobs = pool.map(lambda job: _spoken(job[0], job[1], folder, seed), enumerate(sentences))
        for done, clip in enumerate(jobs, 1):
            clips.append(clip)
            told(done)
    write_manifest(manifest, clips)
    return list(read_manifest(manifest))


def _spoken(index: int, sentence: str, folder: Path, seed: int) -> Clip:
    utterance = draw_utterance(SentenceSource([sentence], 0.0), seed, index, HELD_OUT)
    edge = np.zeros(int(EDGE_S * SAMPLE_RATE), np.float32)
    samples = np.concatenate([edge, 0.5 * speak(utterance), edge])
    if index % 2:
        dice = np.random.default_rng([seed, index])
        samples = add_noise(samples, steady_noise(len(samples), dice), float(dice.uniform(*SNR_DB)))
    path = folder / f"{index:04d}.flac"
    soundfile.write(path, np.clip(samples, -1, 1), SAMPLE_RATE, format="FLAC", subtype="PCM_16")
    return Clip(path, sentence, speaker=utterance.voice, duration_s=len(samples) / SAMPLE_RATE, licence=LICENCE)
