"""What somebody answers, before it counts."""

import pytest

from stt_server.errors import BadInput
from stt_server.store.rights import Verdict
from stt_server.tagging.ballot import MAX_TEXT, Ballot, fill_in


def test_right_as_heard_names_the_words_that_were_heard():
    ballot = fill_in(Verdict.RIGHT, None, "It's 7 o'clock")
    assert ballot == Ballot(Verdict.RIGHT, "It's 7 o'clock", "it's seven o'clock")


def test_texts_are_compared_without_case_punctuation_and_digits():
    one, other = (fill_in(Verdict.CORRECTED, text, None) for text in ("Set 2 alarms!", "set two alarms"))
    assert one.normal_text == other.normal_text == "set two alarms"
    assert one.text == "Set 2 alarms!"


@pytest.mark.parametrize(
    ("verdict", "text", "hypothesis", "why"),
    [
        (Verdict.RIGHT, None, None, "was not shown"),
        (Verdict.RIGHT, None, "", "Nothing was heard"),
        (Verdict.CORRECTED, None, "la", "has no words"),
        (Verdict.CORRECTED, " … ", "la", "has no words"),
        (Verdict.CORRECTED, "turn\0on", "la", "the code 0"),
        (Verdict.CORRECTED, "включи свет", "la", "cannot spell"),
        (Verdict.CORRECTED, "la " * MAX_TEXT, "la", "longer than"),
    ],
)
def test_an_answer_that_says_nothing_is_refused(verdict, text, hypothesis, why):
    with pytest.raises(BadInput, match=why):
        fill_in(verdict, text, hypothesis)


def test_other_verdicts_name_no_words_whatever_is_written():
    for verdict in (Verdict.UNCLEAR, Verdict.NOISE, Verdict.PRIVATE, Verdict.OTHER_LANGUAGE):
        assert fill_in(verdict, "my address is", None) == Ballot(verdict)
