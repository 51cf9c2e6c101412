"""A run from recipe to bundle, in the order a reader would do it by hand.

gather, pre-flight, language model → decode → fit, and on shares of the clips where a learning curve is asked for
→ bundle (export, parity, kit, golden clip, rates, card)
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from stt_server.errors import NotFound
from training.bundling import Ingredients, make_bundle
from training.curve import draw_curve
from training.distributed import team
from training.learning import is_finished, learn
from training.origin import read_origin
from training.preparing import look, prepare, with_share
from training.reporting import report_run
from training.rundir import decoded, hearing
from training.terminal import Terminal
from training.tuning import kit_of, told_of_start, weights_between

if TYPE_CHECKING:
    from pathlib import Path

    from stt_server.corpus.evaluation import Evaluation
    from stt_server.speech.bundle import Bundle
    from training.data import Gathering
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
        if run.recipe.report.learning_curve:
            draw_curve(run, gathering, together, resume=resume)
    return export(run, gathering) if together.is_first else None


def _ready(run: Run, together: Team, *, resume: bool) -> tuple[Run, Gathering]:
    """What there is to learn from; the first process leaves every choice in the run's folder, the others take it."""
    if not together.is_first:
        return look(replace(run, terminal=Terminal(None, quiet=True)), read_origin(run.folder))
    run, gathering = prepare(run, resume=resume)
    return with_share(run, gathering), gathering


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
