import pytest

from stt_server.errors import BadInput
from stt_server.speech.alphabet import Alphabet

ENGLISH = Alphabet(" 'abcdefghijklmnopqrstuvwxyz")


def test_a_text_survives_labels_and_back():
    labels = ENGLISH.encode("it's seven o'clock")
    assert 0 not in labels
    assert ENGLISH.decode(labels) == "it's seven o'clock"


def test_the_blank_is_label_0_and_counts():
    assert len(ENGLISH) == 29
    assert ENGLISH.encode("a") == [3]
    assert ENGLISH.decode([0, 3, 0, 3]) == "aa"


def test_the_space_has_a_label_or_minus_one():
    assert ENGLISH.space == 1
    assert Alphabet("ab ").space == 3
    assert Alphabet("ab").space == -1


def test_an_unknown_letter_is_named():
    with pytest.raises(BadInput, match="'é' of 'café'"):
        ENGLISH.encode("café")


def test_a_letter_may_not_have_two_labels():
    with pytest.raises(BadInput, match="twice"):
        Alphabet("abca")
