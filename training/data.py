"""From a recipe's sources to clips that are fit to be learned from: split, listened to, faults taken out."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from stt_server.corpus.alphabets import alphabet_of
from stt_server.corpus.checks import Kind, check_clips
from stt_server.corpus.listening import Heard
from stt_server.corpus.splits import holds_for
from stt_server.errors import BadInput
from stt_server.speech.alphabet import Alphabet
from stt_server.speech.text import normalize
from training.division import divide
from training.preflight import listen_once
from training.sources import clips_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from stt_server.corpus.checks import Finding
    from stt_server.corpus.clip import Clip
    from stt_server.corpus.listening import Outcome
    from training.places import Places
    from training.recipe import Recipe

    Progress = Callable[[int, int], None]

AUTO = "auto"
FRAME_MS = 40.0
# A recording that is in two of them is taken out of the later one, so that the test stays a test.
SPLITS = ("test", "dev", "train")
REPLAY = "replay"  # the part of what is learned beside the training clips
# What a clip must not be in order to be learned from; to be recognised it may.
PARDONED_IN_TEST = frozenset({Kind.TOO_LONG, Kind.TOO_MANY_CHARACTERS, Kind.NOT_IN_ALPHABET})


@dataclass(frozen=True, slots=True)
class Gathered:
    """Clips that are fit for their purpose, texts normalised, and how often an epoch takes each."""

    clips: list[Clip]
    weights: list[float]

    @property
    def hours(self) -> float:
        return sum(clip.duration_s or 0.0 for clip in self.clips) / 3600


NOTHING = Gathered([], [])


@dataclass(frozen=True, slots=True)
class Gathering:
    """All data of a run, and what was found wrong with the clips that were listed for it.

    `replay` is learned beside `train`, so that a base model does not forget; its clips are of the split train too.
    `divided` says how the parts came to be and `holds_for` for whom a result on the test part holds; `digest` is a hash
    of who says what where in which samples: another one, other data.
    """

    train: Gathered
    dev: Gathered
    test: Gathered
    findings: list[Finding]
    alphabet: Alphabet
    listed: int = 0  # training clips, the faulty ones included
    replay: Gathered = NOTHING
    divided: str = "split as given"
    holds_for: str = ""
    digest: str = ""

    @property
    def errors(self) -> list[Finding]:
        """The findings for which a clip was left out."""
        return [finding for finding in self.findings if finding.is_error]

    @property
    def clips(self) -> list[Clip]:
        """Of all parts; those of replay say that they are, since they are not what a run is about."""
        replayed = [replace(clip, split=REPLAY) for clip in self.replay.clips]
        return [*self.train.clips, *replayed, *self.dev.clips, *self.test.clips]


def gather(
    recipe: Recipe,
    places: Places,
    made: Progress = lambda done, of: None,
    listened: Progress = lambda done, of: None,
    *,
    known: Mapping[Path, str] | None = None,
    base: Alphabet | None = None,
) -> Gathering:
    """All clips of a recipe, listened to, those with faults taken out.

    `made` hears how many synthetic ones are spoken, `listened` how many are decoded. `known` is the part in which a
    clip was when the run began; `base` the alphabet of the model that learning starts from.

    Raises NotFound for a corpus or text that is not there, BadInput for a source without clips.
    """
    data = recipe.data
    faults: list[Finding] = []
    listed = {
        split: list(clips_of(split, getattr(data, split), places, made, faults, whole=data.split)) for split in SPLITS
    }
    divided = ""
    if data.split:
        division = divide(listed["train"], known)
        listed, divided = {split: list(division.parts[split]) for split in SPLITS}, division.told
    replayed = list(clips_of("train", data.replay, places, made, faults, whole=False))
    every = [clip for pairs in (*(listed[split] for split in SPLITS), replayed) for clip, _ in pairs]
    heard = listen_once([clip.path for clip in every], places.cache, listened)
    alphabet = _alphabet(recipe, [clip for clip, _ in listed["train"]], base)
    found = check_clips(every, frame_ms=FRAME_MS, longest_s=data.longest_s, alphabet=alphabet, heard=heard)
    findings = [each for each in [*faults, *found] if not (each.clip.split == "test" and each.kind in PARDONED_IN_TEST)]
    faulty = {(finding.clip.path, finding.clip.split) for finding in findings if finding.is_error}
    parts = {split: _sound(listed[split], faulty, heard) for split in SPLITS}
    replay = _sound(replayed, faulty, heard)
    sound = [clip for split in SPLITS for clip in parts[split].clips]
    return Gathering(
        train=parts["train"],
        dev=parts["dev"],
        test=parts["test"],
        findings=findings,
        alphabet=alphabet,
        listed=len(listed["train"]),
        replay=replay,
        divided=divided or "split as given",
        holds_for=holds_for(sound),
        digest=_digest([*sound, *replay.clips], heard),
    )


def check_learnable(gathering: Gathering, most_faulty: float = 1.0) -> None:
    """Raises BadInput where nothing is left to learn from, or more than the share `most_faulty` had to be left out."""
    left = len(gathering.train.clips)
    if left and left >= (1 - most_faulty) * gathering.listed:
        return
    kinds = Counter(finding.kind for finding in gathering.errors if finding.clip.split == "train")
    told = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())
    if not left:
        raise BadInput(f"no training clip can be learned from ({told}); the findings say what is wrong with each")
    raise BadInput(
        f"{gathering.listed - left} of {gathering.listed} training clips are faulty ({told}); the findings say what is "
        "wrong with each. Mend or remove them, or set data.most_faulty=1 to learn from the rest",
        field="data.most_faulty",
    )


def _alphabet(recipe: Recipe, train: Sequence[Clip], base: Alphabet | None) -> Alphabet:
    if recipe.alphabet != AUTO:
        return Alphabet(recipe.alphabet)
    return base or alphabet_of(clip.text for clip in train)


def _digest(clips: Sequence[Clip], heard: Mapping[Path, Outcome]) -> str:
    """Of the texts and samples alone, whatever their order and wherever they lie."""
    rows = []
    for clip in clips:
        outcome = heard.get(clip.path)
        content = outcome.content.hex() if isinstance(outcome, Heard) else ""
        rows.append(json.dumps([clip.split, clip.source, clip.speaker, clip.text, content]))
    return hashlib.sha256("\n".join(sorted(rows)).encode()).hexdigest()


def _sound(
    pairs: Iterable[tuple[Clip, float]], faulty: set[tuple[Path, str | None]], heard: Mapping[Path, Outcome]
) -> Gathered:
    kept = [(clip, weight) for clip, weight in pairs if (clip.path, clip.split) not in faulty]
    return Gathered([_known(clip, heard) for clip, _ in kept], [weight for _, weight in kept])


def _known(clip: Clip, heard: Mapping[Path, Outcome]) -> Clip:
    """With its text as it is learned, and its duration where the list has none."""
    outcome, duration_s = heard.get(clip.path), clip.duration_s
    if duration_s is None and isinstance(outcome, Heard):
        duration_s = outcome.duration_s
    return replace(clip, text=normalize(clip.text), duration_s=duration_s)
