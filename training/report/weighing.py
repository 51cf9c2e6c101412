"""How likely a trained model finds the labels of the clips it learned from, and what it hears instead."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from training.clips import ClipArray
from training.listening import listen
from training.report.suspects import UNLIKELY, Weighed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from stt_server.corpus.clip import Clip
    from stt_server.speech.alphabet import Alphabet
    from stt_server.speech.features import LogMel
    from training.streaming import StreamingModel

AT_ONCE = 256  # clips; so many are copied


def weigh(
    model: StreamingModel, clips: Sequence[Clip], audio: ClipArray, alphabet: Alphabet, mel: LogMel, most: int
) -> list[Weighed]:
    """Up to `most` clips, spread over all; `audio` has theirs, in their order. Only those that may be suspects."""
    if not clips or not most:
        return []
    chosen = list(range(0, len(clips), max(1, -(-len(clips) // most))))
    found: list[Weighed] = []
    for start in range(0, len(chosen), AT_ONCE):
        places = chosen[start : start + AT_ONCE]
        found += _weighed(model, [clips[at] for at in places], _some(audio, places), alphabet, mel)
    return found


def _weighed(
    model: StreamingModel, clips: Sequence[Clip], audio: ClipArray, alphabet: Alphabet, mel: LogMel
) -> Iterator[Weighed]:
    """What is heard is weighed only where the label is unlikely and it is another."""
    first = listen(model, audio, alphabet, mel)
    doubtful = [
        at
        for at, (clip, heard) in enumerate(zip(clips, first.texts, strict=True))
        if heard and heard != clip.text and first.losses[at] >= UNLIKELY
    ]
    if not doubtful:
        return
    other = _some(audio, doubtful)
    other.said = [replace(said, text=first.texts[at]) for said, at in zip(other.said, doubtful, strict=True)]
    losses = listen(model, other, alphabet, mel).losses
    for at, loss in zip(doubtful, losses.tolist(), strict=True):
        yield Weighed(clips[at], float(first.losses[at]), first.texts[at], loss)


def _some(audio: ClipArray, places: Sequence[int]) -> ClipArray:
    """The clips at `places`, in memory."""
    starts = [int(audio.ends[at - 1]) if at else 0 for at in places]
    pieces = [audio.samples[start : audio.ends[at]] for start, at in zip(starts, places, strict=True)]
    ends = np.cumsum([len(piece) for piece in pieces])
    return ClipArray(np.concatenate(pieces), ends, [audio.said[at] for at in places])
