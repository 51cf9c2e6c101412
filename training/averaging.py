"""Base and tuned weights averaged: much of what was learned, little of what was forgotten.

Wortsman et al. 2022, "Robust fine-tuning of zero-shot models" (WiSE-FT): on the straight line between the weights of a
model and those it was tuned to, error rates of the new data and of the old fall and rise at different places, and a
point between them is often better than both ends. It costs no training: `auto` measures SHARES on the dev sources.
"""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from stt_server.errors import BadOption
from training import checkpoints

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from torch import Tensor

    from training.streaming import StreamingModel

    Weights = dict[str, Tensor]

SHARES = (1.0, 0.75, 0.5, 0.25)


def between(base: Weights, tuned: Weights, share: float) -> Weights:
    """Share · tuned + (1 - share) · base, for state dicts of the same shapes."""
    if share == 1.0:
        return dict(tuned)
    return {name: torch.lerp(base[name], weight, share) for name, weight in tuned.items()}


def choose_share(
    base: StreamingModel,
    tuned: StreamingModel,
    measure: Callable[[StreamingModel], Mapping[str, float]],
    say: Callable[[str], None],
) -> float:
    """The share of the tuned weights with the lowest word error rate, averaged over the dev sources.

    Of two alike the larger is taken. Raises BadOption where `measure` has nothing to measure on.
    """
    rates = {}
    for share in SHARES:
        model = copy.deepcopy(tuned)
        model.load_state_dict(between(base.state_dict(), tuned.state_dict(), share))
        measured = measure(model)
        if not measured:
            raise BadOption("`start.average` is auto, and there is no `data.dev` to choose on", field="start.average")
        rates[share] = sum(measured.values()) / len(measured)
    best = min(rates, key=lambda share: (rates[share], -share))
    told = ", ".join(f"{100 * rate:.1f} % with {share:g}" for share, rate in rates.items())
    say(f"{best:g} of the tuned weights are kept: word error rates on dev, averaged over sources, {told}")
    return best


def write_between(base: StreamingModel, checkpoint: Path, share: float, path: Path) -> Path:
    """A checkpoint whose averaged weights, those that are exported, are the mixture; for share 1 the one there is."""
    if share == 1.0:
        return checkpoint
    kept = checkpoints.load(checkpoint)
    checkpoints.save(replace(kept, averaged=between(base.state_dict(), kept.averaged, share)), path)
    return path
