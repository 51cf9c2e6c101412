"""The learning of a run: its clips decoded, a model begun or gone on with, what could not be learned told."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stt_server.corpus.checks import Finding, Kind, write_findings_csv
from training import checkpoints
from training.architectures import new_model
from training.distributed import ALONE
from training.fit import fit
from training.rundir import decoded, hearing, learned_from
from training.schedule import is_over
from training.sources import surroundings
from training.start import started
from training.stopping import interruptible
from training.tuning import hold_of
from training.watching import watched

if TYPE_CHECKING:
    from collections.abc import Iterator

    from training.data import Gathered, Gathering
    from training.distributed import Team
    from training.rundir import Run


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
