"""What a model will hear: clips as augmentation makes them, in wav files whose names tell what was drawn."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from stt_server.errors import NotFound
from stt_server.speech.features import FeatureRecipe, mel_filters
from stt_server.speech.files import read_audio, write_wav
from training.augmentation.chain import Surroundings, vary
from training.augmentation.level import rms
from training.augmentation.masks import draw_masks
from training.augmentation.spectrum import SAMPLE_RATE, WINDOW, analyse, synthesise
from training.batches import frames_in
from training.sources import surroundings
from training.synthetic import Utterance, speak

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from training.augmentation.keys import Augmentation
    from training.augmentation.masks import Stripe
    from training.places import Places
    from training.recipe import Recipe

    Samples = NDArray[np.float32]

SENTENCE = Utterance("turn on the light in the kitchen at seven thirty", "en-us", 165, 50)
LONGEST_S = 60.0
LONGEST_NAME = 200  # bytes, of the 255 that file systems allow
ORIGINAL = "original"


@dataclass(frozen=True, slots=True)
class Sounding:
    """One clip as it is heard once: `said` names the changes, in their order. Number 0 is the clip itself."""

    clip: str
    number: int
    said: tuple[str, ...]
    samples: NDArray[np.float32]

    @property
    def name(self) -> str:
        """A file name that says what was drawn, or the beginning of it."""
        words = "_".join([self.clip, f"{self.number:02d}", *self.said])
        plain = re.sub(r"[^\w.+-]", "", words).encode()[:LONGEST_NAME]
        return f"{plain.decode(errors='ignore')}.wav"

    @property
    def seconds(self) -> float:
        return len(self.samples) / SAMPLE_RATE

    @property
    def level_db(self) -> float:
        """Below full scale, root mean square."""
        return float(20 * np.log10(max(rms(self.samples), 1e-6)))


def read_clips(paths: Sequence[Path]) -> list[tuple[str, Samples]]:
    """Clips by their files' names, told apart where they are the same; without any, a sentence that is spoken here.

    Raises what `read_audio` and `speak` do, and TooLarge for a clip over a minute.
    """
    if not paths:
        return [("sentence", np.clip(speak(SENTENCE), -1, 1))]
    names = [path.stem for path in paths]
    apart = [name if names.count(name) == 1 else f"{place}-{name}" for place, name in enumerate(names, 1)]
    return [(name, read_audio(path, max_s=LONGEST_S)) for name, path in zip(apart, paths, strict=True)]


def find_surroundings(names: Sequence[str], places: Places, say: Callable[[str], None]) -> Surroundings:
    """The recipe's noises and rooms; those that are not on this machine are told of and left out."""
    try:
        return surroundings(names, places)
    except NotFound as error:
        say(f"without recorded noises and rooms: {error}")
        return Surroundings()


def section_at(recipe: Recipe, at: float) -> Augmentation:
    """The section that holds where a share `at` of the run is done."""
    share = recipe.schedule.calm_share
    return recipe.calm if share and at >= 1 - share else recipe.augmentation


def listen(
    clips: Sequence[tuple[str, Samples]], recipe: Recipe, around: Surroundings, *, count: int, seed: int, at: float
) -> Iterator[Sounding]:
    """Each clip as it is, then as it may be heard `count` times where a share `at` of the run is done."""
    features = FeatureRecipe(n_mels=recipe.features.n_mels)
    for place, (name, samples) in enumerate(clips):
        yield Sounding(name, 0, (ORIGINAL,), samples)
        for number in range(1, count + 1):
            dice = np.random.default_rng((seed, number, place))
            yield _once(name, number, samples, section_at(recipe, at), around, features, dice, at)


def write(sounding: Sounding, folder: Path) -> Path:
    """The wav file of a sounding, in a folder that is made where it is missing."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / sounding.name
    write_wav(path, sounding.samples)
    return path


def _once(
    name: str,
    number: int,
    samples: Samples,
    section: Augmentation,
    around: Surroundings,
    features: FeatureRecipe,
    dice: np.random.Generator,
    at: float,
) -> Sounding:
    lead = bool(dice.random() < section.lead)
    varied = vary(samples, section, around, dice, lead=lead, at=at)
    stripes = draw_masks(section, frames_in(len(varied.samples), features), features.n_mels, dice)
    stripes = [stripe for stripe in stripes if stripe.width]
    said = (*varied.said, f"{len(stripes)} masks") if stripes else varied.said
    return Sounding(name, number, said, masked(varied.samples, stripes, features))


def masked(samples: Samples, stripes: Sequence[Stripe], features: FeatureRecipe) -> Samples:
    """The clip without the bands and moments under the stripes. The model gets their average instead of silence."""
    bands, samples = np.zeros(features.n_mels, bool), samples.copy()
    for stripe in stripes:
        end = stripe.start + stripe.width
        if stripe.in_time:
            samples[stripe.start * features.hop : end * features.hop] = 0
        else:
            bands[stripe.start : end] = True
    if not bands.any():
        return samples
    filters = mel_filters(features, WINDOW)
    kept = 1 - filters[:, bands].sum(axis=1) / np.maximum(filters.sum(axis=1), 1e-6)
    return synthesise(analyse(samples) * kept, len(samples))
