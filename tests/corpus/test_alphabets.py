"""The alphabet comes from the texts, and what does not fit one is counted."""

import pytest

from stt_server.corpus.alphabets import alphabet_of, misfits
from stt_server.errors import BadInput
from stt_server.speech.alphabet import Alphabet


def test_the_alphabet_has_the_letters_that_are_said_and_the_space() -> None:
    assert alphabet_of(["No!", "It's 2."]).letters == " 'inostw"
    assert alphabet_of(["yes"]).letters == " esy"


def test_texts_fit_their_own_alphabet() -> None:
    texts = ["Turn the light on.", "What's 5 + 5?", "café"]
    assert misfits(texts, alphabet_of(texts)) == {}


def test_characters_that_do_not_fit_are_counted_by_the_texts_they_are_in() -> None:
    assert misfits(["quiz", "aqua 打", "no"], Alphabet(" acinou")) == {"q": 2, "z": 1, "打": 1}


def test_texts_without_letters_give_no_alphabet() -> None:
    for texts in ([], ["", "?!"], ["打开"]):
        with pytest.raises(BadInput, match="no letter"):
            alphabet_of(texts)
