"""The training loop, read from top to bottom."""

from __future__ import annotations

import copy
import hashlib
import math
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch

from stt_server.errors import BadInput, Conflict
from training import checkpoints
from training.architectures import FIRST, describe
from training.batches import BatchMaker, loader, plan_epoch
from training.checkpoints import Checkpoint, Progress
from training.distributed import ALONE
from training.pace import Pace
from training.precision import choose_numerics
from training.probing import halvings_needed
from training.schedule import (
    epoch_span,
    is_stale,
    is_validated_after,
    is_validated_between,
    learning_rate,
    share_done,
)
from training.stepping import Stepper
from training.validation import CALMER, check_best, has_learned, note, told_of_collapse, validate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from stt_server.speech.alphabet import Alphabet
    from stt_server.speech.features import LogMel
    from training.batches import Surroundings
    from training.clips import ClipArray
    from training.distributed import Team
    from training.holding import Hold
    from training.recipe import Recipe
    from training.stepping import Fault
    from training.streaming import StreamingModel

CHECKPOINT_SECONDS = 240.0
SHOWN_EVERY = 50  # steps
LISTENED = 2.5  # times a learned batch: without gradients that much more fits into the same memory
NORMALISATION_CLIPS = 600
STRIKES = 3  # so often may a clip's loss not be finite
LOST_STEPS = 50  # in a row that changed no weight; fp16 needs a dozen to find its scale


class Watcher(Protocol):
    """Who is told how a run goes: the terminal, a log file, a test."""

    def step(
        self, progress: Progress, loss: float, rate: float, share: float, speed: float, waiting: float
    ) -> None: ...
    def validated(self, progress: Progress, wer: dict[str, float], pairs: Sequence[tuple[str, str, str]]) -> None: ...
    def say(self, sentence: str) -> None: ...


