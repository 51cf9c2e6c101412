"""What a second of audio costs with both models: processor time, in turns, so that a busy machine slows both alike."""

from __future__ import annotations

from time import thread_time
from typing import TYPE_CHECKING

import numpy as np

from training.gate.schema import Latency

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from stt_server.speech.recognizer import Recognizer
    from training.policy import Costs

WARM, STEPS, CLIPS = 3, 40, 10  # rounds


def measure_latency(base: Recognizer, candidate: Recognizer, samples: NDArray[np.float32], costs: Costs) -> Latency:
    """A step of the acoustic model for one stream, and `samples` (n,) through the whole recogniser.

    A step tells what a word waits for, the whole what a core can carry; the worse ratio is judged. Of all rounds the
    least time counts: on two cores with a load of ten, medians of seven differed by 15 % between models of one size.
    """
    both, seconds = (base, candidate), len(samples) / base.bundle.manifest.features.sample_rate
    step = [1000 * each for each in _in_turns([_stepper(each) for each in both], STEPS)]
    whole = [1000 * each / seconds for each in _in_turns([_whole(each, samples) for each in both], CLIPS)]
    audio_ms = [each.bundle.manifest.step_frames * each.bundle.manifest.features.hop_ms for each in both]
    ratio = max(step[1] / audio_ms[1] / (step[0] / audio_ms[0]), whole[1] / whole[0])
    return Latency(
        base_step_ms=round(step[0], 3),
        candidate_step_ms=round(step[1], 3),
        base_ms_per_s=round(whole[0], 2),
        candidate_ms_per_s=round(whole[1], 2),
        ratio=round(ratio, 3),
        limit=costs.latency,
        verdict="passed" if ratio <= costs.latency else "refused",
    )


def _in_turns(tasks: list[Callable[[], None]], rounds: int) -> list[float]:
    """The least processor time of each task in seconds, after a few rounds to warm up."""
    took: list[list[float]] = [[] for _ in tasks]
    for number in range(WARM + rounds):
        for task, times in zip(tasks, took, strict=True):
            begun = thread_time()
            task()
            if number >= WARM:
                times.append(thread_time() - begun)
    return [max(min(times), 1e-6) for times in took]


def _stepper(recognizer: Recognizer) -> Callable[[], None]:
    model = recognizer.model
    features = np.zeros((1, recognizer.bundle.manifest.step_frames, model.n_mels), np.float32)
    states = [model.initial()]
    return lambda: (model.step(features, states), None)[1]


def _whole(recognizer: Recognizer, samples: NDArray[np.float32]) -> Callable[[], None]:
    return lambda: (recognizer.transcribe(samples), None)[1]
