"""The training loop, read from top to bottom."""

from __future__ import annotations

import math
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from stt_server.errors import Conflict
from stt_server.speech.features import FeatureRecipe
from stt_server.speech.wer import count_errors
from training import checkpoints
from training.batches import BatchMaker, loader, plan_epoch
from training.checkpoints import Checkpoint, Progress
from training.model import ConvModel

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor

    from stt_server.speech.alphabet import Alphabet
    from stt_server.speech.features import LogMel
    from training.batches import Batch, Surroundings, Take
    from training.clips import ClipArray
    from training.recipe import Recipe, Schedule

CHECKPOINT_SECONDS = 240.0
SHOWN_EVERY = 50
FRAMES_A_SECOND = 100
STEPS_OF_A_SEED = 1_000_003
VALIDATION_BATCH_S = 300.0
NORMALISATION_CLIPS = 600
SILENCE = FeatureRecipe().silence


class Watcher(Protocol):
    """Who is told how a run goes: the terminal, a log file, a test."""

    def step(self, progress: Progress, loss: float, rate: float, share: float, speed: float) -> None: ...
    def validated(self, progress: Progress, wer: dict[str, float], pairs: Sequence[tuple[str, str, str]]) -> None: ...


def fit(
    recipe: Recipe,
    model: ConvModel,
    train: ClipArray,
    dev: ClipArray,
    alphabet: Alphabet,
    mel: LogMel,
    surroundings: Surroundings,
    folder: Path,
    watcher: Watcher,
    *,
    resume: bool = False,
    stop: Callable[[], bool] = lambda: False,
) -> ConvModel:
    """Train until the schedule ends or `stop()` says so; the averaged weights come back, `folder/last.pt` holds all.

    Stopped and resumed, a run learns what it would have learned in one go: batches are functions of (seed, epoch,
    number), dropout of (seed, step), and the rest is in the checkpoint. Only a schedule in minutes goes by the clock.
    Raises NotFound, BadInput or Conflict where there is no checkpoint to resume from or it is another model's.
    """
    plan = recipe.schedule
    torch.set_num_threads(plan.threads)
    averaged = ConvModel(model.shape)
    optimizer = torch.optim.AdamW(model.parameters(), plan.learning_rate, (0.9, 0.98), weight_decay=plan.weight_decay)
    if resume:
        progress = _restore(folder / "last.pt", model, averaged, optimizer, alphabet)
    else:
        progress = Progress()
        set_normalisation(model, train, mel)
        averaged.load_state_dict(model.state_dict())
    maker = BatchMaker(train, alphabet, mel, recipe.augmentation, surroundings, model.mean.numpy().copy())
    weights = np.array([said.weight for said in train.said])

    def keep() -> None:
        states = model.state_dict(), averaged.state_dict(), optimizer.state_dict()
        checkpoints.save(Checkpoint(*states, progress, asdict(model.shape), alphabet.letters), folder / "last.pt")

    saved = validated = heard_from = clock = time.monotonic()
    mean_loss, heard_s = math.nan, 0.0
    while not stop():
        maker.set_plan(_plan(train, weights, plan, progress.epoch, recipe.augmentation.join), plan.seed, progress.epoch)
        share = share_done(plan, progress, len(maker))
        if share >= 1.0:
            break
        calm = share >= 1 - plan.calm_share
        maker.augmentation = recipe.calm if calm else recipe.augmentation
        for batch in loader(maker, plan.workers, progress.batch):
            share = share_done(plan, progress, len(maker))
            if share >= 1.0 or calm != (share >= 1 - plan.calm_share):
                break
            rate = learning_rate(plan, share)
            torch.manual_seed(plan.seed * STEPS_OF_A_SEED + progress.step)
            loss = learn(model, batch, optimizer, rate, plan)
            average(averaged, model, plan.average_decay, progress.step)
            progress.step, progress.batch = progress.step + 1, progress.batch + 1
            now = time.monotonic()
            progress.seconds, clock = progress.seconds + now - clock, now
            mean_loss = _smoothed(mean_loss, loss)
            heard_s += batch.features.shape[0] * batch.features.shape[1] / FRAMES_A_SECOND
            if progress.step % SHOWN_EVERY == 0:
                watcher.step(progress, mean_loss, rate, share, heard_s / (now - heard_from))
                heard_s, heard_from = 0.0, now
            if now - saved > CHECKPOINT_SECONDS:
                keep()
                saved = time.monotonic()
            if now - validated > 60 * plan.validate_minutes:
                validate(averaged, dev, alphabet, mel, progress, watcher, plan)
                clock = validated = heard_from = time.monotonic()
                heard_s = 0.0
            if stop():
                break
        else:
            progress.epoch, progress.batch = progress.epoch + 1, 0
    keep()  # before the validation, which takes a while and may be interrupted
    validate(averaged, dev, alphabet, mel, progress, watcher, plan)
    keep()
    return averaged


def _plan(train: ClipArray, weights: NDArray[np.float64], plan: Schedule, epoch: int, join: float) -> list[list[Take]]:
    return plan_epoch(train.seconds, weights, plan.batch_s, np.random.default_rng((plan.seed, epoch)), join)


def share_done(plan: Schedule, progress: Progress, batches: int) -> float:
    """How much of the schedule is behind us, 0–1: of the epochs or of the minutes, whichever is more."""
    epochs = (progress.epoch + (progress.batch / batches if batches else 0.0)) / plan.epochs
    minutes = progress.seconds / 60 / plan.minutes if plan.minutes else 0.0
    return max(epochs, minutes)


