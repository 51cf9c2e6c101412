"""Who speaks, how long, in how much noise: the groups that a test is looked at by.

| by         | group                                                                                             |
| ---------- | ------------------------------------------------------------------------------------------------- |
| speakers   | whether the model learned from the speaker; whether the clip names one                            |
| sentences  | whether the model learned the sentence                                                            |
| duration   | of the clip                                                                                       |
| words      | that are said                                                                                     |
| noise      | estimated signal-to-noise ratio: of 20 ms frames, the loudest twentieth against the quietest tenth |
| speaker    | each one                                                                                          |
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from stt_server.errors import EarloopError
from stt_server.speech.files import read_audio
from stt_server.speech.text import normalize

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from stt_server.corpus.clip import Clip

FRAME = 320  # samples of 20 ms
QUIETEST = 1e-9  # power, -90 dB
DURATIONS_S = ((1.0, "under 1 s"), (2.0, "1 to 2 s"), (4.0, "2 to 4 s"), (8.0, "4 to 8 s"))
WORDS = ((2, "1 word"), (4, "2 or 3 words"), (8, "4 to 7 words"))
RATIOS_DB = ((10.0, "under 10 dB"), (20.0, "10 to 20 dB"), (30.0, "20 to 30 dB"), (40.0, "30 to 40 dB"))
LONGEST_S, MOST_WORDS, CLEANEST = "8 s and more", "8 words and more", "40 dB and more"


class Sorting:
    """Sorts clips into groups, by what the training clips `learned` have of them. `seconds` are by path."""

    ways = ("speakers", "sentences", "duration", "words", "noise", "speaker")

    def __init__(self, learned: Sequence[Clip], seconds: Mapping[Path, float], ratios: Mapping[Path, float]) -> None:
        self._learned = bool(learned)
        self._speakers = {_speaker(clip) for clip in learned if clip.speaker}
        self._sentences = {_sentence(clip) for clip in learned}
        self._seconds, self._ratios = seconds, ratios

    def group(self, way: str, clip: Clip) -> str:
        """The group's name; empty where it is not known."""
        match way:
            case "speaker":
                return f"{clip.source} {clip.speaker}".strip() if clip.speaker else ""
            case "speakers":
                return self._kind_of_speaker(clip)
            case "sentences":
                known = _sentence(clip) in self._sentences
                return ("learned sentences" if known else "new sentences") if self._learned else ""
            case "duration":
                return _bucket(DURATIONS_S, LONGEST_S, self._seconds.get(clip.path))
            case "words":
                return _bucket(WORDS, MOST_WORDS, len(_sentence(clip).split()))
            case _:
                return _bucket(RATIOS_DB, CLEANEST, self._ratios.get(clip.path))

    def knows(self, way: str, clips: Sequence[Clip]) -> bool:
        """Whether it can sort all of `clips`: of training clips, the noise is not estimated."""
        return all(self.group(way, clip) for clip in clips)

    def in_order(self, way: str, names: Iterable[str]) -> list[str]:
        """Names of one way as a reader expects them: buckets rise, the others are sorted."""
        rising = {"duration": (DURATIONS_S, LONGEST_S), "words": (WORDS, MOST_WORDS), "noise": (RATIOS_DB, CLEANEST)}
        if way not in rising:
            return sorted(names)
        limits, last = rising[way]
        order = [*(name for _, name in limits), last]
        return sorted(names, key=lambda name: order.index(name) if name in order else -1)

    def _kind_of_speaker(self, clip: Clip) -> str:
        if not self._learned:
            return ""
        if not clip.speaker:
            return "speakers not named"
        return "learned speakers" if _speaker(clip) in self._speakers else "new speakers"


def estimated_ratios(clips: Iterable[Clip]) -> dict[Path, float]:
    """The estimated signal-to-noise ratio of each clip in dB; without those that cannot be read."""
    found = {}
    for clip in clips:
        try:
            found[clip.path] = estimated_ratio(read_audio(clip.path))
        except EarloopError:  # the pre-flight names it
            continue
    return found


def estimated_ratio(samples: NDArray[np.float32]) -> float:
    """Of samples (n,) at 16 kHz, in dB: the loudest twentieth of 20 ms frames against the quietest tenth.

    In a clip cut so tightly that nothing but speech is left, quiet sounds pass for noise, and the estimate is low.
    """
    whole = len(samples) // FRAME * FRAME
    powers = np.mean(np.square(samples[:whole].reshape(-1, FRAME)), axis=1) if whole else np.square(samples[:1])
    quiet, loud = np.quantile(powers, [0.1, 0.95])
    return float(10 * np.log10((loud + QUIETEST) / (quiet + QUIETEST)))


def _bucket(limits: Sequence[tuple[float, str]], last: str, value: float | None) -> str:
    if value is None:
        return ""
    return next((name for limit, name in limits if value < limit), last)


def _speaker(clip: Clip) -> str:
    return f"{clip.source} {clip.speaker}"


def _sentence(clip: Clip) -> str:
    return normalize(clip.text, drop_unspellable=True)
