"""The estimator against hand-worked numbers, against its own laws, and against KenLM reading its files."""

import gzip
import math
import time
from collections import Counter
from pathlib import Path

import kenlm
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from stt_server.errors import BadInput, BadOption
from training.lm import ArpaModel, Scorer, estimate, perplexity, write_arpa
from training.lm.kneser_ney import FALLBACK_DISCOUNTS, discounts
from training.lm.numbering import END, START

WORDS = "turn the light on off in kitchen please now what time is it set alarm for seven".split()


def spoken(count: int, seed: int = 0) -> list[str]:
    """Sentences in which words depend on the word before them, and some words are rare."""
    follows = np.random.default_rng(0).dirichlet(np.full(len(WORDS), 0.2), len(WORDS))
    dice = np.random.default_rng(seed)
    sentences = []
    for _ in range(count):
        place, words = int(dice.integers(len(WORDS))), []
        for _ in range(int(dice.integers(1, 9))):
            words.append(WORDS[place])
            place = int(dice.choice(len(WORDS), p=follows[place]))
        sentences.append(" ".join(words))
    return sentences


def probabilities(model: ArpaModel) -> dict[str, float]:
    return {
        " ".join(model.vocabulary[number] for number in words): 10**value
        for ngrams in model.orders
        for words, value in zip(ngrams.words, ngrams.log10_probability.tolist(), strict=True)
    }


def contexts(model: ArpaModel) -> list[list[int]]:
    return [[], *(list(map(int, words)) for ngrams in model.orders[:-1] for words in ngrams.words if words[-1] != END)]


def in_kenlm(model: ArpaModel, folder: Path) -> kenlm.Model:
    write_arpa(model, folder / "lm.arpa")
    return kenlm.Model(str(folder / "lm.arpa"))


def test_a_tiny_text_gives_the_numbers_worked_by_hand() -> None:
    """Counts fall back on discounts 0.5 and 1; five words can be predicted: a, b, c, </s> and <unk>."""
    found = probabilities(estimate(["a b", "a c"], order=2))
    assert found["a"] == pytest.approx(0.5 / 5 + 0.5 / 5)  # seen after <s> alone; 2.5 of 5 counts are freed
    assert found["</s>"] == pytest.approx(1 / 5 + 0.5 / 5)  # seen after b and after c
    assert found["<unk>"] == pytest.approx(0.5 / 5)
    assert found["<s> a"] == pytest.approx(1 / 2 + 1 / 2 * found["a"])
    assert found["a b"] == pytest.approx(0.5 / 2 + 0.5 * found["b"])


def test_discounts_follow_chen_and_goodman() -> None:
    counts = np.repeat([1, 2, 3, 4, 9], [8, 4, 2, 1, 5])
    assert discounts(counts) == pytest.approx([0, 0.5, 1.25, 2.0])


def test_the_surest_ngrams_of_a_tiny_text_keep_half_of_what_the_formula_would_take() -> None:
    assert discounts(np.array([1, 1, 2, 3]))[3] == FALLBACK_DISCOUNTS[3]
    found = probabilities(estimate(["turn on"] * 3 + ["stop", "stop it", "it is"], 2))
    assert found["<s> turn"] > found["<s> stop"] > found["<s> it"]


@pytest.mark.parametrize("counts", [[1, 1, 2], [5, 6], [1, 1, 2, 4], [1] * 10 + [2, 3, 4]])
def test_discounts_fall_back_where_the_formula_has_no_sense(counts: list[int]) -> None:
    assert discounts(np.array(counts)) == pytest.approx(FALLBACK_DISCOUNTS)


texts = st.lists(st.lists(st.sampled_from("abcdef"), min_size=1, max_size=7).map(" ".join), min_size=1, max_size=30)


