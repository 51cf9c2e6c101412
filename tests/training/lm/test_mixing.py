"""Two language models become one that still sums to one; its sentences can be drawn, and its file read back."""

import gzip
import itertools
import random
from collections import Counter
from pathlib import Path

import pytest

from stt_server.errors import BadInput, NotFound
from training.lm import Sampler, Scorer, estimate, mix, perplexity, read_arpa, write_arpa
from training.lm.arpa import ArpaModel
from training.lm.numbering import START, UNKNOWN

BASE = ["turn on the light", "turn off the light", "what is the time", "is the light on", "the time is two"] * 3
NEW = ["the proof is in the pudding"]


def total(model: ArpaModel, context: list[str]) -> float:
    numbers = {word: number for number, word in enumerate(model.vocabulary)}
    scorer, before = Scorer(model), [numbers[word] for word in context]
    words = [number for number in range(len(numbers)) if number != START]
    return sum(10 ** scorer.log10_probability(word, before) for word in words)


@pytest.fixture(scope="module")
def base() -> ArpaModel:
    return estimate(BASE, 3, (0, 0, 0))


@pytest.mark.parametrize("name", ["lm.arpa", "lm.arpa.gz"])
def test_a_model_is_read_back_as_it_was_written(base: ArpaModel, name: str, tmp_path: Path) -> None:
    write_arpa(base, tmp_path / name)
    again = read_arpa(tmp_path / name)
    assert (again.vocabulary, again.counts) == (base.vocabulary, base.counts)
    write_arpa(again, tmp_path / f"again-{name}")
    assert (tmp_path / f"again-{name}").read_bytes() == (tmp_path / name).read_bytes()


@pytest.mark.parametrize(
    "content", [b"", b"no model", b"\x1f\x8b broken", gzip.compress(b"\\data\\\n\n\\1-grams:\nx\tword\n\n\\end\\\n")]
)
def test_what_is_no_arpa_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "lm.arpa").write_bytes(content)
    with pytest.raises(BadInput, match="is no ARPA language model"):
        read_arpa(tmp_path / "lm.arpa")


def test_a_model_that_there_is_not_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        read_arpa(tmp_path / "lm.arpa")


@pytest.mark.parametrize("order", [1, 2, 3])
def test_after_every_context_the_words_sum_to_one(base: ArpaModel, order: int) -> None:
    mixed = mix(base, estimate(NEW * 5, order, (0,)), 0.2)
    contexts = [[], ["<s>"], ["the"], ["is", "in"], ["<s>", "the"], ["pudding"], ["the", "light"], ["proof", "time"]]
    for context in contexts:
        assert total(mixed, context) == pytest.approx(1, abs=1e-6), context


def p(model: ArpaModel, *words: str) -> float:
    """Of the last word after the others; 0 where the model does not know one of them."""
    numbers = {word: number for number, word in enumerate(model.vocabulary)}
    if not numbers.keys() >= set(words):
        return 0.0
    *before, word = (numbers[each] for each in words)
    return 10 ** Scorer(model).log10_probability(word, before)


def test_a_sentence_begins_with_the_share_of_both(base: ArpaModel) -> None:
    new = estimate(NEW * 5, 3, (0,))
    mixed = mix(base, new, 0.25)
    for word in ("the", "turn", "is"):
        both = 0.75 * p(base, "<s>", word) + 0.25 * p(new, "<s>", word)
        assert p(mixed, "<s>", word) == pytest.approx(both, rel=1e-6), word


@pytest.mark.parametrize("words", [("is", "the"), ("the", "proof"), ("<s>", "the", "time"), ("is", "in", "the")])
def test_later_words_have_the_shares_that_the_words_before_them_have_left(
    base: ArpaModel, words: tuple[str, ...]
) -> None:
    new, before = estimate(NEW * 5, 3, (0,)), list(words[:-1])
    seen, unseen = 0.75, 0.25
    for end in range(1, len(before) + 1):
        if before[:end] != ["<s>"]:
            seen, unseen = seen * p(base, *before[:end]), unseen * p(new, *before[:end])
    both = (seen * p(base, *words) + unseen * p(new, *words)) / (seen + unseen)
    assert p(mix(base, new, 0.25), *words) == pytest.approx(both, rel=1e-6)


def test_a_new_sentence_is_paid_for_once_and_a_word_that_it_does_not_have_not_at_all(base: ArpaModel) -> None:
    mixed = mix(base, estimate(NEW * 5, 3, (0,)), 0.01)
    assert p(mixed, "proof", "is", "in") > 0.5
    assert p(mixed, "on", "the", "light") == pytest.approx(p(base, "on", "the", "light"), rel=1e-6)


def test_how_many_words_there_are_is_asked_of_the_base_alone(base: ArpaModel) -> None:
    mixed = mix(base, estimate(NEW, 3, (0,)), 0.25)
    assert 10 ** float(mixed.orders[0].log10_probability[UNKNOWN]) == pytest.approx(
        10 ** float(base.orders[0].log10_probability[UNKNOWN])
    )


def test_new_sentences_become_likely_and_the_old_ones_stay_so(base: ArpaModel) -> None:
    mixed = mix(base, estimate(NEW * 5, 3, (0,)), 0.2)
    assert perplexity(mixed, NEW).value < 10
    assert perplexity(mixed, NEW).unknown == 0
    assert perplexity(mixed, BASE).value < 1.35 * perplexity(base, BASE).value


@pytest.mark.parametrize("share", [0.0, 1.0, -0.2])
def test_a_share_of_nothing_is_refused(base: ArpaModel, share: float) -> None:
    with pytest.raises(ValueError, match="leaves nothing to mix"):
        mix(base, base, share)


def test_sentences_are_drawn_as_often_as_the_model_says(base: ArpaModel) -> None:
    drawn = itertools.islice(Sampler(base).sentences(random.Random(1), 1, 20), 4000)
    first = Counter(sentence.split()[0] for sentence in drawn)
    numbers = {word: number for number, word in enumerate(base.vocabulary)}
    for word in ("turn", "what", "the", "light"):
        expected = 10 ** Scorer(base).log10_probability(numbers[word], [START])
        assert first[word] / 4000 == pytest.approx(expected, abs=0.03), word


def test_drawn_sentences_have_the_length_that_is_asked_for_and_repeat_with_the_dice(base: ArpaModel) -> None:
    sampler = Sampler(base)
    some = [list(itertools.islice(sampler.sentences(random.Random(3), 3, 5), 50)) for _ in range(2)]
    assert some[0] == some[1]
    assert {len(sentence.split()) for sentence in some[0]} <= {3, 4, 5}
    with pytest.raises(ValueError, match="hardly a sentence of 50 to 60 words"):
        next(sampler.sentences(random.Random(3), 50, 60))
