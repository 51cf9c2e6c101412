"""Replay against forgetting: what the base model learned from, mixed into every epoch of what it is to learn.

`data.replay` names the sources, corpora where they are at hand. Where it names none and the model comes from a bundle,
sentences are drawn from the bundle's language model, spoken by synthetic voices, and some of other voices and words are
put beside `data.dev` as a guard. Replay holds a share of the seconds of an epoch, whatever the number of its clips.

`replay_share: auto` probes: the first PROBED of the schedule is learned with each of SHARES, and the one is taken that
has the lowest word error rate on `data.dev`, averaged over its sources so that a large guard does not outvote the new
words; of two alike the larger, which forgets less.
"""

from __future__ import annotations

import hashlib
import random
from itertools import islice
from typing import TYPE_CHECKING

from training.data import Gathered
from training.lm import Sampler, read_arpa
from training.recipe import Source, SyntheticSpeech

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from training.places import Places
    from training.recipe import Recipe
    from training.start import Base

SENTENCES, SHORTEST, LONGEST = 4000, 1, 12
BY_RULE = 0.3
REPLAYED, GUARDING = 400, 60  # utterances: twelve and two minutes
SEEDS = {"replay": 71, "guard": 72}
SHARES = (0.7, 0.5, 0.3)
PROBED = 0.25
USUAL = 0.5


def with_replay(recipe: Recipe, base: Base, places: Places) -> Recipe:
    """The recipe with replay and a guard of the bundle's own making, where it asks for replay and names no source."""
    data = recipe.data
    if data.replay or data.replay_share == 0 or base.bundle is None:
        return recipe
    lm = base.bundle.manifest.lm
    text = drawn_sentences(base.bundle.path(lm), base.letters, places.cache) if lm else None
    replay, guard = _spoken("replay", REPLAYED, text), _spoken("guard", GUARDING, text)
    dev = (*data.dev, guard) if data.dev else ()
    return recipe.model_copy(update={"data": data.model_copy(update={"replay": (replay,), "dev": dev})})


def _spoken(name: str, count: int, text: Path | None) -> Source:
    sentences, by_rule = (str(text), BY_RULE) if text else ("", 1.0)
    speech = SyntheticSpeech(sentences=sentences, by_rule=by_rule, count=count, seed=SEEDS[name])
    return Source(name=name, synthetic=speech)


def drawn_sentences(lm: Path, letters: str, cache: Path) -> Path:
    """A text file of sentences of the language model that the alphabet can spell, the same ones every time."""
    name = hashlib.sha256(lm.read_bytes() + letters.encode()).hexdigest()[:12]
    path = cache.absolute() / f"sentences-{name}.txt"
    if not path.is_file():
        spelled = set(letters)
        every = Sampler(read_arpa(lm)).sentences(random.Random(SEEDS["replay"]), SHORTEST, LONGEST)
        lines = islice((line for line in every if spelled.issuperset(line)), SENTENCES)
        cache.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        part.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        part.replace(path)
    return path


def mixed(new: Gathered, replay: Gathered, share: float) -> Gathered:
    """Both, the replayed weighed so that they have `share` of the seconds of an epoch."""
    if not replay.clips or not share:
        return new
    factor = share / (1 - share) * _seconds(new) / max(_seconds(replay), 1e-9)
    return Gathered([*new.clips, *replay.clips], [*new.weights, *(factor * weight for weight in replay.weights)])


def _seconds(part: Gathered) -> float:
    """Of an epoch, weights counted."""
    return sum(weight * (clip.duration_s or 0.0) for clip, weight in zip(part.clips, part.weights, strict=True))


def probe_shares(tuned_with: Callable[[float], Mapping[str, float]], say: Callable[[str], None]) -> float:
    """The best of SHARES; `tuned_with(share)` learns a part of the schedule and gives the rates of the dev sources."""
    found = {share: _mean(tuned_with(share)) for share in SHARES}
    best = min(found, key=lambda share: (found[share], -share))
    told = ", ".join(f"{100 * rate:.1f} % with {share:g}" for share, rate in found.items())
    say(f"replay is {best:g} of the audio: word error rates on dev, averaged over sources, {told}")
    return best


def _mean(rates: Mapping[str, float]) -> float:
    return sum(rates.values()) / max(1, len(rates))


def probing(recipe: Recipe) -> Recipe:
    """The recipe of a probe: a part of the epochs, no early stop."""
    epochs = max(1, round(PROBED * recipe.schedule.epochs))
    schedule = recipe.schedule.model_copy(update={"epochs": epochs, "early_stop": None, "minutes": None})
    return recipe.model_copy(update={"schedule": schedule})
