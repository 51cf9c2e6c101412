"""Batches of augmented features: bucketed by duration, sized in seconds, repeatable from (seed, epoch)."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from training.augmentation.chain import Surroundings, vary
from training.augmentation.masks import blank, draw_masks
from training.model import SUBSAMPLING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.random import Generator
    from numpy.typing import NDArray
    from torch import Tensor

    from stt_server.speech.alphabet import Alphabet
    from stt_server.speech.features import FeatureRecipe, LogMel
    from training.augmentation.keys import Augmentation
    from training.clips import ClipArray

__all__ = [
    "Batch",
    "BatchMaker",
    "Surroundings",
    "Take",
    "collate",
    "frames_in",
    "frames_of",
    "loader",
    "longest_batch",
    "plan_epoch",
]

SAMPLE_RATE = 16000
SHORT_S, JOINED_S = 2.0, 8.0
PAUSE_S = 0.3
Take = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Batch:
    """Features (B, T, mels) padded with silence, T a multiple of 4; `frames` are output frames, `letters` labels."""

    features: Tensor
    targets: Tensor
    frames: Tensor
    letters: Tensor
    takes: list[Take]

    def rows(self, chosen: Sequence[int]) -> Batch:
        """Some of its utterances, as long as the longest of all."""
        index = torch.tensor(chosen, dtype=torch.long)
        targets = self.targets.split(self.letters.tolist())
        return Batch(
            self.features[index],
            torch.cat([targets[row] for row in chosen]),
            self.frames[index],
            self.letters[index],
            [self.takes[row] for row in chosen],
        )


def plan_epoch(
    seconds: NDArray[np.float64], weights: NDArray[np.float64], batch_s: float, dice: Generator, join: float = 0.0
) -> list[list[Take]]:
    """Takes in batches of at most `batch_s` padded seconds, similar durations together, in random order.

    A take is a clip or, with probability `join` for a short one, a clip and another that follows it. They are paired
    here and not when a batch is made, since one long take among short ones would pad them all.
    """
    times = np.floor(weights + dice.random(len(weights))).astype(int)
    takes = [_take(clip, seconds, weights, join, dice) for clip in np.repeat(np.arange(len(seconds)), times).tolist()]
    lengths = np.array([seconds[list(take)].sum() for take in takes])
    batches: list[list[Take]] = [[]]
    longest = 0.0
    for index in np.argsort(lengths * dice.uniform(0.9, 1.1, len(takes))).tolist():
        longest = max(longest, float(lengths[index]))
        if batches[-1] and longest * (len(batches[-1]) + 1) > batch_s:
            batches.append([])
            longest = float(lengths[index])
        batches[-1].append(takes[index])
    return [batches[i] for i in dice.permutation(len(batches)) if batches[i]]


def _take(clip: int, seconds: NDArray[np.float64], weights: NDArray[np.float64], join: float, dice: Generator) -> Take:
    if seconds[clip] >= SHORT_S or dice.random() >= join:
        return (clip,)
    other = int(dice.integers(len(seconds)))
    return (clip, other) if weights[other] and seconds[other] <= JOINED_S - SHORT_S else (clip,)


def longest_batch(
    plan: list[list[Take]], seconds: NDArray[np.float64], augmentation: Augmentation
) -> tuple[list[Take], float]:
    """The batch that may become the largest, and how many seconds its longest take may become, slowed down and led."""
    slowest, lead = augmentation.longest_factor, augmentation.longest_lead_s

    def longest(batch: list[Take]) -> float:
        pauses = PAUSE_S * (max(map(len, batch)) - 1)
        return max(float(seconds[list(take)].sum()) for take in batch) * slowest + lead + pauses

    largest = max(plan, key=lambda batch: len(batch) * longest(batch))
    return largest, longest(largest)


class BatchMaker(Dataset[Batch]):
    """Makes batch `number` of an epoch; a pure function of (seed, epoch, number), so workers and resumes agree.

    What happens to a clip is a function of (seed, epoch, clip), in whatever company it comes; of several times in one
    epoch each is another. Only the silence around it is drawn for the batch. Ranges that move go from where `span`, the
    epoch's beginning and end as shares of the run, says.
    """

    def __init__(
        self,
        clips: ClipArray,
        alphabet: Alphabet,
        mel: LogMel,
        augmentation: Augmentation | None = None,
        surroundings: Surroundings | None = None,
        fill: NDArray[np.float32] | None = None,
    ) -> None:
        self.clips, self.alphabet, self.mel = clips, alphabet, mel
        self.augmentation, self.surroundings, self.fill = augmentation, surroundings or Surroundings(), fill
        self.plan: list[list[Take]] = []
        self.turns: list[list[int]] = []
        self.key = (0, 0)
        self.span = (0.0, 0.0)

    def __len__(self) -> int:
        return len(self.plan)

    def __getitem__(self, number: int) -> Batch:
        takes, recipe = self.plan[number], self.augmentation
        # One draw for the whole batch: a lead before one clip pads all the others.
        lead = recipe is not None and np.random.default_rng((*self.key, number)).random() < recipe.lead
        at = self.span[0] + (self.span[1] - self.span[0]) * number / len(self.plan)
        pairs = []
        for take, turn in zip(takes, self.turns[number], strict=True):
            dice = np.random.default_rng((*self.key, *take, turn))
            samples, text = self._joined(take, dice)
            pairs.append(self._example(samples, text, recipe, dice, lead=lead, at=at))
        return collate(pairs, takes, self.mel.recipe.silence)

    def set_plan(self, plan: list[list[Take]], seed: int, epoch: int, span: tuple[float, float] = (0.0, 0.0)) -> None:
        self.plan, self.key, self.span = plan, (seed, epoch), span
        times: Counter[Take] = Counter()
        self.turns = [[_turn(times, take) for take in batch] for batch in plan]

    def _joined(self, take: Take, dice: Generator) -> tuple[NDArray[np.float32], str]:
        if len(take) == 1:
            return self.clips[take[0]], self.clips.said[take[0]].text
        pause = np.zeros(int(dice.uniform(0, PAUSE_S) * SAMPLE_RATE), np.float32)
        parts = [part for clip in take for part in (pause, self.clips[clip])][1:]
        return np.concatenate(parts), " ".join(self.clips.said[clip].text for clip in take).strip()

    def _example(
        self,
        samples: NDArray[np.float32],
        text: str,
        recipe: Augmentation | None,
        dice: Generator,
        *,
        lead: bool,
        at: float,
    ) -> tuple[NDArray[np.float32], list[int]]:
        if recipe is None:
            return frames_of(self.mel, samples), self.alphabet.encode(text)
        varied = vary(samples, recipe, self.surroundings, dice, lead=lead, at=at)
        frames = frames_of(self.mel, varied.samples)
        if self.fill is not None:
            blank(frames, draw_masks(recipe, len(frames), frames.shape[1], dice), self.fill)
        return frames, self.alphabet.encode(text if varied.words else "")


def _turn(times: Counter[Take], take: Take) -> int:
    """How often the take has come before in this epoch."""
    times[take] += 1
    return times[take] - 1


def frames_of(mel: LogMel, samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Log-mel frames (T, mels) of a whole clip, padded with zeros to a whole number of output frames."""
    recipe, frames = mel.recipe, frames_in(len(samples), mel.recipe)
    return mel.whole(np.pad(samples, (0, (frames - 1) * recipe.hop + recipe.window - len(samples))))