@given(texts, st.integers(1, 5), st.lists(st.integers(0, 3), max_size=5), st.none() | st.integers(1, 4))
def test_the_words_after_every_context_sum_to_one(
    sentences: list[str], order: int, cutoffs: list[int], limit: int | None
) -> None:
    cutoffs = sorted(cutoffs)[:order]
    assume(not cutoffs or max(Counter(" ".join(sentences).split()).values()) > cutoffs[0])
    model = estimate(sentences, order, cutoffs, limit)
    scorer = Scorer(model)
    for context in contexts(model):
        words = (number for number in range(len(model.vocabulary)) if number != START)
        assert sum(10 ** scorer.log10_probability(word, context) for word in words) == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize("order", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("cutoffs", [(), (0, 0, 1), (0, 1, 2, 2, 3), (2,)])
def test_kenlm_reads_the_file_and_scores_alike(order: int, cutoffs: tuple[int, ...], tmp_path: Path) -> None:
    model = estimate(spoken(300), order, cutoffs[:order])
    reader, scorer = in_kenlm(model, tmp_path), Scorer(model)
    for sentence in [*spoken(50, seed=1), "turn the xylophone on", "unheard of"]:
        ours = [value for value, _ in scorer.score(sentence)]
        theirs = [value for value, _, _ in reader.full_scores(sentence)]
        assert ours == pytest.approx(theirs, abs=1e-4)


@pytest.mark.parametrize("cutoffs", [(), (0, 0, 1), (0, 1, 3)])
def test_distributions_sum_to_one_in_kenlm_too(cutoffs: tuple[int, ...], tmp_path: Path) -> None:
    model = estimate(spoken(300), 3, cutoffs)
    reader = in_kenlm(model, tmp_path)
    for context in ("", "turn", "turn the", "it set", "never heard", "now now"):
        before, after = kenlm.State(), kenlm.State()
        reader.BeginSentenceWrite(before)
        for word in context.split():
            reader.BaseScore(before, word, after)
            before, after = after, kenlm.State()
        words = [word for word in model.vocabulary if word != "<s>"]
        assert sum(10 ** reader.BaseScore(before, word, after) for word in words) == pytest.approx(1, abs=1e-4)


def test_cutoffs_leave_out_what_was_seen_that_often_or_less() -> None:
    sentences = spoken(300)
    seen = Counter(
        " ".join(padded[start : start + 3])
        for padded in (["<s>", *sentence.split(), "</s>"] for sentence in sentences)
        for start in range(len(padded) - 2)
    )
    kept = {ngram for ngram in probabilities(estimate(sentences, 3, (0, 0, 2))) if len(ngram.split()) == 3}
    assert kept == {ngram for ngram, count in seen.items() if count > 2}


def test_every_part_of_an_ngram_that_is_kept_is_kept() -> None:
    found = probabilities(estimate(spoken(300), 4, (0, 1, 1, 2)))
    for ngram in found:
        words = ngram.split()
        assert len(words) == 1 or {" ".join(words[:-1]), " ".join(words[1:])} <= found.keys()


def test_a_limited_vocabulary_keeps_the_frequent_words_and_makes_the_others_unknown() -> None:
    model = estimate(["a b c", "a b d", "a b c", "a e"], 2, vocabulary_limit=2)
    assert model.vocabulary == ("<unk>", "<s>", "</s>", "a", "b")
    assert Scorer(model).score("a c") == Scorer(model).score("a nothing")
    assert not any("<unk>" in ngram.split() for ngram in probabilities(model) if " " in ngram)


def test_unknown_words_stay_dear_when_the_vocabulary_is_limited() -> None:
    found = probabilities(estimate(spoken(300), 2, vocabulary_limit=8))
    assert found["<unk>"] == min(value for ngram, value in found.items() if " " not in ngram and value > 1e-9)


def test_a_cutoff_of_single_words_is_a_cutoff_of_the_vocabulary() -> None:
    assert estimate(["a a b", "a c c"], 2, (1, 1)).vocabulary == ("<unk>", "<s>", "</s>", "a", "c")


def test_sentences_shorter_than_the_order_give_the_order_there_is(tmp_path: Path) -> None:
    model = estimate(["yes", "no", "yes"], order=5)
    assert model.order == 3
    assert in_kenlm(model, tmp_path).score("yes") > in_kenlm(model, tmp_path).score("no")


def test_orders_that_cutoffs_empty_are_not_written(tmp_path: Path) -> None:
    model = estimate(["a b c", "a d e"], 3, (0, 0, 5))
    assert model.order == 2
    assert in_kenlm(model, tmp_path).order == 2


def test_perplexity_of_an_even_choice_is_the_number_of_choices() -> None:
    model = estimate(["a", "b", "c", "d"] * 500, order=1)
    result = perplexity(model, ["a", "b z", "", "c d"])
    assert (result.words, result.unknown) == (7, 1)
    assert result.value == pytest.approx(2 ** ((4 * 3 + 3 * 1) / 7), rel=0.01)  # p = 1/8 a word, 1/2 an end


def test_context_makes_text_of_its_kind_less_perplexing() -> None:
    held_out = spoken(200, seed=3)
    sentences = spoken(2000)
    assert perplexity(estimate(sentences, 2), held_out).value < 0.9 * perplexity(estimate(sentences, 1), held_out).value
    with pytest.raises(ValueError, match="no sentence"):
        perplexity(estimate(sentences, 1), [])


def test_a_file_is_the_same_each_time_compressed_or_not(tmp_path: Path) -> None:
    for name in ("a.arpa", "b.arpa", "a.arpa.gz", "b.arpa.gz"):
        write_arpa(estimate(spoken(50), 3), tmp_path / name)
    assert (tmp_path / "a.arpa").read_bytes() == (tmp_path / "b.arpa").read_bytes()
    assert (tmp_path / "a.arpa.gz").read_bytes() == (tmp_path / "b.arpa.gz").read_bytes()
    assert gzip.decompress((tmp_path / "a.arpa.gz").read_bytes()) == (tmp_path / "a.arpa").read_bytes()
    assert len(list(tmp_path.iterdir())) == 4


@pytest.mark.parametrize(
    ("order", "cutoffs", "limit", "complaint"),
    [
        (0, (), None, "the order is 0; choose 1 to 5"),
        (6, (), None, "the order is 6"),
        (2, (0, 0, 1), None, "3 cut-offs for order 2"),
        (3, (0, 2, 1), None, "must not fall"),
        (3, (-1,), None, "must not fall"),
        (3, (), 0, "limited to 0 words"),
    ],
)
def test_impossible_options_are_refused(
    order: int, cutoffs: tuple[int, ...], limit: int | None, complaint: str
) -> None:
    with pytest.raises(BadOption, match=complaint):
        estimate(["a b"], order, cutoffs, limit)


def test_texts_that_teach_nothing_are_refused() -> None:
    with pytest.raises(BadInput, match="no sentence to learn from"):
        estimate(["", "  "])
    with pytest.raises(BadInput, match="holds </s>"):
        estimate(["a b", "x </s> y"])
    with pytest.raises(BadInput, match="lower the cut-off"):
        estimate(["a b"], 2, (3,))


def test_eighty_thousand_sentences_take_seconds(tmp_path: Path) -> None:
    rare = [f"word{n % 15_000} word{n * 7 % 9_000}" for n in range(80_000)]
    sentences = [f"{line} {end}" for line, end in zip(spoken(2_000) * 40, rare, strict=True)]
    started = time.process_time()
    write_arpa(estimate(sentences, 3), tmp_path / "lm.arpa")
    assert time.process_time() - started < 15
    assert math.isfinite(in_kenlm(estimate(sentences[:100], 3), tmp_path).score("turn the light on"))
