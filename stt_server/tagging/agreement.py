"""When do enough people agree on what a clip says? Pure rules.

Two votes give the same *answer* when both name the same words (in the project's normal form; "right as heard" names the
words that were heard) or the same verdict without words. An answer is agreed on when at least `people` different people
gave it and they are more than `share` of all who were asked. Mycroft's Selene decided wake words by the same two
numbers, 2 and 75 %, but counted a session as a person, so that one could agree with oneself.

On conflict others are asked, up to `cap` people; a clip on which agreement cannot come any more is parked for an
expert, whose vote decides alone. That somebody calls a clip private is enough to quarantine it.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from stt_server.store.rights import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

NAMES_WORDS: Final = frozenset({Verdict.RIGHT, Verdict.CORRECTED})


@dataclass(frozen=True, slots=True)
class Rules:
    """How many must agree. `cap` is how many are asked at most before a clip is parked."""

    people: int = 2
    share: float = 0.75  # more than this
    cap: int = 5


DEFAULT: Final = Rules()


@dataclass(frozen=True, slots=True)
class Vote:
    """One person's verdict. `text` is in normal form, and None for a verdict that names no words."""

    person: str
    verdict: Verdict
    text: str | None = None
    expert: bool = False

    @property
    def answer(self) -> Answer:
        return Answer(None, self.text) if self.verdict in NAMES_WORDS else Answer(self.verdict, None)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a vote says: words, or else a verdict without words."""

    verdict: Verdict | None
    text: str | None


@dataclass(frozen=True, slots=True)
class Open:
    """Others are to be asked. `votes` is how many count until now."""

    votes: int


@dataclass(frozen=True, slots=True)
class Parked:
    """Agreement cannot come any more."""


@dataclass(frozen=True, slots=True)
class Quarantined:
    """Somebody called it private."""


@dataclass(frozen=True, slots=True)
class Decided:
    """Enough agree. `text` is in normal form: "" for noise, None where nobody knows the words."""

    verdict: Verdict
    text: str | None


Outcome = Open | Parked | Quarantined | Decided


def judge(
    votes: Iterable[Vote],
    heard: str,
    *,
    givers: frozenset[str] = frozenset(),
    distrusted: frozenset[str] = frozenset(),
    rules: Rules = DEFAULT,
) -> Outcome:
    """Where the votes of one round leave a clip in which `heard` (in normal form) was heard.

    Those who gave the clip never decide it among themselves. The votes of the distrusted do not count, but that a clip
    is private is believed of everybody. The order of the votes means nothing.
    """
    votes = tuple(votes)
    experts = {vote.answer for vote in votes if vote.expert}
    if len(experts) == 1:
        return _outcome(experts.pop(), heard)
    if any(vote.verdict is Verdict.PRIVATE for vote in votes):
        return Quarantined()
    if experts:
        return Parked()
    answers = _by_answer(vote for vote in votes if vote.person not in distrusted)
    asked = len(set().union(*answers.values()))
    for answer, people in answers.items():
        if _agreed(people, asked, givers, rules):
            return _outcome(answer, heard)
    return Open(asked) if _reachable(answers, asked, rules) else Parked()


def has_conflict(votes: Iterable[Vote]) -> bool:
    """Whether two of these votes say different things."""
    return len({vote.answer for vote in votes}) > 1


def _by_answer(votes: Iterable[Vote]) -> Mapping[Answer, set[str]]:
    """Who gave each answer."""
    people: defaultdict[Answer, set[str]] = defaultdict(set)
    for vote in votes:
        people[vote.answer].add(vote.person)
    return people


def _agreed(people: set[str], asked: int, givers: frozenset[str], rules: Rules) -> bool:
    return len(people) >= rules.people and len(people) > rules.share * asked and not people <= givers


def _reachable(answers: Mapping[Answer, set[str]], asked: int, rules: Rules) -> bool:
    """Whether the most frequent answer would be agreed on if everybody who may still be asked gave it."""
    left = rules.cap - asked
    most = max(map(len, answers.values()), default=0)
    return left > 0 and most + left >= rules.people and most + left > rules.share * rules.cap


def _outcome(answer: Answer, heard: str) -> Decided | Quarantined:
    if answer.verdict is Verdict.PRIVATE:
        return Quarantined()
    if answer.verdict is None:
        return Decided(Verdict.RIGHT if answer.text == heard else Verdict.CORRECTED, answer.text)
    return Decided(answer.verdict, "" if answer.verdict is Verdict.NOISE else None)