def frames_in(samples: int, recipe: FeatureRecipe) -> int:
    """How many of them a clip of so many samples gets."""
    return SUBSAMPLING * max(1, -(-samples // (recipe.hop * SUBSAMPLING)))


def collate(pairs: Sequence[tuple[NDArray[np.float32], list[int]]], takes: list[Take], silence: float) -> Batch:
    """One batch of (frames, labels) pairs, shorter clips followed by silence."""
    longest = max(len(frames) for frames, _ in pairs)
    features = np.full((len(pairs), longest, pairs[0][0].shape[1]), silence, np.float32)
    for row, (frames, _) in zip(features, pairs, strict=True):
        row[: len(frames)] = frames
    return Batch(
        torch.from_numpy(features),
        torch.tensor([label for _, labels in pairs for label in labels], dtype=torch.long),
        torch.tensor([len(frames) // SUBSAMPLING for frames, _ in pairs]),
        torch.tensor([len(labels) for _, labels in pairs]),
        takes,
    )


def loader(maker: BatchMaker, workers: int, numbers: range) -> Iterator[Batch]:
    """The epoch's batches of these numbers, made ahead of time by worker processes."""
    ahead = 6 if workers else None
    return iter(DataLoader(maker, batch_size=None, sampler=numbers, num_workers=workers, prefetch_factor=ahead))
