"""One step: losses of its batches, faulty clips put aside, gradients of all processes added up, weights moved."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from training.distributed import ALONE
from training.listening import fits, logprobs_of, losses_of
from training.memory import give_back, is_out_of_memory
from training.precision import PLAIN

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import Tensor

    from training.batches import Batch, Take
    from training.distributed import Team
    from training.holding import Hold
    from training.precision import Numerics
    from training.streaming import StreamingModel

Key = tuple[int, int, int]  # seed, epoch and number of a batch

TOO_LONG = "the text is longer than the audio can hold"
NOT_A_NUMBER = "the loss is not a number"


@dataclass(frozen=True, slots=True)
class Fault:
    """A take from which nothing could be learned."""

    take: Take
    why: str


@dataclass(slots=True)
class Learned:
    """The loss per letter of one step, NaN where it changed no weight."""

    loss: float = 0.0
    faults: list[Fault] = field(default_factory=list)


class Stepper:
    """Moves a model's weights. Its own state is the optimizer's and, in fp16, the scale of the loss."""

    def __init__(
        self,
        model: StreamingModel,
        optimizer: torch.optim.Optimizer,
        clip_norm: float,
        numerics: Numerics = PLAIN,
        team: Team = ALONE,
        hold: Hold | None = None,
    ) -> None:
        self.model, self.optimizer, self.clip_norm = model, optimizer, clip_norm
        self.numerics, self.team, self.hold = numerics, team, hold
        self.parts = 1  # in which a batch is learned: more once memory ended, as it may where others use it, too
        self.scaler = torch.amp.GradScaler(numerics.device.type, enabled=numerics.needs_scaling)

    def step(self, keys: Sequence[Key], batches: Sequence[Batch], rate: float) -> Learned:
        """Learn this process's batches, each under the key that its dropout is drawn from. A gradient that is not
        finite changes no weight; a clip whose loss is not is left out of its batch, and named.
        """
        self.model.train()
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        (letters,) = self.team.sum(sum(int(batch.letters.sum()) for batch in batches))
        while (learned := self._gradients(keys, batches, max(1.0, letters))) is None:
            give_back(self.numerics.device)
        self.team.add_gradients(self.model.parameters())
        (learned.loss,) = self.team.sum(learned.loss)
        if not self._move():
            learned.loss = math.nan
        return learned

    def _gradients(self, keys: Sequence[Key], batches: Sequence[Batch], letters: float) -> Learned | None:
        """The gradients of these batches alone. None where memory ended: the next call takes smaller parts of them.

        Raises what torch raises where single utterances are too much.
        """
        self.optimizer.zero_grad(set_to_none=True)
        learned = Learned()
        try:
            for key, batch in zip(keys, batches, strict=True):
                torch.manual_seed(int(np.random.SeedSequence(key).generate_state(1)[0]))
                for part in _parted(batch, self.parts):
                    learned.loss += self._backward(part, letters, learned.faults)
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error) or self.parts >= max(len(batch.takes) for batch in batches):
                raise
            self.parts *= 2
            return None
        return learned

    def _backward(self, batch: Batch, letters: float, faults: list[Fault]) -> float:
        """Add the gradient of the batch's losses over `letters`; returns their sum over `letters`."""
        logprobs = logprobs_of(self.model, batch, self.numerics)
        losses = losses_of(logprobs, batch)
        if self.hold:
            losses = self.hold.on(losses, logprobs, batch, self.numerics)
        sound = losses.detach().isfinite().tolist()
        if not all(sound):
            return self._backward_without(batch, sound, letters, faults)
        if (losses.detach() == 0).any():
            faults += [Fault(take, TOO_LONG) for take, fit in zip(batch.takes, fits(batch), strict=True) if not fit]
        loss = losses.sum() / letters
        self.scaler.scale(loss).backward()
        return float(loss.detach())

    def _backward_without(self, batch: Batch, sound: list[bool], letters: float, faults: list[Fault]) -> float:
        """Again with those whose loss is finite. Where none is, the model may be at fault and not the clips."""
        audible = batch.features.isfinite().flatten(1).all(1).tolist()
        blamed = [row for row, finite in enumerate(sound) if not finite and (any(sound) or not audible[row])]
        faults += [Fault(batch.takes[row], NOT_A_NUMBER) for row in blamed]
        rest = [row for row, finite in enumerate(sound) if finite]
        return self._backward(batch.rows(rest), letters, faults) if rest else math.nan

    def _move(self) -> bool:
        """The optimizer's step, or none where a gradient is not finite; the same in every process."""
        if all(weight.grad is None for weight in self.model.parameters()):
            return False
        self.scaler.unscale_(self.optimizer)
        norm: Tensor = nn.utils.clip_grad_norm_(self.model.parameters(), self.clip_norm)
        finite = bool(norm.isfinite())
        if finite:
            self.scaler.step(self.optimizer)
        self.scaler.update()
        return finite


def _parted(batch: Batch, parts: int) -> Iterator[Batch]:
    """The batch in at most so many parts of like size; whole where one is asked for."""
    if parts == 1:
        yield batch
        return
    size = -(-len(batch.takes) // parts)
    for first in range(0, len(batch.takes), size):
        yield batch.rows(range(first, min(first + size, len(batch.takes))))
