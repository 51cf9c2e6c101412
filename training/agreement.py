"""Does a graph, in steps as it is served, write what torch writes of the whole clip? Asked of every test clip.

`export.check_parity` compares numbers on a few clips that lie in one stack; this compares greedy texts on all, each as
long as it is. Where all numbers of a clip agree and its text does not, two letters were as likely as each other: that
is counted and told, and no reason to refuse hours of learning.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from stt_server.errors import Internal
from stt_server.speech.acoustic import AcousticModel
from stt_server.speech.decoder.greedy import GreedyDecoder
from stt_server.speech.files import read_audio
from training.batches import frames_of
from training.export import PARITY, both_ways

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from stt_server.corpus.clip import Clip
    from stt_server.speech.alphabet import Alphabet
    from stt_server.speech.features import LogMel
    from training.streaming import StreamingModel


@dataclass(frozen=True, slots=True)
class Agreement:
    """Of `clips` the texts of `different` differ; `worst` is the largest difference of any log-probability."""

    clips: int
    different: int
    worst: float

    def __str__(self) -> str:
        return f"in steps it writes the text of the whole in {self.clips - self.different} of {self.clips} test clips"


def check_texts(
    model: StreamingModel, graph: Path, clips: Sequence[Clip], alphabet: Alphabet, mel: LogMel
) -> Agreement:
    """Raises Internal naming the clip of which any log-probability differs by more than `PARITY`."""
    served, different, worst = AcousticModel.load(graph), 0, 0.0
    for clip in clips:
        features = frames_of(mel, read_audio(clip.path))[None]
        whole, stepped = both_ways(model, served, features, mel.recipe.silence)
        apart = float(np.abs(stepped - whole).max())
        if not apart <= PARITY:
            told = f"{graph.name} differs from the trained model by {apart:.2g} in log-probability, over {PARITY}"
            raise Internal(f"{told}, in {clip.path}")
        different += greedy(whole[0], alphabet) != greedy(stepped[0], alphabet)
        worst = max(worst, apart)
    return Agreement(len(clips), different, worst)


def greedy(logprobs_TV: NDArray[np.float32], alphabet: Alphabet) -> str:
    """The text of the likeliest labels, by the decoder that serves it."""
    decoding = GreedyDecoder(alphabet).open()
    decoding.step(logprobs_TV)
    return decoding.final().text