def fit(
    recipe: Recipe,
    model: StreamingModel,
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
    team: Team = ALONE,
    hold: Hold | None = None,
) -> StreamingModel:
    """Train until the schedule ends or `stop()` says so. The averaged weights come back; `folder/last.pt` holds all
    that a resumed run needs, and `folder/best.pt` the same as it was when a validation went best.

    Stopped and resumed, a run learns what it would have learned in one go: batches and dropout are functions of (seed,
    epoch, number), and the rest is in the checkpoint. Only what goes by the clock differs. In a team all processes call
    this with the same arguments, and the first alone writes and tells the watcher.

    Raises NotFound, BadInput or Conflict where there is no checkpoint to resume from or it is another model's, TooLarge
    where no batch fits into memory, BadInput where nothing can be learned, Unavailable where another process is gone.
    """
    plan = recipe.schedule
    check_best(recipe.data.best, dev)
    torch.set_num_threads(plan.threads)
    numerics = choose_numerics(plan, team.place)
    model.to(numerics.device)
    averaged = copy.deepcopy(model)
    learning = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(learning, plan.learning_rate, (0.9, 0.98), weight_decay=plan.weight_decay)
    if hold:
        hold.base.to(numerics.device)
    stepper = Stepper(model, optimizer, plan.clip_norm, numerics, team, hold)
    say = watcher.say if team.is_first else _keep_quiet
    if resume:
        progress = _restore(folder / "last.pt", model, averaged, stepper, alphabet)
    else:
        progress = Progress()
        if recipe.start is None:  # a model that is gone on from brings its own
            set_normalisation(model, train, mel)
        averaged.load_state_dict(model.state_dict())
    weights = np.array([said.weight for said in train.said])
    progress.halvings = halvings_needed(recipe, model, train, weights, alphabet, numerics, team, progress.halvings, say)
    batch_s, group = plan.batch_s / 2**progress.halvings, plan.accumulate * 2**progress.halvings * team.size
    say(f"learning on {numerics}, in batches of {batch_s:g} s, {group} of them a step")
    maker = BatchMaker(train, alphabet, mel, recipe.augmentation, surroundings, model.mean.cpu().numpy().copy())

    def keep(name: str = "last.pt") -> None:
        if team.is_first:
            checkpoint = Checkpoint(
                model=model.state_dict(),
                averaged=averaged.state_dict(),
                optimizer=optimizer.state_dict(),
                scaler=stepper.scaler.state_dict(),
                progress=progress,
                shape=describe(model),
                letters=alphabet.letters,
                features=asdict(mel.recipe),
                recipe=hash_of(recipe),
            )
            checkpoints.save(checkpoint, folder / name)

    def check(*, planned: bool) -> str:
        """Validate, keep the best; the answer says why to learn no more, "" where nothing speaks against it."""
        if not len(dev):
            return ""
        heard = validate(averaged, dev, alphabet, mel, numerics, team, recipe.data.best, LISTENED * batch_s)
        if note(progress, heard, plan, planned=planned):
            keep("best.pt")
        if planned:
            keep()  # whoever goes on need not listen to all of it again
        if team.is_first:
            watcher.validated(progress, heard.wer, heard.pairs)
        return told_of_collapse(progress.history, share_done(plan, progress, len(maker)))

    trouble, lost, mean_loss = "", 0, math.nan
    pace, saved = Pace(), time.monotonic()
    while not trouble and not team.sum(stop())[0]:
        if progress.batch == 0:
            progress.left_out = sorted(clip for clip, count in progress.strikes.items() if count >= STRIKES)
        weights[progress.left_out] = 0.0
        dice = np.random.default_rng((plan.seed, progress.epoch))
        planned = plan_epoch(train.seconds, weights, batch_s, dice, recipe.augmentation.join)
        maker.set_plan(planned, plan.seed, progress.epoch, epoch_span(plan, progress))
        share = share_done(plan, progress, len(maker))
        if share >= 1.0 or is_stale(plan, progress):
            break
        calm = share >= 1 - plan.calm_share
        maker.augmentation = recipe.calm if calm else recipe.augmentation
        made = loader(maker, plan.workers, team.mine(range(progress.batch, len(maker))))
        while progress.batch < len(maker):
            share = share_done(plan, progress, len(maker))
            if share >= 1.0 or calm != (share >= 1 - plan.calm_share):
                break
            numbers = range(progress.batch, min(progress.batch + group, len(maker)))
            with pace.waiting():
                batches = [next(made) for _ in team.mine(numbers)]
            keys = [(plan.seed, progress.epoch, number) for number in team.mine(numbers)]
            rate = learning_rate(plan, share, progress.step, progress.drops)
            learned = stepper.step(keys, batches, rate)
            average(averaged, model, plan.average_decay, progress.step)
            progress.step, progress.batch = progress.step + 1, numbers.stop

            seconds = pace.step(batches)
            is_late = plan.validate_epochs is None and pace.since_rest_s > 60 * plan.validate_minutes
            clock = (seconds, is_late) if team.is_first else (0, 0)  # all go by the clock of the first
            seconds, late, wished, faulty = team.sum(*clock, stop(), len(learned.faults))
            progress.seconds += seconds
            if faulty:
                faults = [fault for each in team.gather(learned.faults) for fault in each]
                for sentence in struck(progress, faults, train):
                    say(sentence)
            lost = lost + 1 if math.isnan(learned.loss) else 0
            if lost >= LOST_STEPS:
                raise BadInput(f"{lost} steps in a row had no finite loss or gradient; {CALMER}", field="schedule")
            mean_loss = _smoothed(mean_loss, learned.loss)
            if progress.step % SHOWN_EVERY == 0:
                (speed,) = team.sum(pace.speed)
                if team.is_first:
                    watcher.step(progress, mean_loss, rate, share, speed, pace.waiting_share)
                pace.show()
            if time.monotonic() - saved > CHECKPOINT_SECONDS:
                keep()
                saved = time.monotonic()
            after = share_done(plan, progress, len(maker))
            if after < 1.0 and (late or is_validated_between(plan, share, after)):
                trouble = check(planned=True)
                pace.rest()
            if (wished or trouble or is_stale(plan, progress)) and progress.batch < len(maker):
                break
        else:
            progress.epoch, progress.batch = progress.epoch + 1, 0
            if not trouble and progress.epoch < plan.epochs and is_validated_after(plan, progress.epoch):
                trouble = check(planned=True)
                pace.rest()
    keep()  # before the validation, which takes a while and may be interrupted
    if not progress.history or progress.history[-1]["step"] != progress.step:
        check(planned=False)
        keep()
    if trouble:
        if not has_learned(progress.history):
            raise BadInput(trouble, field="schedule")
        say(trouble)
    if is_stale(plan, progress):
        say(f"stopped early: {progress.patience.stale} validations in a row were no better than the best before them")
    return averaged


