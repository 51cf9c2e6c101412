"""What a run would do, seen before it is begun: its data, one batch as the net gets it, size, time and memory.

Everything shown is measured on the real thing: the batch is made and learned, on weights that are thrown away.
"""

from __future__ import annotations

import resource
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np
import torch

from stt_server.speech.alphabet import Alphabet
from stt_server.speech.features import FeatureRecipe, LogMel
from training.architectures import architecture_of, new_model
from training.batches import BatchMaker, plan_epoch
from training.data import check_learnable
from training.distributed import ALONE
from training.fit import set_normalisation
from training.precision import choose_numerics
from training.preparing import look, tell, write_language_model
from training.probing import halvings_needed
from training.rundir import decoded, learned_from
from training.sources import surroundings
from training.stepping import Stepper

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stt_server.corpus.clip import Clip
    from training.batches import Batch, Take
    from training.clips import ClipArray
    from training.precision import Numerics
    from training.recipe import Recipe
    from training.rundir import Run
    from training.terminal import Terminal

FRAMES_A_SECOND = 100
SHOWN_CLIPS, SHOWN_FRAMES, SHOWN_BANDS = 4, 3, 6
TIMED_STEPS = 3
MEGABYTE = 1 << 20


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds to make and to learn a second of padded audio, and the most memory held, in bytes."""

    making: float
    learning: float
    memory: int


def show_run(run: Run) -> None:
    """Show all of it on the run's terminal. Nothing is written but the cache.

    Raises what the run would raise before it begins to learn.
    """
    say = run.terminal.say
    run, gathering = look(run)
    tell(run.terminal, gathering)
    check_learnable(gathering, run.recipe.data.most_faulty)
    train = decoded(run, learned_from(run, gathering))
    model, recipe = new_model(run.recipe), run.recipe
    kind, parameters = architecture_of(model), sum(weight.numel() for weight in model.parameters())
    maker = _maker(run, train)
    say(f"{len(maker)} batches of up to {recipe.schedule.batch_s:g} s in the first epoch; the longest of them:")
    plan = maker.plan
    longest = maker[max(range(len(plan)), key=lambda number: _padded_s(plan[number], train))]
    _show_batch(run.terminal, longest, train)
    say(f"model {kind}: {parameters:,} parameters, {4 * parameters / 1e6:.1f} MB in fp32, labels {recipe.alphabet!r}")
    if recipe.lm:
        say(_language_model(run, gathering.train.clips))
    numerics = choose_numerics(recipe.schedule)
    pace = _measure(recipe, maker, numerics, run.terminal)
    say(_expected(recipe, maker, train, pace, numerics))


def _maker(run: Run, train: ClipArray) -> BatchMaker:
    """The batches of the first epoch, as `fit` plans them."""
    recipe = run.recipe
    plan = recipe.schedule
    mel = LogMel(FeatureRecipe(n_mels=recipe.features.n_mels))
    around = surroundings(recipe.data.noise, run.places)
    maker = BatchMaker(train, Alphabet(recipe.alphabet), mel, recipe.augmentation, around)
    weights = np.array([said.weight for said in train.said])
    dice = np.random.default_rng((plan.seed, 0))
    maker.set_plan(plan_epoch(train.seconds, weights, plan.batch_s, dice, recipe.augmentation.join), plan.seed, 0)
    return maker


def _padded_s(takes: Sequence[Take], train: ClipArray) -> float:
    return len(takes) * max(float(train.seconds[list(take)].sum()) for take in takes)


def _show_batch(terminal: Terminal, batch: Batch, train: ClipArray) -> None:
    count, frames, mels = batch.features.shape
    terminal.say(
        f"features {count} x {frames} x {mels} (clips, frames of 10 ms, bands), {len(batch.targets)} letters to write "
        f"into {int(batch.frames.sum())} frames of 40 ms"
    )
    rows = []
    for row in range(min(SHOWN_CLIPS, count)):
        text = " ".join(train.said[clip].text for clip in batch.takes[row])
        middle = int(batch.frames[row]) * 2  # of the clip: its edges are often silent
        values = batch.features[row, middle : middle + SHOWN_FRAMES, :SHOWN_BANDS].tolist()
        numbers = "\n".join(" ".join(f"{value:6.1f}" for value in bands) for bands in values)
        rows.append((text, str(int(batch.frames[row])), str(int(batch.letters[row])), numbers))
    columns = ("text", "frames", "letters", f"log-mel, {SHOWN_BANDS} bands of {SHOWN_FRAMES} frames")
    terminal.show(columns, rows)


def _language_model(run: Run, clips: Sequence[Clip]) -> str:
    assert run.recipe.lm is not None
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "lm.arpa.gz"
        sentences = write_language_model(run.recipe.lm, clips, run.places, path)
        return f"language model: {sentences} sentences, order {run.recipe.lm.order}, {path.stat().st_size / 1e6:.2f} MB"


def _measure(recipe: Recipe, maker: BatchMaker, numerics: Numerics, terminal: Terminal) -> Pace:
    """Probe the longest batch as a run does, then time a few; the first step warms up and is not counted."""
    plan, clips = recipe.schedule, maker.clips
    torch.set_num_threads(plan.threads)
    model = new_model(recipe)
    set_normalisation(model, clips, maker.mel)
    model.to(numerics.device)
    weights = np.array([said.weight for said in clips.said])
    halvings_needed(recipe, model, clips, weights, maker.alphabet, numerics, ALONE, 0, terminal.say)
    stepper = Stepper(model, torch.optim.AdamW(model.parameters(), plan.learning_rate), plan.clip_norm, numerics)
    making = learning = audio = 0.0
    for number in range(-1, min(TIMED_STEPS, len(maker))):
        begun = perf_counter()
        batch = maker[max(0, number)]
        made = perf_counter()
        stepper.step([(plan.seed, 0, number + 1)], [batch], 0.0)
        if number >= 0:
            making, learning = making + made - begun, learning + perf_counter() - made
            audio += batch.features.shape[0] * batch.features.shape[1] / FRAMES_A_SECOND
    return Pace(making / audio, learning / audio, _memory(numerics))


def _memory(numerics: Numerics) -> int:
    """The most that was held until now: of the GPU where it learns there, else of this process."""
    if numerics.device.type == "cuda":
        return torch.cuda.max_memory_allocated(numerics.device)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _expected(recipe: Recipe, maker: BatchMaker, train: ClipArray, pace: Pace, numerics: Numerics) -> str:
    """Batches are made beside the learning where there are workers for it."""
    plan = recipe.schedule
    audio = sum(_padded_s(takes, train) for takes in maker.plan) * plan.epochs
    a_second = max(pace.making / plan.workers, pace.learning) if plan.workers else pace.making + pace.learning
    minutes = audio * a_second / 60
    bound = f", stopped after {plan.minutes:g}" if plan.minutes and plan.minutes < minutes else ""
    early = " at most, for it may stop early" if plan.early_stop else ""
    return (
        f"learning on {numerics}: {1 / a_second:.0f} x real time, about {minutes:.1f} minutes for {plan.epochs} epochs"
        f"{bound}{early}, validations and measuring not counted; {pace.memory / MEGABYTE:.0f} MB of memory"
    )
