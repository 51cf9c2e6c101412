"""Sentences spoken by synthetic voices that no model was trained on, and what a bundle's model hears of them."""

from __future__ import annotations

import random
from itertools import islice
from typing import TYPE_CHECKING

from stt_server.commands.bench.rare import RARE
from stt_server.corpus import posteriors
from stt_server.corpus.manifest import read_manifest
from stt_server.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from pathlib import Path

    from stt_server.corpus.clip import Clip
    from stt_server.corpus.posteriors import Posteriors
    from stt_server.speech.recognizer import Recognizer

    Tell = Callable[[str], None]

DRAWN, SPOKEN = 1, 2  # seeds of other sentences, of their voices
WORDS = (3, 8)  # of a sentence that is drawn
TOLD_EVERY = 100
HEARD = "heard.npz"


def draw_sentences(lm: Path, count: int, seed: int, without: Collection[str] = ()) -> list[str]:
    """Different sentences of the kind that a language model was made of, none with a word of `without`."""
    from training.lm import read_ngrams
    from training.lm.sampling import Sampler

    drawn = Sampler(read_ngrams(lm, "drawing sentences")).sentences(random.Random(seed), *WORDS)
    found: dict[str, None] = {}
    for sentence in islice(drawn, 20 * count):
        if not {*sentence.split()} & {*without}:
            found[sentence] = None
        if len(found) == count:
            return list(found)
    raise BadInput(f"the language model has hardly {count} different sentences; name another bundle")


def hear_others(recognizer: Recognizer, count: int, folder: Path, tell: Tell) -> list[Posteriors]:
    """What the model says of sentences that its own language model drew, without words that are called rare.

    Raises BadInput for a bundle without language model.
    """
    lm = recognizer.bundle.manifest.lm
    if lm is None:
        raise BadInput(f"the bundle {recognizer.name} has no language model to draw sentences from", field="lm")
    sentences = draw_sentences(recognizer.bundle.path(lm), count, DRAWN, RARE)
    return hear_sentences(recognizer, sentences, folder / "other", SPOKEN, tell)


def hear_sentences(
    recognizer: Recognizer, sentences: Sequence[str], folder: Path, seed: int, tell: Tell
) -> list[Posteriors]:
    """What the model says of each, as it is served; clips and log-probabilities are kept in `folder` and taken from it.

    Raises Unsupported where espeak-ng or flite is not installed.
    """
    from training.spoken import speak_sentences

    clips = speak_sentences(sentences, folder, seed, _told("spoken", len(sentences), tell))
    return _heard(recognizer, clips, folder, tell)


def hear_kit(recognizer: Recognizer, folder: Path, tell: Tell) -> list[Posteriors]:
    """What the model says of its evaluation kit; [] for a bundle without one."""
    bundle = recognizer.bundle
    if bundle.manifest.kit is None:
        return []
    (folder / "kit").mkdir(parents=True, exist_ok=True)
    return _heard(recognizer, list(read_manifest(bundle.path(bundle.manifest.kit))), folder / "kit", tell)


def _heard(recognizer: Recognizer, clips: Sequence[Clip], folder: Path, tell: Tell) -> list[Posteriors]:
    known_by = posteriors.mark(recognizer.bundle.manifest.models["fp32"].sha256, clips, vad=True)
    kept = folder / f"{known_by[:12]}-{HEARD}"  # another model hears otherwise
    found = posteriors.load(kept, known_by)
    if found is None:
        found = posteriors.hear(recognizer, clips, _told("heard", len(clips), tell))
        posteriors.save(found, kept, known_by)
    return found


def _told(what: str, of: int, tell: Tell) -> Callable[[int], None]:
    def told(done: int) -> None:
        if done % TOLD_EVERY == 0 or done == of:
            tell(f"{done} of {of} sentences {what}")

    return told
