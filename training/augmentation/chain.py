"""What happens to one clip: every change is drawn first and made then, so that it can be named beside the sound.

speaker, pitch, tempo, speed        who speaks and how
lead, reverberation, distance       where
noise, clipping                     what the microphone hears and makes of it
telephone, 8 kHz, mu-law, Opus      the way to the server
level                               always
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from training.augmentation.level import amplify, overdrive
from training.augmentation.lines import mu_law, narrow_band, opus, telephone
from training.augmentation.noise import beside, coloured, cut
from training.augmentation.rooms import move_away, reverberate, simulate_room
from training.augmentation.speaker import change_speaker
from training.augmentation.spectrum import SAMPLE_RATE
from training.augmentation.timing import change_pitch, change_speed, change_tempo
from training.section import Numbers, range_at

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.random import Generator
    from numpy.typing import NDArray

    from training.augmentation.keys import Augmentation

    Samples = NDArray[np.float32]

BROWN = 2.0
SILENT_SHARE = 0.2  # of the clips without words


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a clip is put into: noises and room impulse responses, each a list of sample arrays."""

    noises: Sequence[NDArray[np.float32]] = ()
    rooms: Sequence[NDArray[np.float32]] = ()


@dataclass(frozen=True, slots=True)
class Change:
    """One drawn change: how a person would say it, and what it makes of samples (n,)."""

    said: str
    make: Callable[[Samples], Samples]


@dataclass(frozen=True, slots=True)
class Varied:
    """A clip after all its changes; without `words` where noise or silence took its place."""

    samples: Samples
    words: bool
    said: tuple[str, ...]


def vary(
    samples: Samples, recipe: Augmentation, around: Surroundings, dice: Generator, *, lead: bool, at: float = 0.0
) -> Varied:
    """One draw of every change, where a share `at` of the run is done; samples within ±1 come back.

    Whether silence is put around the clip, `lead`, the caller draws.
    """
    words = not dice.random() < recipe.empty
    changes = [] if words else [_emptied(around, dice)]
    changes += draw_changes(recipe, around, dice, lead=lead, at=at)
    for change in changes:
        samples = change.make(samples)
    return Varied(samples, words, tuple(change.said for change in changes))


def draw_changes(
    recipe: Augmentation, around: Surroundings, dice: Generator, *, lead: bool, at: float = 0.0
) -> list[Change]:
    """The changes of one clip in their order. Recorded noises and rooms that are not there do not happen."""
    draw = _Draw(recipe, dice, at)
    return [*_speakers(draw), *_places(draw, around, lead=lead), *_microphones(draw, around), *_ways(draw)]


class _Draw:
    """Numbers of one clip from the recipe's probabilities and ranges."""

    def __init__(self, recipe: Augmentation, dice: Generator, at: float) -> None:
        self.recipe, self.dice, self.at = recipe, dice, at

    def happens(self, probability: float) -> bool:
        return self.dice.random() < probability

    def between(self, numbers: Numbers) -> float:
        return float(self.dice.uniform(*range_at(numbers, self.at)))

    def own(self) -> Generator:
        """Dice for a change that is made later; what is drawn after it does not depend on how many it throws."""
        return np.random.default_rng(int(self.dice.integers(1 << 63)))


def _speakers(draw: _Draw) -> Iterator[Change]:
    recipe = draw.recipe
    if draw.happens(recipe.speaker):
        factor = draw.between(recipe.speaker_range)
        yield Change(f"speaker {factor:.2f}", partial(change_speaker, factor=factor))
    if draw.happens(recipe.pitch):
        semitones = draw.between(recipe.pitch_semitones)
        yield Change(f"pitch {semitones:+.1f}", partial(change_pitch, semitones=semitones))
    if draw.happens(recipe.tempo):
        factor = draw.between(recipe.tempo_range)
        yield Change(f"tempo {factor:.2f}", partial(change_tempo, factor=factor))
    if draw.happens(recipe.speed):
        factor = draw.between(recipe.speed_range)
        yield Change(f"speed {factor:.2f}", partial(change_speed, factor=factor))


