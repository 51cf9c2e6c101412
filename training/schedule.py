"""How far a run is, how high its learning rate stands, and when it should be validated."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from training.checkpoints import Progress
    from training.recipe import Schedule

LOWEST = 0.01  # of the learning rate's height
WARMUP_AT_MOST = 0.1  # of the run: a job of fifty clips must not warm up for longer than it lasts
PLATEAU_FACTOR = 0.5
ROUNDING = 1e-9  # three tenths are not quite three times a tenth


def share_done(plan: Schedule, progress: Progress, batches: int) -> float:
    """How much of the schedule is behind us, 0–1: of the epochs or of the minutes, whichever is more."""
    epochs = (progress.epoch + (progress.batch / batches if batches else 0.0)) / plan.epochs
    minutes = progress.seconds / 60 / plan.minutes if plan.minutes else 0.0
    return max(epochs, minutes)


def epoch_span(plan: Schedule, progress: Progress) -> tuple[float, float]:
    """The shares of the run, 0–1, at which its epoch begins and ends, by which ranges of the augmentation move.

    A schedule in minutes does not know when an epoch will end: its ranges stand where the run stands.
    """
    if plan.minutes:
        share = min(1.0, share_done(plan, progress, 0))
        return share, share
    return progress.epoch / plan.epochs, (progress.epoch + 1) / plan.epochs


def is_over(plan: Schedule, progress: Progress) -> bool:
    """Whether nothing is left to learn: epochs done, minutes up, or stopped early."""
    return share_done(plan, progress, 0) >= 1.0 or is_stale(plan, progress)


def is_stale(plan: Schedule, progress: Progress) -> bool:
    """Whether as many validations in a row as `early_stop` allows were no better than the best before them."""
    return plan.early_stop is not None and progress.patience.stale >= plan.early_stop.patience


def learning_rate(plan: Schedule, share: float, step: int = 0, drops: int = 0) -> float:
    """A warm-up in a straight line, then as `decay` says, and never under a hundredth of the height.

    `share` is how much of the run is done, `drops` how often it stood on a plateau.
    """
    height = min(1.0, _risen(plan, share, step)) * _fallen(plan, share, drops)
    return plan.learning_rate * (LOWEST + (1 - LOWEST) * height)


def _risen(plan: Schedule, share: float, step: int) -> float:
    if plan.warmup_steps:
        return max(step / plan.warmup_steps, share / WARMUP_AT_MOST)
    return share / plan.warmup_share if plan.warmup_share else 1.0


def _fallen(plan: Schedule, share: float, drops: int) -> float:
    if plan.decay != "cosine":
        return PLATEAU_FACTOR**drops
    warm = 0.0 if plan.warmup_steps else plan.warmup_share
    turned = min(1.0, max(0.0, share - warm) / (1 - warm))
    return 0.5 * (1 + math.cos(math.pi * turned))


def is_validated_between(plan: Schedule, before: float, after: float) -> bool:
    """Whether a step from one share of the run to another passes a point at which it is validated."""
    passed = [int(share / plan.validate_share + ROUNDING) for share in (before, after)]
    return plan.validate_epochs is None and passed[1] > passed[0]


def is_validated_after(plan: Schedule, epoch: int) -> bool:
    """Whether a validation follows when so many epochs are done."""
    return plan.validate_epochs is not None and epoch % plan.validate_epochs == 0
