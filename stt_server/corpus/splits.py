"""Train, dev and test by hash: the same clip falls into the same part on every machine and in every order.

| rule                 | a part has for itself | a result holds for                  | used where                    |
| -------------------- | --------------------- | ----------------------------------- | ----------------------------- |
| speaker and sentence | speakers, sentences   | new speakers and new sentences      | all parts are filled, a tenth |
|                      |                       |                                     | of the clips left out at most |
| speaker              | speakers              | new speakers                        | else, all parts are filled    |
| sentence             | sentences             | new sentences                       | else, all parts are filled    |
| take                 | recordings            | only new takes of the same speakers | else                          |

A part is filled when it has at least half of its share of the clips, and by the rule `sentence` five sentences: a list
of four commands must be learned whole.

Clips that have a split keep it, so a corpus that was split, saved with its splits and grew is never split anew. The
others go by a rule that the given parts keep, with their speaker or sentence where that has a part already: a new clip
of a speaker of the test is for testing. Under one rule no clip ever changes its part, because that is the hash of its
own speaker, sentence or file name. (Of very few takes one may go where otherwise none would be.) By the rule `speaker
and sentence` a sentence said in two parts is kept in one of them, and the clips of it in others are left out.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from stt_server.speech.text import normalize

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from stt_server.corpus.clip import Clip

    Key = Callable[[Clip], str]

SHARES = (("train", 0.7), ("dev", 0.2), ("test", 0.1))
FILLED = 0.5  # of a part's share
MOST_LEFT_OUT = 0.1
LEAST_SENTENCES = 5


class Rule(StrEnum):
    SPEAKER_AND_SENTENCE = "speaker and sentence"
    SPEAKER = "speaker"
    SENTENCE = "sentence"
    TAKE = "take"
    GIVEN = "given"


@dataclass(frozen=True, slots=True)
class Splitting:
    """Clips with their splits set, in the order they came; `left_out` are in none."""

    clips: list[Clip]
    left_out: list[Clip]
    rule: Rule
    holds_for: str  # one sentence


def split_clips(clips: Iterable[Clip], rule: Rule | None = None) -> Splitting:
    """Give every clip without a split one, by `rule` or by the first in the table that fits."""
    listed = list(clips)
    given = [clip for clip in listed if clip.split]
    if len(given) == len(listed):
        return Splitting(listed, [], Rule.GIVEN, holds_for(listed))
    known = _Known(given)
    fitting = (each for each in Rule if each is not Rule.GIVEN and _fits(each, listed, known))
    chosen = rule or next(fitting, Rule.TAKE)
    parts = _parts(listed, chosen, known)
    if chosen is Rule.TAKE and rule is None:
        parts = _none_empty(parts, listed)
    kept = [replace(clip, split=part) for clip, part in zip(listed, parts, strict=True) if part]
    left_out = [clip for clip, part in zip(listed, parts, strict=True) if not part]
    return Splitting(kept, left_out, chosen, holds_for(kept))


def part_of(key: str) -> str:
    """train, dev or test by the hash of `key`, in the shares of `SHARES`."""
    place = _place(key)
    for split, share in SHARES:
        if place < share:
            return split
        place -= share
    return SHARES[-1][0]


def _place(key: str) -> float:
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big") / 2**64


def holds_for(clips: Sequence[Clip]) -> str:
    """For whom a result on the test part holds, by what the training part has of it."""
    train, test = ([clip for clip in clips if clip.split == part] for part in ("train", "test"))
    if not train or not test:
        return f"There is no {'test' if train else 'train'} part, so no result says how well it hears others."
    named = all(clip.speaker for clip in (*train, *test))
    new_speakers, new_sentences = _new(train, test, _speaker), _new(train, test, _sentence)
    if named and not new_speakers and not new_sentences:
        return "The result holds only for new takes of the same speakers saying the same sentences."
    who = _share("speakers", new_speakers) if named else "speakers that may be the same, since not all clips name them,"
    return f"The result holds for {who} and {_share('sentences', new_sentences)}."


def _speaker(clip: Clip) -> str:
    return f"{clip.source} speaker {clip.speaker}"


def _sentence(clip: Clip) -> str:
    """The same in every corpus. Where nothing is said, the recording is what there is."""
    text = normalize(clip.text, drop_unspellable=True)
    return f"sentence {text}" if text else _take(clip)


def _take(clip: Clip) -> str:
    """By file name, so that a corpus may move."""
    return f"{clip.source} file {clip.path.name}"


class _Known:
    """Where the clips that have a split put their speakers and sentences, and whether that keeps them apart."""

    def __init__(self, given: Sequence[Clip]) -> None:
        self.speakers, self.speakers_apart = self._placed([clip for clip in given if clip.speaker], _speaker)
        self.sentences, self.sentences_apart = self._placed(given, _sentence)

    @staticmethod
    def _placed(given: Sequence[Clip], key: Key) -> tuple[dict[str, str], bool]:
        found: dict[str, str] = {}
        apart = True
        for clip in given:
            apart &= found.setdefault(key(clip), str(clip.split)) == clip.split
        return found, apart

    def speaker_part(self, clip: Clip) -> str:
        return self.speakers.get(_speaker(clip)) or part_of(_speaker(clip))

    def sentence_part(self, clip: Clip) -> str:
        return self.sentences.get(_sentence(clip)) or part_of(_sentence(clip))


def _fits(rule: Rule, clips: Sequence[Clip], known: _Known) -> bool:
    by_speaker = rule in (Rule.SPEAKER, Rule.SPEAKER_AND_SENTENCE)
    by_sentence = rule in (Rule.SENTENCE, Rule.SPEAKER_AND_SENTENCE)
    if by_speaker and not all(clip.speaker for clip in clips):
        return False
    if (by_speaker and not known.speakers_apart) or (by_sentence and not known.sentences_apart):
        return False
    return _fills(_parts(clips, rule, known), clips, rule)


def _fills(parts: Sequence[str | None], clips: Sequence[Clip], rule: Rule) -> bool:
    counts, kept = Counter(part for part in parts if part), sum(part is not None for part in parts)
    if kept < (1 - MOST_LEFT_OUT) * len(clips) or any(counts[part] < FILLED * share * kept for part, share in SHARES):
        return False
    if rule is not Rule.SENTENCE:
        return True
    sentences = defaultdict(set)
    for part, clip in zip(parts, clips, strict=True):
        sentences[part].add(_sentence(clip))
    return all(len(sentences[part]) >= LEAST_SENTENCES for part, _ in SHARES)


def _parts(clips: Sequence[Clip], rule: Rule, known: _Known) -> list[str | None]:
    """The part of each clip; None leaves it out."""
    if rule is Rule.SPEAKER_AND_SENTENCE:
        homes = _homes(clips, known)
        return [clip.split or _at_home(known.speaker_part(clip), homes[_sentence(clip)]) for clip in clips]
    place: Key = {
        Rule.SPEAKER: known.speaker_part,
        Rule.SENTENCE: known.sentence_part,
        Rule.TAKE: lambda clip: part_of(_take(clip)),
    }[rule]
    return [clip.split or place(clip) for clip in clips]


def _none_empty(parts: Sequence[str | None], clips: Sequence[Clip]) -> list[str | None]:
    """Of a handful of takes none may fall to the test: then an empty part gets the take that comes nearest to it."""
    filled, places, below = list(parts), [_place(_take(clip)) for clip in clips], 0.0
    for part, share in SHARES:
        middle, below = below + share / 2, below + share
        counts = Counter(filled)
        spare = [at for at, clip in enumerate(clips) if not clip.split and counts[filled[at]] > 1]
        if not counts[part] and spare:
            filled[min((abs(places[at] - middle), at) for at in spare)[1]] = part
    return filled


def _homes(clips: Sequence[Clip], known: _Known) -> dict[str, str]:
    """The part of each sentence: where it is already, else where the first of its speakers by hash is."""
    first: dict[str, tuple[bytes, str]] = {}
    for clip in clips:
        said, place = _sentence(clip), (hashlib.sha256(_speaker(clip).encode()).digest(), known.speaker_part(clip))
        first[said] = min(first.get(said, place), place)
    return {said: known.sentences.get(said, part) for said, (_, part) in first.items()}


def _at_home(part: str, home: str) -> str | None:
    return part if part == home else None


def _new(train: Sequence[Clip], test: Sequence[Clip], key: Key) -> float:
    """The share of test clips whose key no training clip has."""
    learned = {key(clip) for clip in train}
    return sum(key(clip) not in learned for clip in test) / len(test)


def _share(what: str, new: float) -> str:
    if new in (0, 1):
        return f"new {what}" if new else f"the same {what}"
    return f"{what} of which {100 * new:.0f} % are new"