def _places(draw: _Draw, around: Surroundings, *, lead: bool) -> Iterator[Change]:
    recipe = draw.recipe
    if lead:
        before, after = draw.between(recipe.lead_s), draw.between(recipe.lead_s)
        yield Change(f"lead {before:.1f}+{after:.1f} s", partial(_led, before_s=before, after_s=after))
    if draw.happens(recipe.reverb):
        yield from _room(draw, around)
    if draw.happens(recipe.far):
        corner_hz = draw.between(recipe.far_hz)
        yield Change(f"far {corner_hz:.0f} Hz", partial(move_away, corner_hz=corner_hz))


def _room(draw: _Draw, around: Surroundings) -> Iterator[Change]:
    if draw.happens(draw.recipe.simulated_rooms):
        decay_s = draw.between(draw.recipe.room_s)
        yield Change(f"room {decay_s:.2f} s", partial(reverberate, response=simulate_room(decay_s, draw.own())))
    elif around.rooms:
        number = int(draw.dice.integers(len(around.rooms)))
        yield Change(f"recorded room {number}", partial(reverberate, response=around.rooms[number]))


def _microphones(draw: _Draw, around: Surroundings) -> Iterator[Change]:
    recipe = draw.recipe
    if draw.happens(recipe.noise):
        layers = int(draw.dice.integers(1, recipe.noise_layers + 1))
        snr_db = draw.between(recipe.snr_db)
        noises = [noise for _ in range(layers) for noise in _noise(draw, around)]
        if noises:
            told = f"noise {snr_db:.0f} dB" if len(noises) == 1 else f"{len(noises)} noises {snr_db:.0f} dB"
            yield Change(told, partial(_noisy, noises=noises, snr_db=snr_db))
    if draw.happens(recipe.clipping):
        clipping_db = draw.between(recipe.clipping_db)
        yield Change(f"clipping {clipping_db:.0f} dB", partial(overdrive, clipping_db=clipping_db))


def _noise(draw: _Draw, around: Surroundings) -> Iterator[Callable[[int], Samples]]:
    """A function that makes a noise of a length, or none where none is recorded."""
    if draw.happens(draw.recipe.made_noise):
        slope = draw.dice.uniform(0, BROWN)
        yield partial(coloured, slope=slope, dice=draw.own())
    elif around.noises:
        yield partial(_piece, noises=around.noises, dice=draw.own())


def _ways(draw: _Draw) -> Iterator[Change]:
    recipe = draw.recipe
    if draw.happens(recipe.telephone):
        yield Change("telephone", telephone)
    if draw.happens(recipe.narrow):
        yield Change("8 kHz", narrow_band)
    if draw.happens(recipe.mulaw):
        yield Change("mu-law", mu_law)
    if draw.happens(recipe.opus):
        kbps = draw.between(recipe.opus_kbps)
        yield Change(f"opus {kbps:.0f} kbps", partial(opus, kbps=kbps))
    gain_db = draw.between(recipe.gain_db)
    yield Change(f"gain {gain_db:+.0f} dB", partial(amplify, gain_db=gain_db))


def _emptied(around: Surroundings, dice: Generator) -> Change:
    if not around.noises or dice.random() < SILENT_SHARE:
        return Change("silence", np.zeros_like)
    own = np.random.default_rng(int(dice.integers(1 << 63)))
    return Change("noise alone", lambda samples: cut(around.noises, len(samples), own))


def _led(samples: Samples, before_s: float, after_s: float) -> Samples:
    return np.pad(samples, (int(SAMPLE_RATE * before_s), int(SAMPLE_RATE * after_s)))


def _noisy(samples: Samples, noises: Sequence[Callable[[int], Samples]], snr_db: float) -> Samples:
    """Each noise as much fainter as there are more, so that the ratio holds for all together."""
    each_db = snr_db + 10 * np.log10(len(noises))
    return sum((beside(samples, noise(len(samples)), each_db) for noise in noises), start=samples)


def _piece(length: int, noises: Sequence[Samples], dice: Generator) -> Samples:
    return cut(noises, length, dice)
