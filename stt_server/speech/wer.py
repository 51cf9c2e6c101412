"""Word, character and utterance error rates, with intervals.

An alignment is one of the shortest ways to turn what was said into what was heard by substituting, deleting and
inserting. It is computed a column at a time in the bits of two integers (Myers 1999, in the form of Hyyrö 2003: "A
bit-vector algorithm for computing Levenshtein and Damerau edit distances"), which makes 20,000 utterances a matter of a
second or two in plain Python. Where several alignments are as short, a missing and an extra word with a right one
between them are preferred to wrong words in a row: it reads better, and the total is the same.

Nothing here normalises: give it the output of `text.normalize` on both sides. Words are what spaces separate; the
characters of the character error rate include the single space between words.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Sequence

    from numpy.typing import NDArray

RESAMPLES = 1000


@dataclass(frozen=True, slots=True)
class Errors:
    """Errors against a reference of `words` units (characters, where characters were counted)."""

    substitutions: int = 0
    deletions: int = 0
    insertions: int = 0
    words: int = 0

    @property
    def total(self) -> int:
        return self.substitutions + self.deletions + self.insertions

    @property
    def rate(self) -> float:
        """Errors per reference unit, above 1 when more was heard than said; infinite for words out of silence."""
        if self.words == 0:
            return math.inf if self.total else 0.0
        return self.total / self.words

    def __add__(self, other: Errors) -> Errors:
        return Errors(
            self.substitutions + other.substitutions,
            self.deletions + other.deletions,
            self.insertions + other.insertions,
            self.words + other.words,
        )


@dataclass(frozen=True, slots=True)
class Estimate:
    """A rate and its 95 % bootstrap interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{100 * self.value:.1f} % ({100 * self.low:.1f} to {100 * self.high:.1f})"


@dataclass(frozen=True, slots=True)
class Score:
    """What a set of utterances came to. `exact` is the rate of utterances without a single wrong word."""

    utterances: int
    words: Errors
    characters: Errors
    wer: Estimate
    cer: Estimate
    exact: Estimate


def align(reference: str, heard: str) -> list[tuple[str | None, str | None]]:
    """Pairs (said, heard) of words in order; None where a word was inserted or deleted."""
    return _align(reference.split(), heard.split())


def word_errors(reference: str, heard: str) -> Errors:
    """Errors in the words of one utterance."""
    return _count(_align(reference.split(), heard.split()))


def character_errors(reference: str, heard: str) -> Errors:
    """Errors in the characters of one utterance, single spaces between words included."""
    return _count(_align(" ".join(reference.split()), " ".join(heard.split())))


def count_errors(pairs: Iterable[tuple[str, str]]) -> Errors:
    """The word errors of all (reference, heard) pairs together; its `rate` is the corpus word error rate."""
    return sum((word_errors(said, heard) for said, heard in pairs), Errors())


def score(
    pairs: Iterable[tuple[str, str]],
    *,
    speakers: Sequence[str] | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Score:
    """Rates over (reference, heard) pairs.

    Utterances are resampled for the intervals, or whole speakers when `speakers` names one per pair: people differ more
    than sentences do, so that interval is the honest one for a claim about new speakers, and wider. Raises ValueError
    when there are no pairs, or not one speaker for each.
    """
    listed = list(pairs)
    if not listed:
        raise ValueError("no utterances to score")
    if speakers is not None and len(speakers) != len(listed):
        raise ValueError(f"{len(speakers)} speakers for {len(listed)} utterances; give one for each")
    words = [word_errors(said, heard) for said, heard in listed]
    characters = [character_errors(said, heard) for said, heard in listed]
    correct = [Errors(substitutions=int(errors.total == 0), words=1) for errors in words]
    groups = list(range(len(listed))) if speakers is None else list(speakers)
    wer, cer, exact = (_estimate(errors, groups, resamples, seed) for errors in (words, characters, correct))
    return Score(len(listed), sum(words, Errors()), sum(characters, Errors()), wer, cer, exact)


def _estimate(errors: Sequence[Errors], groups: Sequence[Hashable], resamples: int, seed: int) -> Estimate:
    """The pooled rate of `errors`, and the 2.5 % and 97.5 % quantiles of it over resampled groups."""
    _, group_of = np.unique(np.asarray(groups), return_inverse=True)
    totals = np.bincount(group_of, weights=[each.total for each in errors])
    units = np.bincount(group_of, weights=[each.words for each in errors])
    rng = np.random.default_rng(seed)
    rates = [_resampled_rate(totals, units, rng) for _ in range(resamples)]
    low, high = np.quantile(rates, [0.025, 0.975], method="nearest")
    return Estimate(sum(errors, Errors()).rate, float(low), float(high))


def _resampled_rate(totals: NDArray[Any], units: NDArray[Any], rng: np.random.Generator) -> float:
    drawn = rng.integers(len(totals), size=len(totals))
    return Errors(substitutions=int(totals[drawn].sum()), words=int(units[drawn].sum())).rate


def _count(pairs: list[tuple[str | None, str | None]]) -> Errors:
    deletions = sum(heard is None for _, heard in pairs)
    insertions = sum(said is None for said, _ in pairs)
    wrong = sum(said != heard for said, heard in pairs)
    return Errors(wrong - deletions - insertions, deletions, insertions, len(pairs) - insertions)


def _align(said: Sequence[str], heard: Sequence[str]) -> list[tuple[str | None, str | None]]:
    """Walk the distance table back from its end along steps that lead to it: equal, deleted, inserted, substituted."""
    columns = _distance_columns(said, heard)
    pairs: list[tuple[str | None, str | None]] = []
    row, column = len(said), len(heard)
    while row and column:
        bit = 1 << (row - 1)
        one_above, one_before = columns[column - 1]
        same = said[row - 1] == heard[column - 1]
        if not same and one_above & bit:
            row -= 1
            pairs.append((said[row], None))
        elif not same and one_before & bit:
            column -= 1
            pairs.append((None, heard[column]))
        else:
            row, column = row - 1, column - 1
            pairs.append((said[row], heard[column]))
    pairs += [(word, None) for word in reversed(said[:row])]
    pairs += [(None, word) for word in reversed(heard[:column])]
    pairs.reverse()
    return pairs


def _distance_columns(said: Sequence[str], heard: Sequence[str]) -> list[tuple[int, int]]:
    """For each word heard, where the distance to it is one more than the cell above, and one more than the cell before.

    The two integers hold a bit for each word of `said`. Names follow the paper: D0 marks diagonals without cost, HP and
    HN horizontal, VP and VN vertical differences of plus and minus one.
    """
    full = (1 << len(said)) - 1
    places: dict[str, int] = {}
    for row, word in enumerate(said):
        places[word] = places.get(word, 0) | 1 << row
    vp, vn = full, 0
    columns = []
    for word in heard:
        match = places.get(word, 0)
        d0 = (((match & vp) + vp) ^ vp) | match | vn
        hp = vn | (full & ~(d0 | vp))
        hn = d0 & vp
        above_hp, above_hn = hp << 1 | 1, hn << 1
        vp, vn = full & (above_hn | ~(d0 | above_hp)), full & above_hp & d0
        columns.append((vp, hp))
    return columns
