"""Which sentences are chosen to be said."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stt_server.datasets.coverage import choose
from stt_server.errors import BadInput
from stt_server.speech.text import normalize

SENTENCES = st.lists(st.lists(st.sampled_from("on off light red blue play stop".split()), max_size=5).map(" ".join))


def words_of(sentences: list[str]) -> set[str]:
    return {word for sentence in sentences for word in normalize(sentence).split()}


def test_the_sentence_with_most_new_words_comes_first():
    sentences = ["the the the light", "turn on the light", "turn off the radio"]
    assert choose(sentences, 2) == ["turn on the light", "turn off the radio"]


def test_words_that_were_said_already_count_for_nothing():
    assert choose(["turn on the light", "play some jazz"], 1, seen=["Turn on the light!"]) == ["play some jazz"]


def test_what_is_written_differently_but_said_alike_is_chosen_once():
    assert choose(["Turn it on.", "turn it on", "  "], 5) == ["Turn it on."]


def test_when_every_word_is_covered_words_are_covered_again():
    assert choose(["red light", "light red", "light"], 3) == ["red light", "light red", "light"]


def test_a_choice_of_none_is_refused():
    with pytest.raises(BadInput, match="at least one"):
        choose(["yes"], 0)


@given(SENTENCES, st.integers(1, 8))
def test_no_sentence_is_invented_or_comes_twice_and_there_are_as_many_as_asked_for(sentences, count):
    chosen = choose(sentences, count)
    different = {normalize(sentence) for sentence in sentences} - {""}
    assert len(chosen) == len({normalize(each) for each in chosen}) == min(count, len(different))
    assert set(chosen) <= {sentence.strip() for sentence in sentences}


@given(SENTENCES)
def test_as_many_sentences_as_there_are_words_cover_all_of_them(sentences):
    words = words_of(sentences)
    assert words_of(choose(sentences, max(1, len(words)))) == words


@given(SENTENCES, st.integers(1, 8))
def test_the_lazy_choice_is_the_plain_one(sentences, count):
    chosen, covered = choose(sentences, count), set()
    normal = list(dict.fromkeys(filter(None, map(normalize, sentences))))
    for each in chosen:
        gains = {text: len(set(text.split()) - covered) / len(text.split()) for text in normal}
        worth = {text: gain + len(set(text.split()) - covered) / 1000 for text, gain in gains.items()}
        if max(worth.values()) == 0:
            break  # another round begins
        assert worth[normalize(each)] == max(worth.values())
        normal.remove(normalize(each))
        covered |= set(normalize(each).split())
