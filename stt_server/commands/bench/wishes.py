"""What a thousand phrases cost that a stream brings with it: until they can be used, and in the search."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from stt_server.commands.bench.searches import native
from stt_server.messages import Grammar, Open
from stt_server.speech.decoder.grammar import compile_grammar
from stt_server.speech.decoder.hotwords import spell_hotwords
from stt_server.speech.decoder.interface import Asked
from stt_server.speech.decoder.native import Hotwords, NativeDecoder
from stt_server.speech.decoder.ngram import read_unigrams

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from stt_server.commands.bench.posteriors import Inputs
    from stt_server.commands.bench.searches import Engine, Ground, Tuning
    from stt_server.speech.alphabet import Alphabet

    Phrases = tuple[str, ...]

PHRASES = 1000
BOOST = 3.0
LETTERS = range(4, 9)  # of a word: what a stream may bring is bounded
RUNS = 5


@dataclass(frozen=True, slots=True)
class Wished:
    """What 1,000 phrases cost: CPU milliseconds until they can be used, and the search's time against one without, by
    inputs.
    """

    what: str
    ready_ms: float
    ratios: dict[str, float]


def measure_wishes(
    ground: Ground, levels: Sequence[Inputs], tuning: Tuning, tell: Callable[[str], None]
) -> list[Wished]:
    """1,000 hotwords of one to three words of the language model, and as many phrases as a grammar."""
    phrases = _phrases(ground)
    hotwords = Hotwords(dict.fromkeys(phrases, BOOST))
    without, with_them = native(ground, whole=True), native(ground, hotwords=hotwords, whole=True)
    for engine in (without, with_them):
        engine.tune(tuning)
    ratios = {inputs.name: round(_ratio(with_them, without, inputs), 3) for inputs in levels}
    tell(f"{PHRASES} hotwords: {', '.join(f'{name} {ratio:.2f} ×' for name, ratio in ratios.items())}")
    ready = [round(1e3 * _ready_s(ground.alphabet, phrases, asked), 2) for asked in (_as_hotwords, _as_grammar)]
    return [Wished(f"{PHRASES} hotwords", ready[0], ratios), Wished(f"a grammar of {PHRASES} phrases", ready[1], {})]


def _phrases(ground: Ground) -> Phrases:
    dice, letters = np.random.default_rng(5), {*ground.alphabet.letters}
    words = [word for word in read_unigrams(ground.arpa) if {*word} <= letters and len(word) in LETTERS]
    return tuple(" ".join(dice.choice(words, dice.integers(1, 4))) for _ in range(PHRASES))


def _ratio(engine: Engine, other: Engine, inputs: Inputs) -> float:
    """How many times as much CPU time the first one takes as the other.

    Both hear an utterance one behind the other, each first in turn, and each utterance's best time counts: a neighbour
    on the core disturbs both alike, or neither.
    """
    best = np.full((len(inputs.utterances), 2), np.inf)
    for run in range(RUNS):
        for place, each in enumerate(inputs.utterances):
            for which in (run % 2, 1 - run % 2):
                heard = (engine, other)[which].hear(each.logprobs, len(each.logprobs))
                best[place, which] = min(best[place, which], heard.cpu_s)
    cost, others = best.sum(0)
    return float(cost / others)


def _ready_s(alphabet: Alphabet, phrases: Phrases, asked: Callable[[Alphabet, Phrases], Asked]) -> float:
    """CPU seconds from what a client wrote to what opens a decoding, the best of a few."""
    decoder, times = NativeDecoder(alphabet, None, alpha=0.0, beta=0.0, beam=1), []
    for run in range(RUNS):
        given = phrases[run:] + phrases[:run]  # what was made ready before is kept
        began = time.thread_time()
        decoder.prepare(asked(alphabet, given))
        times.append(time.thread_time() - began)
    return min(times)


def _as_hotwords(alphabet: Alphabet, phrases: Phrases) -> Asked:
    boosts = spell_hotwords(Open("bench", hotwords=phrases), alphabet)
    return Asked(boosts=tuple(boosts.items()))


def _as_grammar(alphabet: Alphabet, phrases: Phrases) -> Asked:
    return Asked(grammar=compile_grammar(Grammar((*phrases, "[unk]"), literal=True), alphabet))
