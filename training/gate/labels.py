"""Do labels belong to their recordings at all? Shuffled ones do not: they teach nothing, and nothing is proven by them.

Each recording's own label is compared with that of another one of the list. A model that hears anything is nearer to
the own one; where it is not, either the labels are in disorder or the candidate is deaf, and both forbid a promotion.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from stt_server.speech.wer import word_errors

if TYPE_CHECKING:
    from collections.abc import Sequence

FEWEST = 10  # recordings with another label to compare with
RESAMPLES = 1000


@dataclass(frozen=True, slots=True)
class Fit:
    """Mean share of wrong words by the own label and by another's; `fits` when the first is surely the smaller."""

    own: float
    other: float
    fits: bool


def label_fit(pairs: Sequence[tuple[str, str]]) -> Fit | None:
    """Of (said, heard by the candidate). None where labels are too few to tell, as in a target of one sentence."""
    others = _other_labels([said for said, _ in pairs])
    compared = [(*pair, other) for pair, other in zip(pairs, others, strict=True) if other is not None]
    if len(compared) < FEWEST:
        return None
    own = np.array([_distance(said, heard) for said, heard, _ in compared])
    far = np.array([_distance(other, heard) for _, heard, other in compared])
    drawn = np.random.default_rng(0).integers(len(own), size=(RESAMPLES, len(own)))
    low = float(np.quantile((far - own)[drawn].mean(1), 0.025))
    return Fit(float(own.mean()), float(far.mean()), low > 0)


def _other_labels(labels: Sequence[str]) -> list[str | None]:
    """For each label one of another text, drawn by chance, the same on every run; None where all texts are the same."""
    dice = np.random.default_rng(0)
    texts = sorted(set(labels))
    places = {text: place for place, text in enumerate(texts)}
    if len(texts) < 2:
        return [None] * len(labels)
    return [texts[(places[label] + int(dice.integers(1, len(texts)))) % len(texts)] for label in labels]


def _distance(said: str, heard: str) -> float:
    """Share of wrong words, 0 to 1: a long text that was heard weighs no more than another."""
    errors = word_errors(said, heard)
    return errors.total / max(1, errors.words, len(heard.split()))
