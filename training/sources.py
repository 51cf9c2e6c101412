"""Sources of a recipe's data: corpora, lists and folders by name, speech made where it is missing, noise."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING

from stt_server.corpus.corpora import Corpus
from stt_server.corpus.formats.table import read_corpus
from stt_server.corpus.manifest import read_manifest
from stt_server.corpus.noise import find_noise
from stt_server.errors import BadInput, BadOption, NotFound
from stt_server.speech.files import read_audio
from training.augmentation.chain import Surroundings
from training.augmentation.lines import check_opus
from training.sentences import SentenceSource, read_sentences
from training.synthetic import HELD_OUT, SyntheticCorpus

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from stt_server.corpus.checks import Finding
    from stt_server.corpus.clip import Clip
    from stt_server.corpus.noise import NoiseClip
    from training.places import Places
    from training.recipe import Recipe, Source, SyntheticSpeech

    Progress = Callable[[int, int], None]

SPEAKERS = 2


def check_places(recipe: Recipe, places: Places) -> None:
    """Find all that the recipe names, before an hour is spent on speaking what it does not lack.

    Raises NotFound, BadOption where it names nothing to learn from, and Unsupported where Opus cannot be encoded.
    """
    data = recipe.data
    if not data.train:
        raise BadOption(
            "there is nothing to learn from: name lists with --train, or `data.train` in a recipe", field="data"
        )
    for source in (*data.test, *data.dev, *data.train, *data.replay):
        if source.corpus is not None:
            places.dataset(source.corpus)
        elif source.synthetic is not None and source.synthetic.sentences:
            places.text(source.synthetic.sentences)
    for name in recipe.lm.sentences if recipe.lm else ():
        places.text(name)
    list(_noises(data.noise, places))
    if recipe.augmentation.opus or recipe.calm.opus:
        check_opus()


def clips_of(
    split: str, sources: Sequence[Source], places: Places, made: Progress, faults: list[Finding], *, whole: bool
) -> Iterator[tuple[Clip, float]]:
    """The clips of a part with their weights; of a `whole` that is still to be split with the splits they have."""
    for source in sources:
        for clip in _clips(source, split, places, made, faults):
            named = clip.source if split == "train" else source.name or clip.source
            yield replace(clip, split=clip.split if whole else split, source=named), source.weight


def _clips(source: Source, split: str, places: Places, made: Progress, faults: list[Finding]) -> list[Clip]:
    spoken = source.synthetic
    if spoken is not None:
        manifest = synthetic_corpus(spoken, places).make(SPEAKERS, lambda done: made(done, spoken.count))
        return [replace(clip, split=None) for clip in read_manifest(manifest)]
    found = places.dataset(source.corpus or "")
    if isinstance(found, Corpus):
        every = list(found.clips())
    else:
        reading = read_corpus(found)
        every = reading.clips
        faults += [replace(each, clip=replace(each.clip, split=split)) for each in reading.findings]
    clips = [clip for clip in every if source.split in (None, clip.split)]
    if not clips:
        splits = ", ".join(sorted({str(clip.split) for clip in every})) or "no clips at all"
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
