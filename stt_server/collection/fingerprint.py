"""By what copies of a recording are known: exactly by its samples, nearly by how its loudness goes.

The same take at another level, or coded anew, has other samples but the same outline: 64 levels over time without
their mean (`corpus/listening.py`, which checks corpora by the same rule). Two takes of "yes" by one person may be as
alike, so duration and the words heard must agree as well.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

import numpy as np

from stt_server.corpus.duplicates import NEAR
from stt_server.corpus.listening import outline_of, powers_of
from stt_server.speech.pcm import to_int16
from stt_server.speech.vad import FRAME

if TYPE_CHECKING:
    from stt_server.speech.pcm import Samples

NEAR_DURATION_S: Final = 0.05


def content_of(samples: Samples) -> bytes:
    """SHA-256 of the samples as they are kept, whatever file they came in."""
    return hashlib.sha256(to_int16(samples).astype("<i2").tobytes()).digest()


def fingerprint_of(samples: Samples) -> bytes:
    """The outline, 64 signed bytes."""
    return outline_of(powers_of(samples, FRAME))


def are_near(one: bytes, other: bytes) -> bool:
    """Whether two outlines are of the same take."""
    pair = np.array([np.frombuffer(each, np.int8) for each in (one, other)], np.float32)
    lengths = np.linalg.norm(pair, axis=1)
    return bool(pair[0] @ pair[1] > NEAR * max(float(lengths[0] * lengths[1]), 1e-9))
