"""Both models on the same clips, as they are served; then the groups that are looked at on their own."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from stt_server.corpus.evaluation import evaluate
from training.gate.sets import COMMANDS, GUARD, KIT_KINDS, SILENCE, SPEAKER, Role

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from stt_server.corpus.clip import Clip
    from stt_server.corpus.evaluation import Heard
    from stt_server.speech.recognizer import Recognizer
    from training.gate.sets import GateSet
    from training.policy import Policy


KIT = "kit"


@dataclass(frozen=True, slots=True)
class Pair:
    """An utterance as both heard it. Of one without speech, `words` is 1 and an error is any word that was heard."""

    clip: Clip
    said: str
    base: str
    candidate: str
    words: int
    base_errors: int
    candidate_errors: int

    @property
    def new_errors(self) -> int:
        return self.candidate_errors - self.base_errors


@dataclass(frozen=True, slots=True)
class HeardSet:
    """A set, or a group within some, as both heard it.

    `given` tells a set that was brought from a group. A set that is `binding` must surely hold; one that counts with
    others of its kind is not, and must only not be surely worse.
    """

    name: str
    role: Role
    kind: str
    pairs: tuple[Pair, ...]
    given: bool = True
    binding: bool = True


def hear_set(base: Recognizer, candidate: Recognizer, gate_set: GateSet) -> list[HeardSet]:
    """The set as both heard it, its clips without speech apart. A clip that cannot be read is an error."""
    if not gate_set.clips:
        return [HeardSet(gate_set.name, gate_set.role, gate_set.kind, ())]
    heard = [evaluate(each, gate_set.clips).heard for each in (base, candidate)]
    pairs = [_pair(*both) for both in zip(*heard, strict=True)]
    spoken, quiet = tuple(each for each in pairs if each.said), tuple(each for each in pairs if not each.said)
    found = []
    if spoken or not quiet:
        found.append(HeardSet(gate_set.name, gate_set.role, gate_set.kind, spoken))
    if quiet:
        apart = gate_set.name if not spoken else f"{gate_set.name}, without speech"
        found.append(HeardSet(apart, GUARD, SILENCE, quiet, given=gate_set.role == GUARD))
    return found


def pooled(sets: Sequence[HeardSet]) -> list[HeardSet]:
    """The sets, and behind them for each kind of guard of which there are several one of all together.

    A few dozen clips tell little; so a kind is held as a whole, and its parts may then not be surely worse.
    """
    by_kind: dict[str, list[HeardSet]] = defaultdict(list)
    for each in sets:
        if each.role == GUARD and each.pairs:
            by_kind[each.kind].append(each)
    several = {kind: parts for kind, parts in by_kind.items() if len(parts) > 1}
    loosened = [replace(each, binding=each.role != GUARD or each.kind not in several) for each in sets]
    return loosened + [
        HeardSet(
            f"{kind}, all together", GUARD, kind, tuple(pair for each in parts for pair in each.pairs), given=False
        )
        for kind, parts in several.items()
    ]


def groups_within(sets: Sequence[HeardSet], policy: Policy) -> list[HeardSet]:
    """The groups that may not become worse either: short commands of all guards together, and each speaker.

    A speaker of the kit is one in all its parts, one of another list in that list.
    """
    spoken = [each for each in sets if each.kind != SILENCE]
    found = [] if any(each.kind == COMMANDS for each in sets) else _short_commands(spoken, policy)
    return [*found, *_speakers([each for each in spoken if each.kind != SPEAKER], policy)]


def _short_commands(sets: Iterable[HeardSet], policy: Policy) -> list[HeardSet]:
    pairs = (pair for each in sets if each.role == GUARD for pair in each.pairs)
    short = tuple(pair for pair in pairs if pair.words <= policy.short_words)
    name = f"short commands, up to {policy.short_words} words"
    return [HeardSet(name, GUARD, COMMANDS, short, given=False)] if len(short) >= policy.fewest else []


def _speakers(sets: Iterable[HeardSet], policy: Policy) -> list[HeardSet]:
    """Those of whom there are clips enough, unless a list is of one speaker alone."""
    by_list: dict[str, dict[str, list[Pair]]] = defaultdict(lambda: defaultdict(list))
    for each in sets:
        for pair in each.pairs:
            if pair.clip.speaker:
                by_list[KIT if each.name in KIT_KINDS else each.name][pair.clip.speaker].append(pair)
    return [
        HeardSet(f"{name}, {speaker}", GUARD, SPEAKER, tuple(pairs), given=False)
        for name, speakers in by_list.items()
        for speaker, pairs in sorted(speakers.items())
        if len(speakers) > 1 and sum(pair.words for pair in pairs) >= policy.speaker_words
    ]


def new_errors(sets: Iterable[HeardSet], most: int) -> list[tuple[str, Pair]]:
    """The utterances in which the candidate makes more errors than the base, with their set; the worst first."""
    worse = [(each.name, pair) for each in sets if each.given for pair in each.pairs if pair.new_errors > 0]
    return sorted(worse, key=lambda one: (-one[1].new_errors, one[1].words, str(one[1].clip.path)))[:most]


def _pair(base: Heard, candidate: Heard) -> Pair:
    if base.said:
        words, before, after = len(base.said.split()), base.errors, candidate.errors
    else:
        words, before, after = 1, int(bool(base.heard)), int(bool(candidate.heard))
    return Pair(base.clip, base.said, base.heard, candidate.heard, words, before, after)