def struck(progress: Progress, faults: Sequence[Fault], train: ClipArray) -> Iterator[str]:
    """Count clips from which nothing could be learned; says which, and which are left out from the next epoch on."""
    for fault in faults:
        for clip in fault.take:
            count = progress.strikes[clip] = progress.strikes.get(clip, 0) + 1
            said = train.said[clip]
            named = f"{said.name or f'clip {clip}'} ({said.text!r})"
            if count == 1:
                yield f"nothing is learned from {named}: {fault.why}"
            elif count == STRIKES:
                yield f"{named} is left out from the next epoch on: {count} times, {fault.why}"


def _smoothed(mean: float, loss: float) -> float:
    """The mean over about the last fifty steps; steps that learned nothing do not count."""
    if math.isnan(loss):
        return mean
    return loss if math.isnan(mean) else 0.98 * mean + 0.02 * loss


def average(averaged: StreamingModel, model: StreamingModel, decay: float, step: int) -> None:
    """Exponential moving average of the weights, with a shorter memory while the run is young."""
    decay = min(decay, (1 + step) / (10 + step))
    with torch.no_grad():
        for kept, new in zip(averaged.parameters(), model.parameters(), strict=True):
            kept.lerp_(new, 1 - decay)


def set_normalisation(model: StreamingModel, clips: ClipArray, mel: LogMel) -> None:
    """Put the mean and deviation of every band over a sample of clips into the model."""
    chosen = np.random.default_rng(0).permutation(len(clips))[:NORMALISATION_CLIPS]
    frames = np.concatenate([mel.whole(clips[int(i)]) for i in chosen])
    model.set_normalisation(frames.mean(0).tolist(), frames.std(0).clip(0.1).tolist())


def hash_of(recipe: Recipe) -> str:
    """Sixteen letters that are others for another recipe."""
    return hashlib.sha256(recipe.model_dump_json().encode()).hexdigest()[:16]


def _keep_quiet(sentence: str) -> None:
    """What the others of a team say, for the first speaks for all."""


def _restore(
    path: Path, model: StreamingModel, averaged: StreamingModel, stepper: Stepper, alphabet: Alphabet
) -> Progress:
    checkpoint = checkpoints.load(path)
    kept = {"architecture": FIRST, **checkpoint.shape}
    other = [name for name, size in describe(model).items() if name != "dropout" and kept.get(name) != size]
    if checkpoint.letters != alphabet.letters:
        other.append("alphabet")
    if other:
        told = f"{path} holds a model of another {', '.join(other)} than the recipe's"
        raise Conflict(
            f"{told}; resume with the recipe it was begun with, or train into another folder", field=other[0]
        )
    if not checkpoint.optimizer:
        raise BadInput(f"{path} holds weights to export and not what learning needs to go on", field="checkpoint")
    model.load_state_dict(checkpoint.model)
    averaged.load_state_dict(checkpoint.averaged)
    stepper.optimizer.load_state_dict(checkpoint.optimizer)
    if checkpoint.scaler:
        stepper.scaler.load_state_dict(checkpoint.scaler)
    return checkpoint.progress
