"""Before a run begins: does its longest batch fit into memory? Found out at once and not after an hour."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from stt_server.errors import TooLarge
from training.batches import Batch, longest_batch, plan_epoch
from training.listening import SILENCE, logprobs_of, losses_of
from training.memory import give_back, is_out_of_memory
from training.streaming import SUBSAMPLING

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from stt_server.speech.alphabet import Alphabet
    from training.batches import Take
    from training.clips import ClipArray
    from training.distributed import Team
    from training.precision import Numerics
    from training.recipe import Recipe
    from training.streaming import StreamingModel

FRAMES_A_SECOND = 100
MOMENTS = 2  # numbers that AdamW keeps for each weight


def halvings_needed(
    recipe: Recipe,
    model: StreamingModel,
    clips: ClipArray,
    weights: NDArray[np.float64],
    alphabet: Alphabet,
    numerics: Numerics,
    team: Team,
    halvings: int,
    say: Callable[[str], None],
) -> int:
    """How often `batch_s` must be halved for the longest batch to fit; begins with `halvings`, tells each one more.

    As often `accumulate` is to be doubled, so that a step learns from as much as before. Raises TooLarge where not even
    one clip fits.
    """
    while True:
        batch_s, dice = recipe.schedule.batch_s / 2**halvings, np.random.default_rng(0)
        plan = plan_epoch(clips.seconds, weights, batch_s, dice, recipe.augmentation.join)
        if not plan:
            return halvings
        takes, longest_s = longest_batch(plan, clips.seconds, recipe.augmentation)
        batch = _as_large(takes, longest_s, clips, alphabet, model.shape.n_mels)
        if is_bearable(model, batch, numerics, team):
            return halvings
        if max(map(len, plan)) == 1:
            told = f"one clip of {longest_s:.1f} s is too much for the memory there is"
            raise TooLarge(f"{told}; set data.longest_s or model.width lower", field="data.longest_s")
        halvings += 1
        say(f"memory is too short for batches of {batch_s:g} s: they are halved, and twice as many make a step")


def is_bearable(model: StreamingModel, batch: Batch, numerics: Numerics, team: Team) -> bool:
    """Whether every process can learn the batch, with the optimizer's numbers beside it. No weight changes."""
    model.train()
    try:
        beside = [torch.zeros_like(weight) for weight in model.parameters() for _ in range(MOMENTS)]
        losses_of(logprobs_of(model, batch, numerics), batch).sum().backward()
        del beside
        fits = True
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        fits = False
    model.zero_grad(set_to_none=True)
    give_back(numerics.device)
    return team.sum(not fits)[0] == 0


def _as_large(takes: list[Take], longest_s: float, clips: ClipArray, alphabet: Alphabet, n_mels: int) -> Batch:
    """A batch of the takes' texts, each as long as the longest may become, without a sound."""
    frames = SUBSAMPLING * max(1, round(longest_s * FRAMES_A_SECOND / SUBSAMPLING))
    texts = [alphabet.encode(" ".join(clips.said[clip].text for clip in take)) for take in takes]
    return Batch(
        torch.full((len(takes), frames, n_mels), SILENCE),
        torch.tensor([label for labels in texts for label in labels], dtype=torch.long),
        torch.full((len(takes),), frames // SUBSAMPLING),
        torch.tensor([len(labels) for labels in texts]),
        takes,
    )
