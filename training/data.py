"""From a recipe's sources to clips: corpora by name, synthetic speech made where it is missing, faults taken out."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from stt_server.corpus.checks import Kind, check_clips
from stt_server.corpus.corpora import find_corpus
from stt_server.corpus.manifest import read_manifest
from stt_server.corpus.noise import find_noise
from stt_server.errors import BadInput, BadOption, NotFound
from stt_server.speech.files import read_audio
from stt_server.speech.text import normalize
from training.batches import Surroundings
from training.sentences import SentenceSource, read_sentences
from training.synthetic import HELD_OUT, SyntheticCorpus

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from stt_server.corpus.checks import Finding
    from stt_server.corpus.clip import Clip
    from stt_server.corpus.noise import NoiseClip
    from stt_server.speech.alphabet import Alphabet
    from training.recipe import Data, Recipe, Source, SyntheticSpeech

    Progress = Callable[[int, int], None]

FRAME_MS = 40.0
SPEAKERS = 2
# A recording that is in two of them is taken out of the later one, so that the test stays a test.
SPLITS = ("test", "dev", "train")
# What a clip must not be in order to be learned from; to be recognised it may.
PARDONED_IN_TEST = frozenset({Kind.TOO_LONG, Kind.TOO_MANY_CHARACTERS})


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
        where = f"under {root}" if root else "in a corpora folder, for EARLOOP_CORPORA names none"
        raise NotFound(f"there is no sentence file {name!r}, neither beside the recipe nor {where}")


@dataclass(frozen=True, slots=True)
class Gathered:
    """Clips that are fit for their purpose, texts normalised, and how often an epoch takes each."""

    clips: list[Clip]
    weights: list[float]

    @property
    def hours(self) -> float:
        return sum(clip.duration_s or 0.0 for clip in self.clips) / 3600


@dataclass(frozen=True, slots=True)
class Gathering:
    """All data of a run, and what was found wrong with the clips that were listed for it."""

    train: Gathered
    dev: Gathered
    test: Gathered
    findings: list[Finding]

    @property
    def errors(self) -> list[Finding]:
        """The findings for which a clip was left out."""
        return [finding for finding in self.findings if finding.is_error]


def check_places(recipe: Recipe, places: Places) -> None:
    """Find all that the recipe names, before an hour is spent on speaking what it does not lack. Raises NotFound."""
    data = recipe.data
    for source in (*data.test, *data.dev, *data.train):
        if source.corpus is not None:
            find_corpus(places.corpora, source.corpus)
        elif source.synthetic is not None and source.synthetic.sentences:
            places.text(source.synthetic.sentences)
    for name in recipe.lm.sentences if recipe.lm else ():
        places.text(name)
    list(_noises(data.noise, places))


def gather(data: Data, places: Places, made: Progress = lambda done, of: None) -> Gathering:
    """All clips of a recipe, those with faults taken out; `made` hears how many synthetic ones are spoken.

    Raises NotFound for a corpus or text that is not there, BadInput for a source without clips.
    """
    listed = {split: list(_listed(split, getattr(data, split), places, made)) for split in SPLITS}
    every = [clip for pairs in listed.values() for clip, _ in pairs]
    found = check_clips(every, frame_ms=FRAME_MS, longest_s=data.longest_s)
    findings = [each for each in found if not (each.clip.split == "test" and each.kind in PARDONED_IN_TEST)]
    faulty = {(finding.clip.path, finding.clip.split) for finding in findings if finding.is_error}
    parts = {split: _sound(pairs, faulty) for split, pairs in listed.items()}
    return Gathering(**parts, findings=findings)


def check_learnable(gathering: Gathering, alphabet: Alphabet) -> None:
    """Raises BadInput where nothing is left to learn from, or a text has a letter that the alphabet lacks."""
    if not gathering.train.clips:
        kinds = Counter(finding.kind for finding in gathering.errors if finding.clip.split == "train")
        told = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())
        raise BadInput(f"no training clip can be learned from ({told}); the findings say what is wrong with each")
    for clip in [*gathering.train.clips, *gathering.dev.clips]:
        strange = set(clip.text) - set(alphabet.letters)
        if strange:
            told = f"{min(strange)!r} in {clip.text!r} ({clip.path}) is not in the recipe's alphabet"
            raise BadInput(f"{told} {alphabet.letters!r}; add the letter or mend the text", field="alphabet")


def _sound(pairs: Iterable[tuple[Clip, float]], faulty: set[tuple[Path, str | None]]) -> Gathered:
    kept = [(clip, weight) for clip, weight in pairs if (clip.path, clip.split) not in faulty]
    return Gathered([replace(clip, text=normalize(clip.text)) for clip, _ in kept], [weight for _, weight in kept])


def _listed(split: str, sources: Sequence[Source], places: Places, made: Progress) -> Iterator[tuple[Clip, float]]:
    for source in sources:
        for clip in _clips(source, places, made):
            yield replace(clip, split=split), source.weight


def _clips(source: Source, places: Places, made: Progress) -> list[Clip]:
    spoken = source.synthetic
    if spoken is not None:
        manifest = synthetic_corpus(spoken, places).make(SPEAKERS, lambda done: made(done, spoken.count))
        return list(read_manifest(manifest))
    corpus = find_corpus(places.corpora, source.corpus or "")
    clips = list(corpus.clips(source.split))
    if not clips:
        splits = ", ".join(sorted({str(clip.split) for clip in corpus.clips()})) or "no clips at all"
        raise BadInput(f"the corpus {source.corpus!r} has no clips of split {source.split!r}; it has {splits}")
    return clips


def synthetic_corpus(recipe: SyntheticSpeech, places: Places) -> SyntheticCorpus:
    """The corpus a recipe describes, in a folder of the cache named by all that is said in it and how.

    Raises BadOption for a voice that is kept for evaluation kits.
    """
    kept = sorted(set(recipe.voices) & set(HELD_OUT))
    if kept:
        raise BadOption(f"the voice {kept[0]} is held out for evaluation kits; choose another", field="voices")
    lines = list(read_sentences(places.text(recipe.sentences))) if recipe.sentences else []
    source = SentenceSource(lines, recipe.by_rule)
    corpus = SyntheticCorpus(places.cache, source, recipe.count, recipe.seed, recipe.voices)
    said = hashlib.sha256("\n".join(map(repr, corpus.planned())).encode()).hexdigest()
    return replace(corpus, folder=places.cache / f"synthetic-{said[:12]}")


def surroundings(names: Sequence[str], places: Places) -> Surroundings:
    """The noises and rooms a recipe names, decoded. Raises NotFound."""
    heard = [(clip.kind, read_audio(clip.path)) for clip in _noises(names, places)]
    return Surroundings([x for kind, x in heard if kind == "noise"], [x for kind, x in heard if kind == "rir"])


def _noises(names: Sequence[str], places: Places) -> Iterator[NoiseClip]:
    for name in names:
        if places.corpora is None:
            raise NotFound(f"no noise {name!r}: set EARLOOP_CORPORA to the folder that holds it")
        yield from find_noise(places.corpora, name)
