"""A run from recipe to bundle, in the order a reader would do it by hand.

gather, pre-flight, language model → decode → fit → bundle (export, parity, kit, golden clip, rates, card)

Whatever can be missing is asked for before the learning begins, so that nothing fails hours later for want of a file.
"""

from __future__ import annotations

import random
import signal
import threading
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import torch

from stt_server.corpus.checks import Finding, Kind, write_findings_csv
from stt_server.errors import NotFound
from stt_server.speech.alphabet import Alphabet
from stt_server.speech.features import FeatureRecipe, LogMel
from training import checkpoints
from training.architectures import build, shape_from
from training.bundling import Ingredients, make_bundle
from training.clips import load_clips
from training.data import SPLITS, check_learnable, check_places, gather, surroundings
from training.distributed import ALONE, team
from training.fit import fit
from training.lm import estimate, write_arpa
from training.origin import is_run, read_origin, write_origin
from training.overview import FINDINGS, SOURCES, finding_rows, source_rows
from training.recipe import sized
from training.replay import USUAL, mixed
from training.report import check_packages
from training.reporting import report_run
from training.scalars import check_tensorboard
from training.schedule import is_over
from training.sentences import read_sentences, spoken_form
from training.start import adopt, started
from training.synthetic import check_programs
from training.terminal import Terminal
from training.tuning import add_base_lm, hold_of, kit_of, settled, settled_share, told_of_start, weights_between
from training.watching import watched

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from stt_server.corpus.clip import Clip
    from stt_server.corpus.evaluation import Evaluation
    from stt_server.speech.bundle import Bundle
    from training.clips import ClipArray
    from training.data import Gathered, Gathering, Places
    from training.distributed import Team
    from training.origin import Origin
    from training.recipe import LanguageModel, Recipe
    from training.start import Base
    from training.streaming import StreamingModel


@dataclass(frozen=True, slots=True)
class Run:
    """A recipe, where its data lies and the folder it leaves: what it came from, log, findings, checkpoints, bundle."""

    recipe: Recipe
    places: Places
    folder: Path
    terminal: Terminal
    base: Base | None = None  # the model that learning starts from, once it was looked for

    @property
    def checkpoint(self) -> Path:
        return self.folder / "last.pt"

    @property
    def weights(self) -> Path:
        """The checkpoint that is exported: the best that was validated, else the last."""
        best = self.folder / "best.pt"
        return best if best.is_file() else self.checkpoint

    @property
    def lm(self) -> Path:
        return self.folder / "lm.arpa.gz"


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
    with _interruptible(run.terminal.say) as stop, watched(run.terminal, board) as watcher:
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


def learned_from(run: Run, gathering: Gathering) -> Gathered:
    """The clips of an epoch: those to learn and, beside them, those not to forget."""
    share = run.recipe.data.replay_share
    return mixed(gathering.train, gathering.replay, USUAL if share == "auto" else share)


def hearing(recipe: Recipe) -> tuple[Alphabet, LogMel]:
    """The letters a model writes with and the features it hears."""
    return Alphabet(recipe.alphabet), LogMel(FeatureRecipe(n_mels=recipe.features.n_mels))


def new_model(recipe: Recipe) -> StreamingModel:
    """A model of the recipe's sizes, its weights drawn from the schedule's seed."""
    torch.manual_seed(recipe.schedule.seed)
    return build(shape_from(recipe, len(Alphabet(recipe.alphabet))))


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


def decoded(run: Run, part: Gathered) -> ClipArray:
    """Its samples, from the cache or decoded into it."""
    with run.terminal.bars("decoding") as (tell,):
        return load_clips(part.clips, part.weights, run.places.cache, lambda done: tell(done, len(part.clips)))


@contextmanager
def _interruptible(say: Callable[[str], None]) -> Iterator[Callable[[], bool]]:
    """Within, the first Ctrl-C or SIGTERM is a wish to stop, told by the yielded function; the second stops at once."""
    wish = _Wish(say)
    if threading.current_thread() is not threading.main_thread():  # only the main thread may handle signals
        yield wish
        return
    before = {number: signal.signal(number, wish.hear) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield wish
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _Wish:
    def __init__(self, say: Callable[[str], None]) -> None:
        self.say, self.wished, self.told = say, False, False

    def __call__(self) -> bool:
        if self.wished and not self.told:
            self.told = True
            self.say("stopping: what was learned is exported now; --resume goes on later, Ctrl-C again leaves at once")
        return self.wished

    def hear(self, _number: int, _frame: object) -> None:
        if self.wished:
            raise KeyboardInterrupt
        self.wished = True
