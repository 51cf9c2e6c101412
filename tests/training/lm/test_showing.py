"""What a model is said to know, and how a text is measured."""

import pytest

from stt_server.errors import NotFound
from training.lm import estimate, neighbours, perplexity

TEXT = ["turn on the lamp", "turn on the radio", "turn off the lamp", "is the lamp on"]


def test_words_beside_a_word_are_ranked_by_how_often_they_stand_there() -> None:
    found = neighbours(estimate(TEXT, 3), "the", 2)
    assert {word for word, _ in neighbours(estimate(TEXT, 3), "the", 9).before} == {"on", "off", "is"}
    assert [word for word, _ in found.behind] == ["lamp", "radio"]
    assert 0 < found.probability < 1
    assert found.behind[0][1] > found.behind[1][1] > 0


def test_the_marks_of_a_sentence_have_neighbours_and_unknown_words_have_none() -> None:
    model = estimate(TEXT, 2)
    assert neighbours(model, "<s>", 9).behind[0][0] == "turn"
    assert {word for word, _ in neighbours(model, "</s>", 9).before} == {"lamp", "radio", "on"}
    assert neighbours(model, "<s>", 9).before == ()
    for word in ("xylophone", "<unk>"):
        with pytest.raises(NotFound, match="does not know the word"):
            neighbours(model, word, 1)


def test_a_measured_text_names_the_words_that_are_missing() -> None:
    found = perplexity(estimate(TEXT, 3), ["turn on the piano", "the piano is a piano", "", "off"])
    assert found.missing == (("piano", 3), ("a", 1))
    assert (found.sentences, found.words, found.unknown) == (3, 9, 4)
    assert found.unknown_share == pytest.approx(4 / 10)
    assert found.with_unknown > found.value
