"""What each stream of a load test says: clips, one after the other, and where in them speech ends.

    turn 0            turn 1                         turn 2
    clip ─ flush      clip ─ pause ─ flush           clip ─ flush …
    push to talk      the server must find the end   push to talk

A push-to-talk turn ends with the clip's last voiced sound and a flush. In the others quiet follows, long enough for the
server's own endpoint; the flush behind it only closes the turn, so that finals are told apart. Audio never pauses: each
stream brings a second of it every second.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from stt_server.messages import Flush
from stt_server.speech.pcm import to_int16

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    Samples = NDArray[np.float32]

RATE = 16_000
AFTER_SPEECH_MS = 120  # of the clip kept behind its last voiced sound: a breath, the end of an s
PAUSE_OVER_SILENCE_MS = 1_000  # a pause is this much longer than the silence that ends an utterance
QUIET = 3e-4  # root mean square of the pause: a quiet room's microphone, −70 dB
VOICED_BELOW_PEAK_DB = 35
FRAME = RATE // 100


@dataclass(frozen=True, slots=True)
class Speech:
    """A clip to say: its text, its samples (n,) at 16 kHz in [-1, 1]."""

    text: str
    samples: Samples


@dataclass(frozen=True, slots=True)
class Turn:
    """Places in the stream, in samples: where the clip begins, where its voice ends, where the flush stands."""

    text: str
    start: int
    voice_end: int
    end: int
    push_to_talk: bool


@dataclass(frozen=True, slots=True)
class Script:
    """One stream's audio (s16le) and its turns."""

    data: bytes
    turns: tuple[Turn, ...]

    @property
    def seconds(self) -> float:
        return len(self.data) / 2 / RATE

    def pieces(self, piece_ms: int) -> Iterator[tuple[int, bytes | Flush]]:
        """Audio in pieces of `piece_ms`, cut shorter at the end of a turn, and flushes; each with the stream's length
        in samples after it.
        """
        step = RATE * piece_ms // 1000
        start = 0
        for turn in self.turns:
            while start < turn.end:
                end = min(start + step, turn.end)
                yield end, self.data[2 * start : 2 * end]
                start = end
            yield start, Flush()


def write_scripts(clips: Sequence[Speech], streams: int, seconds: float, silence_ms: int) -> list[Script]:
    """A script of at least `seconds` for each stream: the same clips, in an order of its own."""
    return [_write(clips, seconds, silence_ms, stream) for stream in range(streams)]


def _write(clips: Sequence[Speech], seconds: float, silence_ms: int, stream: int) -> Script:
    rng = np.random.default_rng(stream)
    parts: list[Samples] = []
    turns: list[Turn] = []
    length = 0
    order: list[int] = []
    while length < seconds * RATE:
        order = order or rng.permutation(len(clips)).tolist()
        clip = clips[order.pop()]
        push_to_talk = (len(turns) + stream) % 2 == 0
        audio = clip.samples[: voice_end(clip.samples) + RATE * AFTER_SPEECH_MS // 1000]
        pause = 0 if push_to_talk else RATE * (silence_ms + PAUSE_OVER_SILENCE_MS) // 1000
        parts += [audio, (rng.standard_normal(pause) * QUIET).astype(np.float32)]
        end = length + len(audio) + pause
        turns.append(Turn(clip.text, length, length + voice_end(audio), end, push_to_talk))
        length = end
    return Script(to_int16(np.concatenate(parts)).tobytes(), tuple(turns))


def voice_end(samples: Samples) -> int:
    """One past the last 10 ms whose level is within 35 dB of the clip's loudest 10 ms."""
    frames = samples[: len(samples) // FRAME * FRAME].reshape(-1, FRAME)
    if not len(frames):
        return len(samples)
    power = np.square(frames, dtype=np.float64).mean(1)
    loud = np.flatnonzero(power >= power.max() * 10 ** (-VOICED_BELOW_PEAK_DB / 10))
    return int(loud[-1] + 1) * FRAME
