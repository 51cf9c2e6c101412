"""What a bundle's acoustic model says of a recording, without endpoints and decoder; and what CTC makes of it.

numpy and the served graph alone: a gate needs neither torch nor the checkpoint.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from stt_server.speech.features import LogMel

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from stt_server.speech.acoustic import AcousticModel
    from stt_server.speech.bundle import Manifest

    Floats = NDArray[np.float32]

BLANK = 0
IMPOSSIBLE = -np.inf


def logprobs(manifest: Manifest, model: AcousticModel, samples: Floats) -> Floats:
    """Log-probabilities (T, labels) of 16 kHz samples (n,), step by step as they are served; T may be 0."""
    mel = LogMel(manifest.features.recipe())
    frames = mel.whole(samples)
    outputs = len(frames) // manifest.subsampling
    needed = len(frames) + manifest.lag_frames * manifest.subsampling
    padded = np.pad(frames, ((0, -needed % manifest.step_frames + needed - len(frames)), (0, 0)),
                    constant_values=mel.recipe.silence)  # fmt: skip
    states, steps = [model.initial()], []
    for start in range(0, len(padded), manifest.step_frames):
        step, states = model.step(padded[None, start : start + manifest.step_frames], states)
        steps.append(step[0])
    said: Floats = np.concatenate(steps)[manifest.lag_frames : manifest.lag_frames + outputs]
    return said


def best_labels(logprobs_TV: Floats) -> list[int]:
    """The labels of the likeliest path, repeats and blanks taken out."""
    path = logprobs_TV.argmax(1)
    kept = path[np.insert(path[1:] != path[:-1], 0, values=True)] if len(path) else path
    return [int(label) for label in kept if label != BLANK]


def ctc_loss(logprobs_TV: Floats, labels: Sequence[int]) -> float:
    """Nats by which `labels` are unlikely, over all their alignments (Graves et al. 2006); infinite where none fits."""
    if len(logprobs_TV) == 0:
        return 0.0 if not labels else float("inf")
    states = np.full(2 * len(labels) + 1, BLANK)
    states[1::2] = labels
    skips = np.full(len(states), IMPOSSIBLE)  # a letter may follow another one directly, unless it is the same
    skips[3::2][states[3::2] != states[1:-2:2]] = 0.0
    before = np.full(len(states) + 2, IMPOSSIBLE)  # two behind the first state that nothing comes from
    before[2:4] = logprobs_TV[0, states[:2]]
    for row in logprobs_TV[1:].astype(float):
        moved = np.logaddexp(before[2:], before[1:-1])
        before[2:] = np.logaddexp(moved, before[:-2] + skips) + row[states]
    return float(-np.logaddexp.reduce(before[-2:] if labels else before[-1:]))
