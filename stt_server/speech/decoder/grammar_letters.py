"""The automaton of a grammar over letters: what the beam walks, a node for every prefix.

Each state's words are a trie, whose ends lead over a space to the next state. Letters are bytes of UTF-8, so that
labels of one letter and pieces of words walk the same arcs. Node 0 is the beginning. By index:

    first[n] … first[n+1]   the arcs of node n, letters ascending: letter[a] leads to target[a]      int32, uint8, int32
    other[n]                where any letter but a space leads that has no arc; -1: nowhere                        int32
    cost[n]                 added, a natural logarithm, whenever a prefix goes to node n: 0, or less in [unk]    float32
    ending[n]               added to an utterance that ends at node n; -inf: it cannot end there                 float32

A space before a word leads back to where it was said. `[unk]` costs something to enter, and each of its letters costs
something: it would be the likeliest explanation of every sentence that is not perfectly clear.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from stt_server.errors import BadOption
from stt_server.speech.decoder.grammar_words import NOWHERE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stt_server.speech.decoder.grammar_words import WordAutomaton

    Bytes = NDArray[np.uint8]
    Floats = NDArray[np.float32]
    Ints = NDArray[np.int32]
    Truths = NDArray[np.bool_]

MAX_NODES = 500_000  # 25 bytes each
# Of [unk] within a sentence and between repeated phrases. Whether an utterance is a sentence at all is judged by how it
# sounds as a whole: `grammar.MOST_DOUBT`.
ENTRY_COST = -8.0
LETTER_COST = -3.0
_SPACE = ord(" ")


@dataclass(frozen=True, slots=True, eq=False)
class Letters:
    """The automaton as the module's head describes it."""

    first: Ints
    letter: Bytes
    target: Ints
    other: Ints
    cost: Floats
    ending: Floats

    def __len__(self) -> int:
        return len(self.other)

    def step(self, node: int, letter: int) -> int:
        """The node behind one more letter, -1 where it may not follow."""
        for arc in range(self.first[node], self.first[node + 1]):
            if self.letter[arc] == letter:
                return int(self.target[arc])
        return NOWHERE if letter == _SPACE else int(self.other[node])

    def score(self, text: str) -> float:
        """What the grammar adds to a whole utterance: 0 for its sentences, less with [unk], -inf where it has none."""
        node, total = 0, 0.0
        for letter in text.encode():
            node = self.step(node, letter)
            if node == NOWHERE:
                return -np.inf
            total += float(self.cost[node])
        return total + float(self.ending[node])


def spell(words: WordAutomaton) -> Letters:
    """The automaton over the letters of one over words. Raises BadOption, field `grammar`, where it is too large."""
    tries = _Tries(words)
    unknown = _Unknown(words, len(tries.owner))
    arcs = _Arcs()
    arcs.add(tries.source, tries.letter, np.arange(unknown.states, len(tries.owner), dtype=np.int32))
    arcs.add(tries.ends, _SPACE, tries.targets)
    arcs.add(unknown.roots, _SPACE, unknown.roots)
    arcs.copy(unknown.after, unknown.gate)
    inner = np.arange(unknown.states, len(tries.owner), dtype=np.int32)
    inner = inner[unknown.space[tries.owner[inner]] != NOWHERE]
    arcs.add(inner, _SPACE, unknown.space[tries.owner[inner]])
    arcs.add(unknown.entry, _SPACE, unknown.after)
    arcs.add(unknown.body, _SPACE, unknown.after)
    other = np.concatenate([unknown.letter[tries.owner], unknown.body, unknown.body, unknown.letter[unknown.after]])
    first, letter, target = arcs.sorted(len(other))
    return Letters(first, letter, target, other, unknown.costs(), _endings(words, tries, unknown))


class _Tries:
    """The tries of all states' words. The roots are the first nodes, by state; then they grow level by level."""

    def __init__(self, words: WordAutomaton) -> None:
        rows = [(state, word, target) for state, arcs in enumerate(words.arcs) for word, target in arcs.items()]
        spelled = [word.encode() for _, word, _ in rows]
        lengths = np.array([len(word) for word in spelled], np.int64)
        letters = _padded(spelled, lengths)
        state = np.array([row[0] for row in rows], np.int32)
        count, owners, keys = len(words.arcs), [np.arange(len(words.arcs), dtype=np.int32)], [np.zeros(0, np.int64)]
        self.ends: Ints = state.copy()  # where each word ends
        self.targets: Ints = np.array([row[2] for row in rows], np.int32)  # the state behind it
        for depth in range(letters.shape[1]):
            longer = lengths > depth
            key, some, place = np.unique(
                self.ends[longer].astype(np.int64) * 256 + letters[longer, depth],
                return_index=True,
                return_inverse=True,
            )
            self.ends[longer] = count + place
            owners.append(state[longer][some])
            keys.append(key)
            count += len(key)
            if count > MAX_NODES:
                why = f"spelled it has more than {MAX_NODES} letters"
                raise BadOption(f"The grammar is too large: {why}; make its alternatives fewer.", field="grammar")
        arcs = np.concatenate(keys)
        self.owner: Ints = np.concatenate(owners)  # the state of each node
        self.source: Ints = (arcs >> 8).astype(np.int32)  # the node that leads to each node but the roots, in order
        self.letter: Ints = (arcs & 255).astype(np.int32)


