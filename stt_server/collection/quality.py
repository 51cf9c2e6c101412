"""How good a recording is: what the recorder leaves out, and what somebody at a microphone is told at once.

| problem | when |
| --- | --- |
| silent | no speech in it, or nothing above -50 dB |
| short | less speech than the shortest words have |
| quiet | speech below -42 dB of full scale |
| clipped | more than a hundredth of the loud samples at full scale |
| cut | speech in the first or last 40 ms |
| other_words | more of the script's words wrong than right; the model mishears, so this is a hint |

Levels are of the telephone band, by 20 ms frames (`speech/vad.py`); noise is the lowest tenth of them, speech the
highest fifth of those that hold speech.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from stt_server.corpus.checks import CLIPPED_SHARE, NEAR_SILENCE_PEAK
from stt_server.corpus.listening import FULL_SCALE
from stt_server.speech.text import normalize
from stt_server.speech.vad import FRAME, FRAME_MS, SAMPLE_RATE, Vad, levels
from stt_server.speech.wer import word_errors

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stt_server.speech.pcm import Samples

QUIET_DB: Final = -42.0
SHORTEST_SPEECH_S: Final = 0.1
EDGE_FRAMES: Final = 2
OTHER_WORDS: Final = 0.5  # of the script's words
LOUD: Final = 0.1  # clipping is a share of the samples above this, or a pause would hide it
FLOOR_DB: Final = -90.0  # digital silence is no better than a very quiet room


@dataclass(frozen=True, slots=True)
class Quality:
    """What 16 kHz samples are like."""

    duration_s: float
    peak: float
    clipped_share: float  # of the loud samples
    speech_s: float
    level_db: float  # of speech
    snr_db: float
    begins_cut: bool
    ends_cut: bool


@dataclass(frozen=True, slots=True)
class Problem:
    """`say` is a sentence for the person at the microphone."""

    kind: str
    say: str


def quality_of(samples: Samples) -> Quality:
    """Measure samples (n,) in ±1."""
    loudness = np.abs(samples)
    loud = int(np.count_nonzero(loudness >= LOUD))
    clipped = int(np.count_nonzero(loudness >= FULL_SCALE))
    whole = len(samples) // FRAME * FRAME
    if not whole:
        return Quality(len(samples) / SAMPLE_RATE, 0.0, 0.0, 0.0, FLOOR_DB, 0.0, begins_cut=False, ends_cut=False)
    frames_db = np.maximum(levels(samples[:whole].reshape(-1, FRAME)), FLOOR_DB)
    speech = Vad().process(samples[:whole])
    level_db = float(np.percentile(frames_db[speech], 80)) if speech.any() else float(frames_db.max())
    return Quality(
        duration_s=len(samples) / SAMPLE_RATE,
        peak=float(loudness.max()),
        clipped_share=clipped / loud if loud else 0.0,
        speech_s=int(speech.sum()) * FRAME_MS / 1000,
        level_db=level_db,
        snr_db=level_db - float(np.percentile(frames_db, 10)),
        begins_cut=bool(speech[:EDGE_FRAMES].all()),
        ends_cut=bool(speech[-EDGE_FRAMES:].all()),
    )


def problems_of(quality: Quality, heard: str = "", script: str | None = None) -> list[Problem]:
    """What is wrong with a recording of a sentence; [] when it is good."""
    if quality.peak < NEAR_SILENCE_PEAK or quality.speech_s == 0.0:
        return [Problem("silent", "No speech was heard. Is the right microphone on?")]
    return [*_problems_of_sound(quality), *_problems_of_words(heard, script)]


def _problems_of_sound(quality: Quality) -> Iterator[Problem]:
    if quality.speech_s < SHORTEST_SPEECH_S:
        yield Problem("short", "That was very short. Say the whole sentence.")
    if quality.level_db < QUIET_DB:
        yield Problem("quiet", "That was too quiet. Come closer to the microphone, or turn it up.")
    if quality.clipped_share > CLIPPED_SHARE:
        yield Problem("clipped", "That was too loud and is distorted. Go back a little, or turn the microphone down.")
    if quality.begins_cut or quality.ends_cut:
        where = "beginning" if quality.begins_cut else "end"
        yield Problem("cut", f"The {where} is cut off. Leave a moment of silence before and after you speak.")


def _problems_of_words(heard: str, script: str | None) -> Iterator[Problem]:
    wanted = normalize(script or "", drop_unspellable=True)
    if wanted and word_errors(wanted, normalize(heard, drop_unspellable=True)).rate > OTHER_WORDS:
        said = f"“{heard}”" if heard else "no words"
        yield Problem("other_words", f"The server heard {said}. Say it again, or keep it if it was right.")
