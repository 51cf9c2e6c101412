"""Does a GPU compute what a processor does, and how fast does it learn?

    python -m training.cudacheck

It needs no more than `packed.py` does: the sound is noise and the texts are letters, since it is arithmetic that is
checked. It says what it measures, and its exit code is 1 where something is not as it should be.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from stt_server.speech.alphabet import Alphabet
from stt_server.speech.features import FeatureRecipe, LogMel
from training.architectures import new_model
from training.batches import BatchMaker
from training.clips import SAMPLE_RATE, ClipArray, Spoken
from training.listening import logprobs_of
from training.precision import DTYPES, PLAIN, Numerics
from training.recipe import load_recipe
from training.stepping import Stepper

if TYPE_CHECKING:
    from collections.abc import Iterator

    from training.batches import Batch
    from training.streaming import StreamingModel

# Of a log-probability, from the processor's in float32. A processor's own bf16 was 0.03 away.
APART = {"fp32": 2e-3, "bf16": 0.2, "fp16": 0.05}
ARCHITECTURES = {"conv": {}, "deepspeech": {"model": {"architecture": "deepspeech", "width": 256}}}
CLIPS, SHORTEST_S, LONGEST_S = 24, 1.0, 6.0
STEPS, RATE = 60, 1e-3
LEARNED = 0.9  # of the first loss must not be left after that
BATCH_S = 600.0
FRAMES_A_SECOND = 100


@dataclass(frozen=True, slots=True)
class Finding:
    """What was measured, in a sentence, and whether it is as it should be."""

    told: str
    right: bool


def check(seconds: float = 10.0) -> Iterator[Finding]:
    """Everything; `seconds` are how long the speed of each precision is measured. Raises where CUDA does."""
    # TF32 rounds to ten bits what a processor multiplies with twenty-four.
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    for architecture in ARCHITECTURES:
        for precision in DTYPES:
            yield parity(architecture, precision)
    for precision in DTYPES:
        yield learning(precision)
    for precision in DTYPES:
        yield speed(precision, seconds)


def parity(architecture: str, precision: str) -> Finding:
    """How far log-probabilities are from those of the processor in float32."""
    model = _model(architecture).eval()
    with torch.no_grad():
        here = logprobs_of(model, _batch(), PLAIN)
        there = logprobs_of(model.to("cuda"), _batch(), _on_gpu(precision)).cpu()
    apart = float((here - there).abs().max())
    told = f"{architecture} in {precision}: log-probabilities differ by {apart:.1e} from the processor's"
    return Finding(f"{told}, {APART[precision]:g} is allowed", apart <= APART[precision])


def learning(precision: str) -> Finding:
    """Whether steps in a precision move the weights to where the loss is lower."""
    model = _model("conv").to("cuda")
    stepper, batch = _stepper(model, precision), _batch()
    losses = [stepper.step([(1, 0, number)], [batch], RATE).loss for number in range(STEPS)]
    finite = [loss for loss in losses if np.isfinite(loss)]  # in fp16 the first steps look for the scale of the loss
    first, last = finite[0] if finite else float("nan"), losses[-1]
    told = (
        f"{precision}: {len(finite)} of {STEPS} steps moved the weights, the loss went from {first:.2f} to {last:.2f}"
    )
    sound = all(bool(weight.isfinite().all()) for weight in model.parameters())
    return Finding(told, sound and len(finite) > STEPS / 2 and last < LEARNED * first)


def speed(precision: str, seconds: float) -> Finding:
    """Audio-hours that a model of the shipped sizes learns in a second, without the making of batches."""
    model = _model("conv").to("cuda")
    stepper, batch = _stepper(model, precision), _batch(BATCH_S)
    padded_s = batch.features.shape[0] * batch.features.shape[1] / FRAMES_A_SECOND
    torch.cuda.reset_peak_memory_stats()
    stepper.step([(1, 0, 0)], [batch], RATE)  # the first finds kernels and memory
    begun, steps = time.perf_counter(), 0
    while time.perf_counter() - begun < seconds:
        stepper.step([(1, 1, steps)], [batch], RATE)  # it waits for the loss, so for the GPU
        steps += 1
    hours = steps * padded_s / 3600 / (time.perf_counter() - begun)
    memory = torch.cuda.max_memory_allocated() / 1e9
    told = f"{precision}: {hours:.3f} audio-hours per second, in batches of {padded_s:.0f} s and {memory:.1f} GB"
    return Finding(told, hours > 0)


def _on_gpu(precision: str) -> Numerics:
    return Numerics(torch.device("cuda", 0), DTYPES[precision])


def _model(architecture: str) -> StreamingModel:
    return new_model(load_recipe("en-small", ARCHITECTURES[architecture]))


def _stepper(model: StreamingModel, precision: str) -> Stepper:
    return Stepper(model, torch.optim.AdamW(model.parameters(), RATE), 5.0, _on_gpu(precision))


def _batch(seconds: float = 0.0) -> Batch:
    """The clips in one batch, and again until it has so many padded seconds."""
    clips = _clips()
    maker = BatchMaker(clips, Alphabet(load_recipe("en-small").alphabet), LogMel(FeatureRecipe()))
    times = max(1, round(seconds / (CLIPS * LONGEST_S)))
    maker.set_plan([[(clip,) for _ in range(times) for clip in range(CLIPS)]], 1, 0)
    return maker[0]


def _clips() -> ClipArray:
    dice = np.random.default_rng(1)
    lengths = (dice.uniform(SHORTEST_S, LONGEST_S, CLIPS) * SAMPLE_RATE).astype(int)
    samples = (dice.standard_normal(lengths.sum()) * 3000).astype(np.int16)
    texts = ["".join(dice.choice(list("abcdefghijklmnopqrstuvwxyz "), length // 2000)) for length in lengths]
    return ClipArray(samples, np.cumsum(lengths), [Spoken(" ".join(text.split()), "noise", "") for text in texts])


def main() -> int:
    """The command; returns its exit code."""
    if not torch.cuda.is_available():
        sys.stderr.write("there is no CUDA device here\n")
        return 1
    sys.stdout.write(f"{torch.cuda.get_device_name()}, torch {torch.__version__}\n")
    wrong = 0
    for finding in check():
        sys.stdout.write(f"{'ok   ' if finding.right else 'WRONG'} {finding.told}\n")
        sys.stdout.flush()
        wrong += not finding.right
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