def learning_rate(plan: Schedule, share: float) -> float:
    """Linear warm-up over its share of the run, then a cosine down to a hundredth."""
    if share < plan.warmup_share:
        return plan.learning_rate * (0.01 + 0.99 * share / plan.warmup_share)
    turned = min(1.0, (share - plan.warmup_share) / (1 - plan.warmup_share))
    return plan.learning_rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * turned)))


def learn(model: ConvModel, batch: Batch, optimizer: torch.optim.Optimizer, rate: float, plan: Schedule) -> float:
    """One step; returns the loss per letter. A batch whose loss or gradient is not finite changes nothing: NaN."""
    model.train()
    for group in optimizer.param_groups:
        group["lr"] = rate
    loss = ctc_loss(model, batch, bf16=plan.bf16)
    optimizer.zero_grad(set_to_none=True)
    if not torch.isfinite(loss):
        return math.nan
    loss.backward()
    if not torch.isfinite(nn.utils.clip_grad_norm_(model.parameters(), plan.clip_norm)):
        return math.nan
    optimizer.step()
    return float(loss.detach())


def _smoothed(mean: float, loss: float) -> float:
    """The mean over about the last fifty steps; steps that learned nothing do not count."""
    if math.isnan(loss):
        return mean
    return loss if math.isnan(mean) else 0.98 * mean + 0.02 * loss


def ctc_loss(model: ConvModel, batch: Batch, *, bf16: bool) -> Tensor:
    """CTC (Graves et al. 2006) per letter, in float32 whatever the model ran in."""
    with torch.autocast(batch.features.device.type, torch.bfloat16, enabled=bf16):
        logprobs = model.whole(batch.features, SILENCE)
    logprobs = logprobs.float().transpose(0, 1)
    loss = F.ctc_loss(logprobs, batch.targets, batch.frames, batch.letters, reduction="sum", zero_infinity=True)
    return loss / batch.letters.sum().clamp(min=1)


def average(averaged: ConvModel, model: ConvModel, decay: float, step: int) -> None:
    """Exponential moving average of the weights, with a shorter memory while the run is young."""
    decay = min(decay, (1 + step) / (10 + step))
    with torch.no_grad():
        for kept, new in zip(averaged.parameters(), model.parameters(), strict=True):
            kept.lerp_(new, 1 - decay)


@torch.no_grad()
def transcribe(model: ConvModel, clips: ClipArray, alphabet: Alphabet, mel: LogMel, *, bf16: bool) -> list[str]:
    """Greedy texts of all clips, in their order."""
    model.eval()
    maker = BatchMaker(clips, alphabet, mel)
    plan = plan_epoch(clips.seconds, np.ones(len(clips)), VALIDATION_BATCH_S, np.random.default_rng(0))
    maker.set_plan(plan, 0, 0)
    texts = [""] * len(clips)
    for number in range(len(plan)):
        batch = maker[number]
        with torch.autocast(batch.features.device.type, torch.bfloat16, enabled=bf16):
            best = model.whole(batch.features, SILENCE).argmax(-1)
        for take, labels, frames in zip(batch.takes, best, batch.frames, strict=True):
            texts[take[0]] = _collapsed(alphabet, labels[: int(frames)])
    return texts


def _collapsed(alphabet: Alphabet, labels: Tensor) -> str:
    return " ".join(alphabet.decode(torch.unique_consecutive(labels).tolist()).split())


def validate(
    model: ConvModel,
    dev: ClipArray,
    alphabet: Alphabet,
    mel: LogMel,
    progress: Progress,
    watcher: Watcher,
    plan: Schedule,
) -> None:
    """Word error rate per source, and the pairs a watcher shows as true / heard."""
    if not len(dev):
        return
    texts = transcribe(model, dev, alphabet, mel, bf16=plan.bf16)
    pairs = [(said.source, said.text, text) for said, text in zip(dev.said, texts, strict=True)]
    wer = {}
    for source in dict.fromkeys(source for source, _, _ in pairs):
        wer[source] = count_errors([(true, heard) for name, true, heard in pairs if name == source]).rate
    progress.history.append({"step": progress.step, "seconds": progress.seconds, "wer": wer})
    watcher.validated(progress, wer, pairs)


def set_normalisation(model: ConvModel, clips: ClipArray, mel: LogMel) -> None:
    """Put the mean and deviation of every band over a sample of clips into the model."""
    chosen = np.random.default_rng(0).permutation(len(clips))[:NORMALISATION_CLIPS]
    frames = np.concatenate([mel.whole(clips[int(i)]) for i in chosen])
    model.set_normalisation(frames.mean(0).tolist(), frames.std(0).clip(0.1).tolist())


def _restore(
    path: Path, model: ConvModel, averaged: ConvModel, optimizer: torch.optim.Optimizer, alphabet: Alphabet
) -> Progress:
    checkpoint = checkpoints.load(path)
    sizes = {name: size for name, size in asdict(model.shape).items() if name != "dropout"}
    other = [name for name, size in sizes.items() if checkpoint.shape.get(name) != size]
    if checkpoint.letters != alphabet.letters:
        other.append("alphabet")
    if other:
        told = f"{path} holds a model of another {', '.join(other)} than the recipe's"
        raise Conflict(
            f"{told}; resume with the recipe it was begun with, or train into another folder", field=other[0]
        )
    model.load_state_dict(checkpoint.model)
    averaged.load_state_dict(checkpoint.averaged)
    optimizer.load_state_dict(checkpoint.optimizer)
    return checkpoint.progress
