"""Which labels that were learned from may be wrong, as a number from 0 to 1 for every clip: back to the queue.

Base and candidate are both asked, by their served graphs. A label is doubtful where CTC finds it far less likely, per
letter, than what the model itself hears, and the model is sure of that. The base never learned the labels, so it cannot
have learned a wrong one by heart; the candidate knows the new words, so it does not doubt right ones.

The report of a run (`report.suspects`) names the few that are surely wrong; this orders all.
"""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stt_server.errors import BadInput
from stt_server.speech.files import read_audio
from stt_server.speech.text import normalize
from training.gate.acoustics import best_labels, ctc_loss, logprobs

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from stt_server.corpus.clip import Clip
    from stt_server.speech.recognizer import Recognizer

COLUMNS = ("clip", "suspect", "text", "heard", "path")
LONGEST_S = 60.0


@dataclass(frozen=True, slots=True)
class Doubt:
    """`suspect` is 0 where both models hear the label, near 1 where they are sure of another text.

    It is one less the product of what each is not sure of. Measured on 48 clips of eight sentences with unknown words,
    after a training on labels of which 14 were wrong: these 14 and one right one are at 0.5 or above, where the queue
    asks again; of 48 right ones none. The mean of both put six there, the candidate alone one.
    """

    clip: Clip
    suspect: float
    heard: str  # by the candidate, without language model
    label: str = ""  # the clip's text, normalised

    @property
    def clip_id(self) -> str:
        """A snapshot's recordings are named after their clips."""
        return self.clip.path.stem


def doubts(base: Recognizer, candidate: Recognizer, clips: Sequence[Clip], most: int) -> list[Doubt]:
    """Up to `most` of the clips, spread over them; the most doubtful first. A clip that cannot be read is an error."""
    chosen = clips[:: max(1, -(-len(clips) // most))] if most else []
    found = [_doubt(base, candidate, clip) for clip in chosen]
    return sorted(found, key=lambda each: (-each.suspect, str(each.clip.path)))


def write_doubts(path: Path, found: Iterable[Doubt]) -> None:
    """suspects.csv: clip (its file's stem), suspect, text, heard, path."""
    with path.open("w", encoding="utf-8", errors="backslashreplace", newline="") as lines:
        writer = csv.writer(lines, lineterminator="\n")
        writer.writerow(COLUMNS)
        for each in found:
            writer.writerow([each.clip_id, f"{each.suspect:.4f}", each.clip.text, each.heard, each.clip.path])


def _doubt(base: Recognizer, candidate: Recognizer, clip: Clip) -> Doubt:
    samples = read_audio(clip.path, max_s=LONGEST_S)
    label = normalize(clip.text, drop_unspellable=True)
    (from_base, _), (from_candidate, heard) = (_weighed(each, samples, label) for each in (base, candidate))
    return Doubt(clip, 1 - (1 - from_base) * (1 - from_candidate), heard, label)


def _weighed(recognizer: Recognizer, samples: NDArray[np.float32], label: str) -> tuple[float, str]:
    """How sure the model is that `label` is wrong, and what it hears."""
    manifest = recognizer.bundle.manifest
    said = logprobs(manifest, recognizer.model, samples)
    best = best_labels(said)
    heard = manifest.alphabet.decode(best).strip()
    try:
        asked = manifest.alphabet.encode(label)
    except BadInput:  # a letter that the model cannot write: it has no opinion
        return 0.0, heard
    of_heard = ctc_loss(said, best) / max(1, len(best))
    of_label = ctc_loss(said, asked) / max(1, len(asked))
    return math.exp(-of_heard) * (1 - math.exp(-max(0.0, of_label - of_heard))), heard
