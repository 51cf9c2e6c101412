"""Hotwords as a client writes them, and as a decoder searches for them: words of the model's letters, each phrase with
a boost.

A boost is added to the score of a prefix for each word of the phrase, a natural logarithm: 4 makes a word fifty-five
times as likely as the language model thinks it is. README.md has what boosts did to the shipped model's kit.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from stt_server.errors import BadInput, BadOption
from stt_server.speech.decoder.grammar import check_spelling
from stt_server.speech.text import normalize

if TYPE_CHECKING:
    from stt_server.messages import Open
    from stt_server.speech.alphabet import Alphabet

FIELD = "hotwords"
MAX_HOTWORDS = 1000
# The reference decoder compiles them into patterns for every final, on the thread that all streams share: a mebibyte of
# hotwords held that thread for 8 s, as much as is allowed here holds it for a tenth of one.
MAX_HOTWORD_LETTERS = 20_000
DEFAULT_BOOST = 4.0  # the highest at which 1,000 phrases do not make other sentences worse
MOST_BOOST = 20.0


def spell_hotwords(options: Open, alphabet: Alphabet) -> dict[str, float]:
    """Normalised phrases and their boosts, of a phrase said twice the higher one; hints that are no words left out.

    Raises BadOption that names the phrase that cannot be spelled, or the boost or the number that is out of bounds.
    """
    return dict(_boosts_of(options.hotwords, options.boosts, options.hints, alphabet))


@lru_cache(maxsize=8)  # a client's every connection brings the same ones
def _boosts_of(
    hotwords: tuple[str, ...], given: tuple[tuple[str, float], ...], hints: tuple[str, ...], alphabet: Alphabet
) -> dict[str, float]:
    _check_size([*hotwords, *hints])
    own = dict(given)
    boosts: dict[str, float] = {}
    for phrase in hotwords:
        spelled, boost = _spelled(phrase), _boost(phrase, own.get(phrase, DEFAULT_BOOST))
        boosts[spelled] = max(boosts.get(spelled, 0.0), boost)
    check_spelling(boosts, alphabet, FIELD)
    for hint in hints:
        spelled = normalize(hint, drop_unspellable=True)
        if spelled and {*spelled} <= {" ", *alphabet.letters}:
            boosts.setdefault(spelled, _boost(hint, own.get(hint, DEFAULT_BOOST)))
    return boosts


def _check_size(phrases: list[str]) -> None:
    if len(phrases) > MAX_HOTWORDS:
        raise BadOption(f"{len(phrases)} hotwords are too many; send at most {MAX_HOTWORDS}.", field=FIELD)
    letters = sum(map(len, phrases))
    if letters > MAX_HOTWORD_LETTERS:
        why = f"The hotwords are {letters} letters long; send at most {MAX_HOTWORD_LETTERS}."
        raise BadOption(why, field=FIELD)


def _spelled(phrase: str) -> str:
    try:
        spelled = normalize(phrase)
    except BadInput as error:
        raise BadOption(f"The hotword {phrase[:40]!r} cannot be heard: {error}.", field=FIELD) from error
    if not spelled:
        raise BadOption(f"The hotword {phrase[:40]!r} has no letter that is spoken; leave it out.", field=FIELD)
    return spelled


def _boost(phrase: str, boost: float) -> float:
    if not 0 < boost <= MOST_BOOST:  # NaN is neither
        why = f"is above 0, at most {MOST_BOOST:g}"
        raise BadOption(f"The boost of {phrase[:40]!r} {why}, not {boost:g}.", field=FIELD)
    return boost
