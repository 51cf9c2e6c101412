"""Words added to a model: likely as was asked, and still no context's words sum to anything but one."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stt_server.errors import BadInput
from training.lm import ArpaModel, Scorer, add_like, add_words, estimate, perplexity
from training.lm.numbering import START

TEXT = ["turn on the lamp", "turn off the lamp", "is the lamp on", "the lamp the lamp", "what time is it"] * 3


@pytest.fixture(scope="module")
def model() -> ArpaModel:
    return estimate(TEXT, 3)


def p(model: ArpaModel, *words: str) -> float:
    numbers = [model.vocabulary.index(word) for word in words]
    return float(10 ** Scorer(model).log10_probability(numbers[-1], numbers[:-1]))


def totals(model: ArpaModel) -> list[float]:
    scorer, predicted = Scorer(model), [n for n in range(len(model.vocabulary)) if n != START]
    contexts = [[], *(row for ngrams in model.orders[:-1] for row in ngrams.words.tolist())]
    return [sum(10 ** scorer.log10_probability(word, context) for word in predicted) for context in contexts]


@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.lists(st.sampled_from("abcd"), min_size=1, max_size=6).map(" ".join), min_size=1, max_size=12),
    st.lists(st.sampled_from("wxyz"), min_size=1, max_size=3, unique=True),
    st.integers(2, 3),
    st.floats(0.05, 20),
)
def test_after_every_context_the_words_still_sum_to_one(
    sentences: list[str], words: list[str], order: int, times: float
) -> None:
    model = estimate(sentences, order)
    like = sentences[0].split()[0]
    for changed in (add_words(model, words, times), add_like(model, words, like, times)):
        assert totals(changed) == pytest.approx([1.0] * len(totals(changed)), abs=1e-6)


def test_a_new_word_is_as_likely_as_an_average_one(model: ArpaModel) -> None:
    known = len(model.vocabulary) - 3
    changed = add_words(model, ["dimmer", "blinds"])
    assert p(changed, "dimmer") == pytest.approx(1 / (known + 2), rel=0.02)
    assert p(changed, "dimmer") == pytest.approx(p(changed, "blinds"))
    assert p(add_words(model, ["dimmer"], times=3), "dimmer") == pytest.approx(3 / (known + 3), rel=0.05)


def test_what_was_likely_stays_so_beside_new_words(model: ArpaModel) -> None:
    changed = add_words(model, ["dimmer"], times=0.1)
    assert perplexity(changed, TEXT).value < 1.05 * perplexity(model, TEXT).value


def test_a_word_like_another_stands_wherever_that_one_does(model: ArpaModel) -> None:
    changed = add_like(model, ["dimmer", "radio"], "lamp")
    for context in ((), ("the",), ("on", "the"), ("is", "the")):
        was = p(model, *context, "lamp")
        assert [p(changed, *context, word) for word in ("lamp", "dimmer", "radio")] == pytest.approx([was / 3] * 3)
    assert p(changed, "the", "dimmer", "on") == pytest.approx(p(model, "the", "lamp", "on"))
    assert p(changed, "the", "radio", "the", "dimmer") == pytest.approx(p(model, "the", "lamp", "the", "lamp") / 3)


def test_other_words_do_not_notice_a_word_like_one(model: ArpaModel) -> None:
    changed = add_like(model, ["dimmer"], "lamp", times=0.25)
    for words in (("what", "time"), ("turn", "on", "the"), ("<s>", "turn"), ("it", "</s>"), ("lamp", "on")):
        assert p(changed, *words) == pytest.approx(p(model, *words))
    assert p(changed, "the", "dimmer") == pytest.approx(0.25 * p(changed, "the", "lamp"))


def test_single_words_lie_by_their_number(model: ArpaModel) -> None:
    for changed in (add_words(model, ["dimmer"]), add_like(model, ["dimmer"], "lamp")):
        assert changed.vocabulary[: len(model.vocabulary)] == model.vocabulary
        np.testing.assert_array_equal(changed.orders[0].words[:, 0], np.arange(len(changed.vocabulary)))


def test_what_cannot_be_added_is_refused(model: ArpaModel) -> None:
    with pytest.raises(BadInput, match="knows 'lamp' already"):
        add_words(model, ["lamp"])
    with pytest.raises(BadInput, match="one word or more"):
        add_words(model, [])
    with pytest.raises(BadInput, match="each once"):
        add_like(model, ["dimmer", "dimmer"], "lamp")
    for unknown in ("torch", "<s>", "<unk>"):
        with pytest.raises(BadInput, match="nothing can be like it"):
            add_like(model, ["dimmer"], unknown)
    with pytest.raises(BadInput, match="-1 times as likely"):
        add_words(model, ["dimmer"], times=-1)