def _padded(spelled: list[bytes], lengths: NDArray[np.int64]) -> Bytes:
    """Words as rows (words, longest), zeros behind their ends."""
    letters = np.zeros((len(spelled), int(lengths.max(initial=0))), np.uint8)
    letters[np.arange(letters.shape[1]) < lengths[:, None]] = np.frombuffer(b"".join(spelled), np.uint8)
    return letters


class _Unknown:
    """The nodes of `[unk]`: three for each state that follows it, behind the `nodes` of the tries.

    `entry` is its first letter, `body` any later one, `gate` a known word broken off by a space. Where words of [unk]
    go on already nothing is entered.
    """

    def __init__(self, words: WordAutomaton, nodes: int) -> None:
        other = np.array(words.other, np.int32)
        self.states = len(other)
        self.roots: Ints = np.arange(self.states, dtype=np.int32)
        self.after: Ints = np.unique(other[other != NOWHERE])  # the states that follow
        count = len(self.after)
        self.entry: Ints = np.arange(nodes, nodes + count, dtype=np.int32)
        self.body: Ints = self.entry + np.int32(count)
        self.gate: Ints = self.body + np.int32(count)
        self.nodes = nodes
        leads = other != NOWHERE
        place = np.searchsorted(self.after, other[leads])
        goes_on = (other == self.roots)[leads]
        self.letter: Ints = np.full(self.states, NOWHERE, np.int32)  # by state: where a letter without an arc leads
        self.letter[leads] = np.where(goes_on, self.body[place], self.entry[place])
        self.space: Ints = np.full(self.states, NOWHERE, np.int32)  # and where the space in the middle of a word does
        self.space[leads] = np.where(goes_on, other[leads], self.gate[place])

    def costs(self) -> Floats:
        count = len(self.after)
        cost = np.zeros(self.nodes + 3 * count, np.float32)
        cost[self.entry], cost[self.body], cost[self.gate] = ENTRY_COST + LETTER_COST, LETTER_COST, ENTRY_COST
        return cost


def _endings(words: WordAutomaton, tries: _Tries, unknown: _Unknown) -> Floats:
    """0 behind sentences; where the grammar has [unk] for what broke off, what that costs."""
    accepts = np.array(words.accepts)
    broken = ENTRY_COST if words.rejecting != NOWHERE else -np.inf
    ending = np.full(len(tries.owner), broken, np.float32)
    other = np.array(words.other, np.int32)[tries.owner]
    ending[(other != NOWHERE) & accepts[other]] = ENTRY_COST
    ending[: unknown.states] = np.where(accepts, 0, broken)
    ending[tries.ends[accepts[tries.targets]]] = 0
    behind = np.where(accepts[unknown.after], 0, broken).astype(np.float32)
    return np.concatenate([ending, behind, behind, behind]).astype(np.float32)


class _Arcs:
    """Arcs as they are found, sorted by node and letter in the end."""

    def __init__(self) -> None:
        self._parts: list[tuple[Ints, Ints, Ints]] = []

    def add(self, nodes: Ints, letters: Ints | int, targets: Ints) -> None:
        self._parts.append((nodes, np.broadcast_to(np.asarray(letters, np.int32), nodes.shape), targets))

    def copy(self, nodes: Ints, copies: Ints) -> None:
        """Let each of `copies` have the arcs of its node."""
        source, letter, target = (np.concatenate(column) for column in zip(*self._parts, strict=True))
        for node, copy in zip(nodes.tolist(), copies.tolist(), strict=True):
            those = source == node
            self.add(np.full(int(those.sum()), copy, np.int32), letter[those], target[those])

    def sorted(self, nodes: int) -> tuple[Ints, Bytes, Ints]:
        """`first`, `letter` and `target`. Of two arcs with one node and letter the one added first is kept."""
        source, letter, target = (np.concatenate(column) for column in zip(*self._parts, strict=True))
        _, chosen = np.unique(source.astype(np.int64) * 256 + letter, return_index=True)
        counts = np.bincount(source[chosen], minlength=nodes)
        first = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
        return first, letter[chosen].astype(np.uint8), target[chosen].astype(np.int32)
