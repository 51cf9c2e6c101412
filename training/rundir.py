"""One run: its recipe, where its data lies, and what lies in its folder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from stt_server.speech.alphabet import Alphabet
from stt_server.speech.features import FeatureRecipe, LogMel
from training.clips import load_clips
from training.replay import USUAL, mixed

if TYPE_CHECKING:
    from pathlib import Path

    from training.clips import ClipArray
    from training.data import Gathered, Gathering
    from training.places import Places
    from training.recipe import Recipe
    from training.start import Base
    from training.terminal import Terminal


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


def learned_from(run: Run, gathering: Gathering) -> Gathered:
    """The clips of an epoch: those to learn and, beside them, those not to forget."""
    share = run.recipe.data.replay_share
    return mixed(gathering.train, gathering.replay, USUAL if share == "auto" else share)


def decoded(run: Run, part: Gathered) -> ClipArray:
    """Its samples, from the cache or decoded into it."""
    with run.terminal.bars("decoding") as (tell,):
        return load_clips(part.clips, part.weights, run.places.cache, lambda done: tell(done, len(part.clips)))


def hearing(recipe: Recipe) -> tuple[Alphabet, LogMel]:
    """The letters a model writes with and the features it hears."""
    return Alphabet(recipe.alphabet), LogMel(FeatureRecipe(n_mels=recipe.features.n_mels))
