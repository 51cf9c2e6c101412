"""A run from recipe to bundle, in the order a reader would do it by hand.

gather, pre-flight, language model → decode → fit → bundle (export, parity, kit, golden clip, rates, card)
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from stt_server.corpus.checks import Finding, Kind, write_findings_csv
from stt_server.errors import NotFound
from training import checkpoints
from training.bundling import Ingredients, make_bundle
from training.distributed import ALONE, team
from training.fit import fit
from training.origin import read_origin
from training.preparing import look, prepare, with_share
from training.reporting import report_run
from training.rundir import decoded, hearing, learned_from, new_model
from training.schedule import is_over
from training.sources import surroundings
from training.start import started
from training.stopping import interruptible
from training.terminal import Terminal
from training.tuning import hold_of, kit_of, told_of_start, weights_between
from training.watching import watched

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from stt_server.corpus.evaluation import Evaluation
    from stt_server.speech.bundle import Bundle
    from training.data import Gathered, Gathering
    from training.distributed import Team
    from training.rundir import Run


def run_recipe(run: Run, *, resume: bool = False) -> Bundle | None:
    """Train and export. Ctrl-C ends the learning and still exports what was learned.

    With `resume` a run goes on from its checkpoint; one that had finished is exported anew. Of several processes that
    torchrun started all learn, and the first does the rest; for the others there is no bundle.
    """
    if resume and not run.checkpoint.is_file():
        raise NotFound(f"there is no checkpoint {run.checkpoint}; start the run without --resume")
    with team() as together:
        run, gathering = together.after_the_first(partial(_ready, run, together, resume=resume))
        if not (resume and is_finished(run)):
            learn(run, gathering, resume=resume, together=together)
    return export(run, gathering) if together.is_first else None


def _ready(run: Run, together: Team, *, resume: bool) -> tuple[Run, Gathering]:
    """What there is to learn from; the first process leaves every choice in the run's folder, the others take it."""
    if not together.is_first:
        return look(replace(run, terminal=Terminal(None, quiet=True)), read_origin(run.folder))
    run, gathering = prepare(run, resume=resume)
    return with_share(run, gathering), gathering


def learn(run: Run, gathering: Gathering, *, resume: bool, together: Team = ALONE) -> None:
    """Fit; `last.pt` holds what came of it, `previous.pt` a run that it replaces, the findings what was not learned."""
    if run.checkpoint.exists() and not resume and together.is_first:
        run.weights.replace(run.folder / "previous.pt")
        run.checkpoint.unlink(missing_ok=True)
    recipe = run.recipe
    around = surroundings(recipe.data.noise, run.places)
    parts = learned_from(run, gathering), gathering.dev
    train, dev = together.after_the_first(lambda: [decoded(run, part) for part in parts])
    alphabet, mel = hearing(recipe)
    model = started(recipe, run.base) if run.base else new_model(recipe)
    board = run.folder / "tensorboard" if recipe.report.tensorboard else None
    with interruptible(run.terminal.say) as stop, watched(run.terminal, board) as watcher:
        fit(
            recipe,
            model,
            train,
            dev,
            alphabet,
            mel,
            around,
            run.folder,
            watcher,
            resume=resume,
            stop=stop,
            team=together,
            hold=hold_of(recipe, run.base, gathering) if run.base else None,
        )
    if together.is_first:
        strikes = checkpoints.load(run.checkpoint).progress.strikes
        found = [*gathering.findings, *_not_learned(parts[0], strikes)]
        write_findings_csv(run.folder / "findings.csv", found)


def _not_learned(part: Gathered, strikes: dict[int, int]) -> Iterator[Finding]:
    """The clips whose loss was not finite, and how often."""
    for index, times in sorted(strikes.items()):
        told = (
            f"{times} times its loss was not finite; is its text longer than its audio can hold, or its audio broken?"
        )
        yield Finding(Kind.NO_FINITE_LOSS, part.clips[index], told)


def is_finished(run: Run) -> bool:
    """Whether the checkpoint has nothing left to learn."""
    return is_over(run.recipe.schedule, checkpoints.load(run.checkpoint).progress)


def export(run: Run, gathering: Gathering) -> Bundle:
    """The bundle of the run's best weights, measured as it is served, and the report of the run."""
    made_of = ingredients(run, gathering, run.weights)
    heard: list[Evaluation] = []
    bundle = make_bundle(made_of, run.folder / "bundle", run.terminal.say, heard.extend)
    size_mb = sum(path.stat().st_size for path in bundle.folder.rglob("*") if path.is_file()) / 1e6
    run.terminal.say(f"the bundle is {bundle.folder}, {size_mb:.1f} MB")
    report_run(made_of, gathering, run.places, heard, run.folder, run.terminal.say)
    return bundle


def ingredients(run: Run, gathering: Gathering, checkpoint: Path) -> Ingredients:
    """What the bundle of a checkpoint is made of; tuned weights are averaged with those of the base."""
    start, kit = {}, None
    if run.base:
        dev = decoded(run, gathering.dev)
        checkpoint, share = weights_between(
            run.recipe, run.base, checkpoint, dev, *hearing(run.recipe), run.terminal.say
        )
        start, kit = told_of_start(run.recipe, run.base, share), kit_of(run.base)
    return Ingredients(
        recipe=run.recipe,
        checkpoint=checkpoint,
        train=gathering.train.clips,
        test=gathering.test.clips,
        lm=run.lm if run.recipe.lm else None,
        sentences=spoken_text(run),
        start=start,
        kit=kit,
    )


def spoken_text(run: Run) -> Path | None:
    """The sentences of the first synthetic source that has some."""
    for source in (*run.recipe.data.train, *run.recipe.data.replay):
        if source.synthetic and source.synthetic.sentences:
            return run.places.text(source.synthetic.sentences)
    return None
