"""Sentences chosen for coverage: few to say, and among them as many different words as can be.

The greedy choice for covering (Nemhauser, Wolsey and Fisher, 1978): always the sentence that adds most, here new words
per word to say, so that long sentences do not win by their length. The best choice nobody can compute in time. Gains
only shrink while others are chosen, so that a heap with old gains needs few of them computed again (Minoux, 1978).
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stt_server.errors import BadInput
from stt_server.speech.text import normalize

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence as it was written, and its words in the form in which they are counted."""

    place: int
    text: str
    words: frozenset[str]
    length: int  # words to say


def choose(sentences: Iterable[str], count: int, seen: Iterable[str] = ()) -> list[str]:
    """At most `count` of the sentences, the most useful first, that together have most of the words nobody has said.

    `seen` are texts that were said already. When every word is covered the choice begins anew with what is left, so
    that words are covered twice. What is there twice, or has no words, is left out. Raises BadInput for a `count`
    below 1.
    """
    if count < 1:
        raise BadInput("Choose at least one sentence.", field="count")
    chosen: list[str] = []
    left = _sentences(sentences)
    covered = {word for text in seen for word in normalize(text).split()}
    while left and len(chosen) < count:
        taken = _one_round(left, count - len(chosen), covered)
        chosen.extend(sentence.text for sentence in taken)
        gone = {sentence.place for sentence in taken}
        left = [sentence for sentence in left if sentence.place not in gone]
        covered = set()
    return chosen


def _sentences(texts: Iterable[str]) -> list[Sentence]:
    kept: dict[str, Sentence] = {}
    for place, text in enumerate(texts):
        normal = normalize(text)
        words = normal.split()
        if words and normal not in kept:
            kept[normal] = Sentence(place, text.strip(), frozenset(words), len(words))
    return list(kept.values())


def _one_round(sentences: Sequence[Sentence], count: int, covered: set[str]) -> list[Sentence]:
    """Sentences that each add a word to `covered`, which grows."""
    heap = [(-_gain(sentence, covered), sentence.place, sentence) for sentence in sentences]
    heapq.heapify(heap)
    taken: list[Sentence] = []
    while heap and len(taken) < count:
        _, place, sentence = heapq.heappop(heap)
        gain = _gain(sentence, covered)
        if not gain:
            continue
        if heap and (-gain, place) > heap[0][:2]:
            heapq.heappush(heap, (-gain, place, sentence))  # it was worth more once
            continue
        taken.append(sentence)
        covered |= sentence.words
    return taken


def _gain(sentence: Sentence, covered: set[str]) -> float:
    """New words per word to say, with a little for more of them: of two sentences all of new words the longer wins."""
    new = len(sentence.words - covered)
    return new / sentence.length + new / 1000
