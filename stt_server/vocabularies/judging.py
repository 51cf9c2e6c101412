"""What of a vocabulary a model cannot spell or does not know, for the answer of whoever put it there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stt_server.vocabularies.compiling import Problem

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stt_server.engine.interface import Recognizer
    from stt_server.vocabularies.compiling import Compiled, Phrase


def judged(vocabulary: Compiled, model: Recognizer) -> tuple[Problem, ...]:
    """All that is to be told of it where this model hears; the worst first. Takes as long as there are words."""
    found = [*_unable(vocabulary, model), *vocabulary.problems, *_unspelled(vocabulary, model)]
    return (*found, *_unknown(vocabulary, model))


def _unable(vocabulary: Compiled, model: Recognizer) -> Iterator[Problem]:
    """What its decoder takes none of."""
    asked = {"hotwords": vocabulary.hotwords, "boosts": vocabulary.boosts, "grammar": vocabulary.grammar}
    missing = [name for name, value in asked.items() if value and name not in model.takes]
    if missing:
        how = "install Earloop where a C++ compiler is, and serve a model that has a search"
        yield Problem("no_search", f"The decoder here takes no {' and no '.join(missing)}: {how}.")


def _unspelled(vocabulary: Compiled, model: Recognizer) -> Iterator[Problem]:
    for phrase in vocabulary.phrases:
        missing = "".join(sorted({*phrase.text} - model.letters - {" "}))
        if missing:
            why = f"The model has no letter {missing!r}; {phrase.text!r} is not heard."
            yield Problem("cannot_spell", why, phrase.list, phrase.name, phrase.text, missing)


def _unknown(vocabulary: Compiled, model: Recognizer) -> Iterator[Problem]:
    """Words that only their letters and their boost speak for, where the search weighs words at all."""
    first = dict(vocabulary.words())
    for word in model.unknown(first):
        yield _not_known(word, first[word])


def _not_known(word: str, phrase: Phrase) -> Problem:
    what = f"The model's language model does not know {word!r}: it is heard by its letters"
    hint = "raise its boost, or add it to a language model by POST /v1/language-models/NAME/words"
    return Problem("unknown_word", f"{what}. Where that is not enough, {hint}.", phrase.list, phrase.name, word)
