"""What a stream asks for and what its vocabulary has, put together. What the request says itself goes first."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from stt_server.errors import BadOption
from stt_server.speech.decoder.hotwords import MAX_HOTWORD_LETTERS, MAX_HOTWORDS

if TYPE_CHECKING:
    from collections.abc import Container

    from stt_server.messages import Open
    from stt_server.vocabularies.compiling import Compiled

SEARCH: Final = "native"  # the decoder that takes all of a vocabulary


def with_named(options: Open, vocabulary: Compiled, name: str) -> Open:
    """With the vocabulary that the request names, all of it: what cannot be is refused where the stream opens.

    Raises BadOption where the request has a grammar of its own beside it.
    """
    if options.grammar is not None and vocabulary.grammar is not None:
        why = f"the vocabulary {name!r} is a grammar, and the stream has one of its own; leave out one of the two"
        raise BadOption(f"A stream takes one grammar: {why}.", field="vocabulary")
    return replace(
        options,
        hotwords=tuple(dict.fromkeys([*options.hotwords, *vocabulary.hotwords])),
        boosts=_boosts(options, vocabulary.boosts),
        grammar=options.grammar or vocabulary.grammar,
    )


def with_default(options: Open, vocabulary: Compiled, takes: Container[str]) -> Open:
    """With what is heard where the request says nothing else: as much as the decoder takes and there is room for.

    A request with a grammar, or that wants a decoder which takes no vocabulary, keeps what it says.
    """
    if options.decoder not in (None, SEARCH):
        return options
    room, letters, hints = MAX_HOTWORDS, MAX_HOTWORD_LETTERS, list[str]()
    if "hotwords" in takes:
        own = {*options.hotwords, *options.hints}
        room, letters = room - len(own), letters - sum(map(len, own))
        for phrase in vocabulary.hotwords:
            if phrase in own:
                continue
            room, letters = room - 1, letters - len(phrase)
            if room < 0 or letters < 0:
                break
            hints.append(phrase)
    return replace(
        options,
        hints=(*options.hints, *hints),
        boosts=_boosts(options, vocabulary.boosts) if "boosts" in takes else options.boosts,
        grammar=options.grammar or (vocabulary.grammar if "grammar" in takes else None),
    )


def _boosts(options: Open, boosts: tuple[tuple[str, float], ...]) -> tuple[tuple[str, float], ...]:
    """The request's own go before those of the vocabulary, also where it leaves a hotword at the usual boost."""
    kept = tuple((phrase, boost) for phrase, boost in boosts if phrase not in options.hotwords)
    return (*options.boosts, *kept)
