"""What the readers of the seeds recorded: lists of clips for training, validation and test, here by synthetic voices.

Nobody speaks in two parts. `HELD_OUT` voices, which no training of ours may hear, make the test.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from stt_server.speech.files import write_wav
from training.synthetic import ACCENTS, FLITE, HELD_OUT, VARIANTS, Utterance, speak

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

EDGE = np.zeros(4000, np.float32)  # a quarter of a second before and after, as between pressing record and speaking
ESPEAK = [f"{accent}{variant}" for variant in VARIANTS for accent in dict.fromkeys(ACCENTS)]
UNHEARD = HELD_OUT  # by whoever was in training or validation


def voices(count: int, start: int = 0) -> list[str]:
    """So many voices that are not held out, of different accents and timbres; `start` skips as many.

    The first of all are flite's, whose sound is another than espeak-ng's.
    """
    dice = np.random.default_rng(4)
    order = [f"flite:{name}" for name in dict.fromkeys(FLITE)]
    order += [ESPEAK[index] for index in dice.permutation(len(ESPEAK)).tolist()]
    return order[start : start + count]


def record(folder: Path, part: str, sentences: Sequence[str], speakers: Sequence[str], takes: int = 1) -> Path:
    """DeepSpeech's CSV of every speaker saying every sentence `takes` times, at other rates and pitches."""
    (folder / part).mkdir(parents=True)
    dice = np.random.default_rng(len(part))
    rows = ["wav_filename,wav_filesize,transcript"]
    for speaker in speakers:
        for text in sentences:
            for _ in range(takes):
                rate, pitch = int(dice.integers(130, 200)), int(dice.integers(25, 75))
                if speaker.startswith("flite:"):
                    pitch += 90
                path = folder / part / f"{part}-{len(rows):03d}.wav"
                write_wav(path, np.concatenate([EDGE, 0.5 * speak(Utterance(text, speaker, rate, pitch)), EDGE]))
                rows.append(f"{path},{path.stat().st_size},{text}")
    listed = folder / part / f"{part}.csv"
    listed.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return listed
