"""The automaton of a grammar over words: from the sentences' tree to states without choices.

The sentences become an automaton with choices (Thompson 1968), of which every set of places that one and the same
beginning can lead to becomes a state (the subset construction, Rabin and Scott 1959).

`[unk]` within a sentence is a loop over all words. Alone it is what lets everything else be heard: at any word that no
sentence has there, whatever was begun is given up, and all of it becomes `[unk]`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from stt_server.errors import BadOption
from stt_server.speech.decoder.notation import AnyWords, Choice, Named, Series, Words, fault

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from stt_server.speech.decoder.notation import Part, Sentences

UNK = "[unk]"
NOWHERE = -1
START, END = 0, 1  # places
MAX_PLACES = 100_000  # of the automaton with choices: lists are written out wherever they are named
MAX_ARCS = 100_000  # words of all states together

Labelled = tuple[int, int, str]  # words from the first up to, not including, the last; what they are


@dataclass(frozen=True, slots=True, eq=False)
class WordAutomaton:
    """State 0 is the beginning. `rejecting` is the state of words between repeated sentences, -1 where none may be."""

    arcs: tuple[dict[str, int], ...]
    other: tuple[int, ...]  # where a word leads that is not among the arcs, -1: nowhere
    accepts: tuple[bool, ...]
    rejecting: int = NOWHERE
    repeats: bool = False
    rejects: bool = False  # what is no sentence is [unk] as a whole

    def label(self, words: Sequence[str], *, ended: bool = True) -> list[Labelled]:
        """What each word is: itself, or, together with its neighbours outside the grammar, `[unk]`.

        Where the grammar rejects, a sentence that broke off becomes `[unk]` from its first word on, and one that is not
        all of its utterance, too, unless sentences repeat; where it does not, nothing is left of them. While the
        utterance has not `ended` a sentence may still go on and the last word may be half a word: neither is given up.
        """
        state, whole, said = 0, 0, list[Labelled]()
        for i, word in enumerate(words):
            if not ended and i == len(words) - 1 and word not in self.arcs[state]:
                said.append((i, i + 1, UNK if state == self.rejecting else word))
                break
            known = self.arcs[state].get(word)
            state = self.other[state] if known is None else known
            said.append((i, i + 1, UNK if known is None else word))
            if state == NOWHERE and self.rejects:
                return [(0, len(words), UNK)]
            if state in (self.rejecting, NOWHERE):
                said[whole:] = self._given_up(said[whole:])
            if state == NOWHERE or (self.repeats and self.accepts[state]):
                whole = len(said)
            state = max(0, state)
        if ended and not self.accepts[state]:
            said[whole:] = self._given_up(said[whole:])
        return _merged(said)

    def _given_up(self, said: list[Labelled]) -> list[Labelled]:
        rejects = self.rejects or self.rejecting != NOWHERE
        return [(said[0][0], said[-1][1], UNK)] if said and rejects else []


def _merged(said: Iterable[Labelled]) -> list[Labelled]:
    merged: list[Labelled] = []
    for first, last, text in said:
        if merged and text == UNK == merged[-1][2]:
            merged[-1] = (merged[-1][0], last, UNK)
        else:
            merged.append((first, last, text))
    return merged


def build_words(parsed: Sentences, *, repeats: bool = False) -> WordAutomaton:
    """The automaton of utterances of one sentence, with `repeats` of any number of them, and of silence.

    Raises BadOption, field `grammar`, for a list that there is not or that names itself, and for a grammar that is too
    large.
    """
    places, rejects = _Places(parsed.lists), False
    places.free[START].append(END)  # silence
    for sentence in parsed.sentences:
        if isinstance(sentence, AnyWords):
            rejects = True
        else:
            places.free[places.write(sentence, START)].append(END)
    if repeats:
        places.free[END].append(START)
    words = _subsets(places, repeats=repeats)
    if not rejects:
        return words
    return _with_rejection(words) if repeats else replace(words, rejects=True)


class _Places:
    """The automaton with choices. A place has arcs of words, of any word, and of nothing."""

    def __init__(self, lists: dict[str, Part]) -> None:
        self._lists = lists
        self._open: list[str] = []  # lists that are being written out
        self.words: list[list[tuple[str, int]]] = []
        self.any: list[int] = []
        self.free: list[list[int]] = []
        self.add(), self.add()

    def add(self) -> int:
        if len(self.words) == MAX_PLACES:
            why = f"with its lists written out it has more than {MAX_PLACES} words"
            raise BadOption(f"The grammar is too large: {why}; name long lists less often.", field="grammar")
        self.words.append([])
        self.any.append(NOWHERE)
        self.free.append([])
        return len(self.words) - 1

    def write(self, part: Part, start: int) -> int:
        """A part from a place on; the place behind it."""
        match part:
            case Words(words):
                return self._write_words(words, start)
            case AnyWords():
                return self._write_any(start)
            case Series(parts):
                for each in parts:
                    start = self.write(each, start)
                return start
            case Choice(options, optional):
                return self._write_choice(options, start, optional=optional)
            case Named():
                return self._write_list(part, start)

    def _write_words(self, words: Iterable[str], start: int) -> int:
        for word in words:
            following = self.add()
            self.words[start].append((word, following))
            start = following
        return start

    def _write_any(self, start: int) -> int:
        begin, within = self.add(), self.add()
        self.free[start].append(begin)  # another [unk] may begin at the same place
        self.any[begin] = self.any[within] = within
        return within

    def _write_choice(self, options: Iterable[Part], start: int, *, optional: bool) -> int:
        end = self.add()
        for option in options:
            self.free[self.write(option, start)].append(end)
        if optional:
            self.free[start].append(end)
        return end

    def _write_list(self, named: Named, start: int) -> int:
        part = self._lists.get(named.name)
        if part is None:
            have = ", ".join(f"{{{name}}}" for name in list(self._lists)[:8]) or "no list at all"
            raise fault(named.line, named.column, f"there is no list {{{named.name}}}; the grammar has {have}")
        if named.name in self._open:
            way = " → ".join(f"{{{name}}}" for name in [*self._open, named.name])
            raise fault(named.line, named.column, f"the list names itself: {way}")
        self._open.append(named.name)
        end = self.write(part, start)
        self._open.pop()
        return end

    def reachable(self, places: Iterable[int]) -> frozenset[int]:
        """The places, and those that nothing parts from them; but for the last, those alone where words begin."""
        found, waiting = set[int](), list(places)
        while waiting:
            place = waiting.pop()
            if place not in found:
                found.add(place)
                waiting += self.free[place]
        return frozenset(p for p in found if p == END or self.words[p] or self.any[p] != NOWHERE)


class _Numbering:
    """Numbers for sets of places, in the order in which they are found."""

    def __init__(self, places: _Places) -> None:
        self._places = places
        self._of_targets: dict[tuple[int, ...], int] = {}
        self._of_set: dict[frozenset[int], int] = {}
        self.sets: list[frozenset[int]] = []

    def number(self, targets: Iterable[int]) -> int:
        """Of the set that can be reached from the targets."""
        key = tuple(sorted(targets))
        known = self._of_targets.get(key)
        if known is None:
            reached = self._places.reachable(key)
            known = self._of_targets[key] = self._of_set.setdefault(reached, len(self.sets))
            if known == len(self.sets):
                self.sets.append(reached)
        return known


def _subsets(places: _Places, *, repeats: bool) -> WordAutomaton:
    states = _Numbering(places)
    states.number((START,))
    arcs, other, count = list[dict[str, int]](), list[int](), 0
    for state in states.sets:  # grows while it is walked
        following: dict[str, list[int]] = {}
        for place in state:
            for word, target in places.words[place]:
                following.setdefault(word, []).append(target)
        anywhere = [places.any[place] for place in state if places.any[place] != NOWHERE]
        count += len(following)
        if count > MAX_ARCS:
            why = f"without choices it has more than {MAX_ARCS} words"
            raise BadOption(f"The grammar is too large: {why}; make its alternatives fewer.", field="grammar")
        arcs.append({word: states.number(targets + anywhere) for word, targets in following.items()})
        other.append(states.number(anywhere) if anywhere else NOWHERE)
    return WordAutomaton(tuple(arcs), tuple(other), tuple(END in state for state in states.sets), NOWHERE, repeats)


def _with_rejection(words: WordAutomaton) -> WordAutomaton:
    """The same with one more state, to which every word leads that no sentence has where it is said."""
    rejecting = len(words.arcs)
    arcs = (*words.arcs, words.arcs[0] if words.repeats else {})
    other = tuple(rejecting if target == NOWHERE else target for target in words.other)
    return WordAutomaton(arcs, (*other, rejecting), (*words.accepts, True), rejecting, words.repeats)
