"""Utterances worth listening to, with their audio inside the page."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stt_server.errors import EarloopError
from stt_server.speech.files import read_audio, write_flac
from stt_server.speech.wer import character_errors
from training.report.differences import Difference, differences

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from stt_server.corpus.evaluation import Heard

LONGEST_S = 30.0


@dataclass(frozen=True, slots=True)
class Shown:
    """An utterance of the page. `audio` is a data URI; empty where there was no room or the clip cannot be read."""

    kind: str  # best, median or worst
    path: str
    source: str
    said: str
    heard: str
    errors: int
    confidence: float
    seconds: float
    differences: list[Difference]
    audio: str


class Player:
    """Makes data URIs until `room_bytes` of them are made. FLAC, for every browser plays it."""

    def __init__(self, room_bytes: int) -> None:
        self.room_bytes = room_bytes

    def __call__(self, path: Path) -> str:
        """Empty where the clip is too long, cannot be read, or there is no room left."""
        try:
            samples = read_audio(path, max_s=LONGEST_S)
        except EarloopError:  # such as a clip that was moved since; the page says that it has no audio
            return ""
        file = io.BytesIO()
        write_flac(file, samples)
        uri = "data:audio/flac;base64," + base64.b64encode(file.getvalue()).decode()
        if len(uri) > self.room_bytes:
            return ""
        self.room_bytes -= len(uri)
        return uri


def best_median_worst(utterances: Sequence[Heard], each: int, player: Player) -> list[Shown]:
    """`each` of the best (longest without an error), of the middle and of the worst, without any twice."""
    ranked = sorted(utterances, key=_badness)
    each = min(each, max(1, len(ranked) // 3))
    middle = (len(ranked) - each) // 2
    parts = {"worst": ranked[::-1][:each], "median": ranked[middle : middle + each], "best": ranked[:each]}
    seen: set[int] = set()
    shown = []
    for kind, part in parts.items():
        for heard in part:
            if id(heard) not in seen:
                seen.add(id(heard))
                shown.append(_shown(kind, heard, player))
    return shown


def _badness(heard: Heard) -> tuple[float, float, int]:
    """Wrong words, then wrong characters; the longer of two right ones is the better."""
    rate = character_errors(heard.said, heard.heard).rate
    return heard.errors / max(1, len(heard.said.split())), rate, -len(heard.said)


def _shown(kind: str, heard: Heard, player: Player) -> Shown:
    return Shown(
        kind,
        str(heard.clip.path),
        heard.clip.source,
        heard.said,
        heard.heard,
        heard.errors,
        heard.confidence,
        heard.audio_s,
        differences(heard.said, heard.heard),
        player(heard.clip.path),
    )
