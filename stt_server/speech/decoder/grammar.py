"""A closed grammar: what alone may be heard of an utterance. `notation` reads it, `grammar_words` and `grammar_letters`
make it two automata: over letters for the beam, over words for what is told of it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING

from stt_server.errors import BadOption
from stt_server.speech.decoder.grammar_letters import Letters, spell
from stt_server.speech.decoder.grammar_words import UNK, WordAutomaton, build_words
from stt_server.speech.decoder.interface import Hypothesis, TimedWord
from stt_server.speech.decoder.notation import parse, plain

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from stt_server import messages
    from stt_server.speech.alphabet import Alphabet
# A natural logarithm for each letter: by so much an utterance may sound less like its sentence than like the best label
# of every frame. `earloop bench grammar` measures what comes of it.
MOST_DOUBT = 1.5


@dataclass(frozen=True, slots=True, eq=False)
class Grammar:
    words: WordAutomaton
    letters: Letters

    def label(self, heard: Hypothesis, *, ended: bool) -> Hypothesis:
        """What was heard with `[unk]` for the words that are outside the grammar, their times and trust together."""
        labels = self.words.label([word.text for word in heard.words], ended=ended)
        words = tuple(_one(heard.words[first:last], text) for first, last, text in labels)
        if all(text != UNK for _, _, text in labels):
            return heard
        # What becomes [unk] may have been settled as words: then no more is settled than what both texts begin with.
        text = " ".join(word.text for word in words)
        shared = next((i for i, (a, b) in enumerate(zip(text, heard.text, strict=False)) if a != b), len(text))
        return replace(heard, words=words, stable=len(text) if ended else min(heard.stable, shared))

    def judge(self, heard: Hypothesis, doubt: float) -> Hypothesis:
        """What a whole utterance is: what was heard, or `[unk]` where it sounds too little like that."""
        if self.words.rejects and doubt > MOST_DOUBT and heard.words:
            return replace(heard, words=(_one(heard.words, UNK),), stable=len(UNK))
        return self.label(heard, ended=True)

    def nothing(self, frames: int) -> Hypothesis:
        """An utterance of so many frames that the search found no sentence for."""
        return Hypothesis((TimedWord(UNK, 0, max(1, frames), 0.0),) if self.words.rejects else ())


@lru_cache(maxsize=32)  # a client's every connection brings the same one, and a household's
def compile_grammar(asked: messages.Grammar, alphabet: Alphabet) -> Grammar:
    """The grammar that a client wrote.

    Raises BadOption, field `grammar`, that names line and column, or the word that the alphabet cannot spell, or the
    bound that a grammar is beyond.
    """
    parsed = plain(asked.lines) if asked.literal else parse(asked.lines)
    words = build_words(parsed, repeats=asked.repeats)
    check_spelling({word for arcs in words.arcs for word in arcs}, alphabet, "grammar")
    return Grammar(words, spell(words))


def check_spelling(texts: Iterable[str], alphabet: Alphabet, field: str) -> None:
    """Raise BadOption that names the first text with a letter that the alphabet lacks, and the letter."""
    letters = {" ", *alphabet.letters}
    for text in sorted(texts):
        missing = next((letter for letter in text if letter not in letters), None)
        if missing is not None:
            why = f"the model has no letter {missing!r}"
            raise BadOption(f"{text[:60]!r} of the {field} cannot be spelled: {why}.", field=field)


def _one(words: Sequence[TimedWord], text: str) -> TimedWord:
    trust = round(sum(word.confidence for word in words) / len(words), 4)
    return replace(words[0], text=text, end=words[-1].end, confidence=trust)
