"""Sentences chosen for coverage: the fewest of a list that have the most words and sounds in them.

Greedily, the sentence with the most words and letter pairs that no chosen one has is next; of equal ones the shorter.
What a sentence adds only shrinks as others are chosen, so an old estimate is a bound, and few sentences need another
look (lazy greedy: M. Minoux, "Accelerated greedy algorithms", 1978). The choice is within 1 - 1/e of the best one.
"""

from __future__ import annotations

import heapq
from itertools import pairwise
from typing import TYPE_CHECKING

from stt_server.speech.text import normalize

if TYPE_CHECKING:
    from collections.abc import Iterable


def choose(sentences: Iterable[str], count: int) -> list[str]:
    """At most `count` of the sentences, the ones that add most first; none that adds nothing."""
    units = {each: _units(each) for each in dict.fromkeys(sentences)}
    waiting = [(-len(parts), len(each), each) for each, parts in units.items() if parts]
    heapq.heapify(waiting)
    chosen: list[str] = []
    covered: set[str] = set()
    while waiting and len(chosen) < count:
        _, length, each = heapq.heappop(waiting)
        adds = len(units[each] - covered)
        if waiting and -adds > waiting[0][0]:  # another one may add more
            heapq.heappush(waiting, (-adds, length, each))
        elif adds:
            chosen.append(each)
            covered |= units[each]
        else:
            break  # and so do all others
    return chosen


def _units(sentence: str) -> set[str]:
    """Its words, and its pairs of letters, which stand for how sounds follow each other."""
    text = normalize(sentence, drop_unspellable=True)
    return {f"word {word}" for word in text.split()} | {f"pair {left}{right}" for left, right in pairwise(text)}
