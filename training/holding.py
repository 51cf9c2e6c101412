"""Holding on to what the base model makes of replayed audio, whatever its transcript.

A transcript of replay pulls at the model even where the base has long weighed it against all else it learned; what the
base itself says of the same frames pulls at nothing until something is forgotten. So for replayed takes the loss is not
CTC but the Kullback-Leibler divergence of the model from the base, summed over frames: in nats an utterance, as CTC is.
Yu et al. 2013, "KL-divergence regularized deep neural network adaptation"; Li & Hoiem 2016, "Learning without
forgetting". It takes one more pass forward through the base, without gradients.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from training.listening import logprobs_of

if TYPE_CHECKING:
    from torch import Tensor

    from training.batches import Batch
    from training.precision import Numerics
    from training.streaming import StreamingModel


@dataclass(frozen=True, slots=True)
class Hold:
    """`base` writes with the same labels; clips numbered `first` and above are replay."""

    base: StreamingModel
    first: int

    def on(self, losses: Tensor, logprobs: Tensor, batch: Batch, numerics: Numerics) -> Tensor:
        """The losses (B,) of a batch, those of replayed takes replaced by their divergence from the base."""
        held = [row for row, take in enumerate(batch.takes) if min(take) >= self.first]
        if not held:
            return losses
        with torch.no_grad():
            wanted = logprobs_of(self.base.eval(), batch.rows(held), numerics)
        frames = torch.arange(wanted.shape[1], device=wanted.device) < batch.frames[held, None].to(wanted.device)
        apart = (wanted.exp() * (wanted - logprobs[held])).sum(-1)
        rows = torch.tensor(held, device=losses.device)
        return losses.index_copy(0, rows, (apart * frames).sum(-1))
