"""What a run does before it learns: its data found and listened to, its recipe settled, its language model made.

Whatever can be missing is asked for here, so that nothing fails hours later for want of a file.
"""

from __future__ import annotations

import random
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from stt_server.corpus.checks import write_findings_csv
from stt_server.speech.alphabet import Alphabet
from training.data import SPLITS, check_learnable, gather
from training.lm import estimate, write_arpa
from training.origin import is_run, read_origin, write_origin
from training.overview import FINDINGS, SOURCES, finding_rows, source_rows
from training.recipe import sized
from training.report import check_packages
from training.rundir import decoded, hearing
from training.scalars import check_tensorboard
from training.sentences import read_sentences, spoken_form
from training.sources import check_places, surroundings
from training.start import adopt
from training.synthetic import check_programs
from training.tuning import add_base_lm, settled, settled_share

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from stt_server.corpus.clip import Clip
    from training.data import Gathering
    from training.origin import Origin
    from training.places import Places
    from training.recipe import LanguageModel
    from training.rundir import Run
    from training.terminal import Terminal


def prepare(run: Run, *, resume: bool = False) -> tuple[Run, Gathering]:
    """All the data after a pre-flight, the run with a recipe that leaves nothing open, and the language model.

    What the run came from and what was found in its data is kept in its folder. Nothing is written before all of the
    data was listened to.
    """
    run, gathering = look(run, read_origin(run.folder) if resume and is_run(run.folder) else None)
    run.folder.mkdir(parents=True, exist_ok=True)
    listed = run.folder / "findings.csv"
    write_findings_csv(listed, gathering.findings)
    tell(run.terminal, gathering, f", see {listed}")
    check_learnable(gathering, run.recipe.data.most_faulty)
    write_origin(run.folder, run.recipe, gathering)
    if run.recipe.lm:
        write_language_model(run.recipe.lm, gathering.train.clips, run.places, run.lm)
        if run.base:
            add_base_lm(run.lm, run.base, run.recipe.lm.share)
    return run, gathering


def look(run: Run, before: Origin | None = None) -> tuple[Run, Gathering]:
    """The data of a run and its recipe with alphabet and size as they follow from the data. Writes the cache alone.

    A run that is resumed keeps the parts, alphabet and size that it had `before`.
    """
    check_programs()
    recipe, base = settled(run.recipe, run.places)
    check_packages()
    if run.recipe.report.tensorboard:
        check_tensorboard()
    check_places(recipe, run.places)
    known = {clip.path: split for split in SPLITS for clip in before.part(split)} if before else None
    letters = Alphabet(before.recipe.alphabet) if before else None
    with run.terminal.bars("speaking", "listening") as (spoken, listened):
        gathering = gather(recipe, run.places, spoken, listened, known=known, base=letters)
    recipe = sized(recipe, before.hours if before else gathering.train.hours)
    if base:
        recipe = adopt(recipe, base)  # a size must not contradict it either
    data = recipe.data.model_copy(update={"replay_share": before.recipe.data.replay_share}) if before else recipe.data
    recipe = recipe.model_copy(update={"alphabet": gathering.alphabet.letters, "data": data})
    return replace(run, recipe=recipe, base=base), gathering


def tell(terminal: Terminal, gathering: Gathering, where: str = "") -> None:
    """What there is to learn from, for whom the result will hold, and what is wrong with it."""
    train = gathering.train
    left_out = f"{len(gathering.errors)} faults for which a clip was left out{where}"
    terminal.show(SOURCES, source_rows(gathering.clips))
    terminal.say(f"{len(train.clips)} clips, {train.hours:.2f} h to learn from; {left_out}")
    terminal.say(f"{gathering.divided}. {gathering.holds_for}")
    if gathering.findings:
        terminal.show(FINDINGS, finding_rows(gathering.findings))


def write_language_model(recipe: LanguageModel, clips: Sequence[Clip], places: Places, path: Path) -> int:
    """A word n-gram of the recipe's sentences, spoken forms and the transcripts of clips that people spoke.

    Returns of how many sentences.
    """
    sentences = [line for name in recipe.sentences for line in read_sentences(places.text(name))]
    if recipe.transcripts:
        sentences += [clip.text for clip in clips if clip.source != "synthetic"] * recipe.transcripts_weight
    dice = random.Random(0)
    sentences += [spoken_form(dice) for _ in range(recipe.spoken_forms)]
    write_arpa(estimate(sentences, recipe.order, recipe.cutoffs), path)
    return len(sentences)


def with_share(run: Run, gathering: Gathering) -> Run:
    """The run with a share of replay that leaves nothing open; it is kept for a resume."""
    recipe = run.recipe
    if run.base is None or recipe.data.replay_share != "auto":
        return run
    around = surroundings(recipe.data.noise, run.places)
    share = settled_share(
        recipe, run.base, gathering, partial(decoded, run), *hearing(recipe), around, run.terminal.say
    )
    data = recipe.data.model_copy(update={"replay_share": share})
    run = replace(run, recipe=recipe.model_copy(update={"data": data}))
    write_origin(run.folder, run.recipe, gathering)
    return run
