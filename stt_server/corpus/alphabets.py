"""The alphabet of a corpus, and what in a corpus does not fit an alphabet."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from stt_server.errors import BadInput
from stt_server.speech.alphabet import Alphabet
from stt_server.speech.text import find_unspellable, normalize

if TYPE_CHECKING:
    from collections.abc import Iterable


def alphabet_of(texts: Iterable[str]) -> Alphabet:
    """Every letter of the texts as they are normalised, and the space, in order. Raises BadInput when there is none."""
    letters = set().union(*(normalize(text, drop_unspellable=True) for text in texts))
    if not letters:
        raise BadInput("the texts have no letter to make an alphabet of; are the transcripts empty?", field="alphabet")
    return Alphabet("".join(sorted(letters | {" "})))


def misfits(texts: Iterable[str], alphabet: Alphabet) -> Counter[str]:
    """In how many texts each character is that cannot be normalised or that the alphabet lacks."""
    letters = set(alphabet.letters)
    return Counter(char for text in texts for char in _strange(text, letters))


def _strange(text: str, letters: set[str]) -> set[str]:
    return set(find_unspellable(text)) | (set(normalize(text, drop_unspellable=True)) - letters)
