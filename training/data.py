"""From a recipe's sources to clips: corpora by name, synthetic speech made where it is missing, faults taken out."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from stt_server.corpus.checks import check_clips
from stt_server.corpus.corpora import find_corpus
from stt_server.corpus.manifest import read_manifest
from stt_server.corpus.noise import find_noise
from stt_server.errors import BadInput, NotFound
from stt_server.speech.files import read_audio
from stt_server.speech.text import normalize
from training.batches import Surroundings
from training.sentences import SentenceSource, read_sentences
from training.synthetic import SyntheticCorpus

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from stt_server.corpus.checks import Finding
    from stt_server.corpus.clip import Clip
    from training.recipe import Data, Source, SyntheticSpeech

FRAME_MS = 40.0
SHORTEST_S = 0.1
SPEAKERS = 2


@dataclass(frozen=True, slots=True)
class Places:
    """Where a run finds and keeps things: corpora (or none) and a folder for what it makes once for many runs."""

    corpora: Path | None
    cache: Path
    recipe: Path | None = None

    def text(self, name: str) -> Path:
        """A sentence file: beside the recipe, in the corpora folder, in a folder of it or in one beside it."""
        beside = [self.recipe / name] if self.recipe else []
        root = self.corpora.absolute() if self.corpora else None
        under = [root / name, *sorted(root.glob(f"*/{name}")), *sorted(root.parent.glob(f"*/{name}"))] if root else []
        for path in [*beside, *under]:
            if path.is_file():
                return path
        raise NotFound(f"there is no sentence file {name!r}, neither beside the recipe nor under EARLOOP_CORPORA")


@dataclass(frozen=True, slots=True)
class Gathered:
    """Clips fit to learn from, how often an epoch takes each, and what was found wrong with them and others."""

    clips: list[Clip]
    weights: list[float]
    findings: list[Finding]


def gather(
    sources: Sequence[Source], data: Data, places: Places, made: Callable[[int, int], None] = lambda done, of: None
) -> Gathered:
    """All clips of the sources, normalised, those with faults taken out. Raises BadInput when none is left."""
    listed: list[Clip] = []
    weight: dict[Path, float] = {}
    for source in sources:
        for clip in _clips(source, places, made):
            listed.append(clip)
            weight[clip.path] = source.weight
    findings = check_clips(listed, frame_ms=FRAME_MS, longest_s=data.longest_s)
    faulty = {finding.clip.path for finding in findings if finding.is_error}
    sound = [clip for clip in listed if clip.path not in faulty and (clip.duration_s or 1.0) >= SHORTEST_S]
    clips = [replace(clip, text=normalize(clip.text)) for clip in sound]
    if sources and not clips:
        raise BadInput("no clip of the recipe can be learned from; the findings say what is wrong with each")
    return Gathered(clips, [weight[clip.path] for clip in clips], findings)


def _clips(source: Source, places: Places, made: Callable[[int, int], None]) -> list[Clip]:
    spoken = source.synthetic
    if spoken is not None:
        manifest = synthetic_corpus(spoken, places).make(SPEAKERS, lambda done: made(done, spoken.count))
        return list(read_manifest(manifest))
    if source.corpus is None:
        raise BadInput("a source of data names neither a `corpus` nor `synthetic` speech")
    return list(find_corpus(places.corpora, source.corpus).clips(source.split))


def synthetic_corpus(recipe: SyntheticSpeech, places: Places) -> SyntheticCorpus:
    """The corpus a recipe describes, in a folder of the cache named by all that decides its sound."""
    lines = list(read_sentences(places.text(recipe.sentences))) if recipe.sentences else []
    told = repr((recipe, hashlib.sha256("\n".join(lines).encode()).hexdigest()))
    folder = places.cache / f"synthetic-{hashlib.sha256(told.encode()).hexdigest()[:12]}"
    return SyntheticCorpus(folder, SentenceSource(lines, recipe.by_rule), recipe.count, recipe.seed, recipe.voices)


def surroundings(names: Sequence[str], places: Places) -> Surroundings:
    """The noises and rooms a recipe names, decoded."""
    clips = [clip for name in names if places.corpora for clip in find_noise(places.corpora, name)]
    if names and not clips:
        raise NotFound(f"no noise {', '.join(names)}: set EARLOOP_CORPORA to the folder that holds it")
    heard = [(clip.kind, read_audio(clip.path)) for clip in clips]
    return Surroundings([x for kind, x in heard if kind == "noise"], [x for kind, x in heard if kind == "rir"])
