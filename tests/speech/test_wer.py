"""Error counting, held against a plain distance table and against jiwer."""

import math
import time

import jiwer
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stt_server.speech.wer import Errors, align, character_errors, count_errors, score, word_errors

sentences = st.lists(st.sampled_from("a b c on off light".split()), max_size=12).map(" ".join)
spoken = sentences.filter(bool)


def table_distance(said: list[str], heard: list[str]) -> int:
    row = list(range(len(heard) + 1))
    for i, word in enumerate(said, 1):
        previous, row = row, [i]
        for j, other in enumerate(heard, 1):
            row.append(min(previous[j] + 1, row[-1] + 1, previous[j - 1] + (word != other)))
    return row[-1]


@given(sentences, sentences)
def test_the_alignment_is_a_shortest_one_and_spells_both_sentences(said: str, heard: str) -> None:
    pairs = align(said, heard)
    assert [word for word, _ in pairs if word is not None] == said.split()
    assert [word for _, word in pairs if word is not None] == heard.split()
    assert sum(left != right for left, right in pairs) == table_distance(said.split(), heard.split())


@given(spoken, sentences)
def test_word_error_rate_equals_jiwer(said: str, heard: str) -> None:
    errors = word_errors(said, heard)
    assert errors.words == len(said.split())
    assert errors.rate == pytest.approx(jiwer.wer(said, heard))


@given(spoken, sentences)
def test_character_error_rate_equals_jiwer(said: str, heard: str) -> None:
    assert character_errors(said, heard).rate == pytest.approx(jiwer.cer(said, heard))


@given(st.lists(st.tuples(spoken, sentences), min_size=1, max_size=8))
def test_corpus_rate_pools_errors_before_dividing(pairs: list[tuple[str, str]]) -> None:
    said, heard = map(list, zip(*pairs, strict=True))
    assert count_errors(pairs).rate == pytest.approx(jiwer.wer(said, heard))
    assert score(pairs, resamples=1).wer.value == count_errors(pairs).rate


def test_errors_are_told_apart_by_kind() -> None:
    assert word_errors("turn the light on", "turn light off now") == Errors(1, 1, 1, 4)


def test_a_deleted_word_is_shown_where_it_is_missing() -> None:
    assert align("turn the light on", "turn light on") == [
        ("turn", "turn"),
        ("the", None),
        ("light", "light"),
        ("on", "on"),
    ]


def test_a_rate_above_one_is_not_clamped() -> None:
    assert word_errors("yes", "oh no not again").rate == 4.0


def test_words_heard_in_silence_count_as_insertions_of_infinite_rate() -> None:
    assert word_errors("", "hello there") == Errors(insertions=2)
    assert word_errors("", "hello there").rate == math.inf
    assert word_errors("", "").rate == 0.0


def test_silent_clips_raise_the_rate_of_the_corpus_they_are_in() -> None:
    assert score([("go left", "go left"), ("", "um")]).wer.value == 0.5


def test_exact_rate_counts_utterances_without_any_error() -> None:
    result = score([("yes", "yes"), ("no", "no no"), ("", ""), ("go", "")])
    assert result.exact.value == 0.5
    assert result.utterances == 4


def test_intervals_enclose_the_rate_and_repeat_with_the_seed() -> None:
    rng = np.random.default_rng(1)
    pairs = [("a b c d", "a b c d" if rng.random() < 0.7 else "a x c") for _ in range(200)]
    first, second = score(pairs), score(pairs)
    assert first == second
    assert 0 < first.wer.low < first.wer.value < first.wer.high < 1


def test_a_bootstrap_interval_has_the_width_theory_gives() -> None:
    pairs = [("a", "a" if n % 4 else "b") for n in range(400)]
    exact = score(pairs, resamples=4000).exact
    half = 1.96 * math.sqrt(0.75 * 0.25 / 400)
    assert exact.low == pytest.approx(0.75 - half, abs=0.01)
    assert exact.high == pytest.approx(0.75 + half, abs=0.01)


def test_resampling_speakers_widens_the_interval_when_speakers_differ() -> None:
    pairs = [("a b", "a b")] * 100 + [("a b", "c d")] * 100
    speakers = [f"s{n // 20}" for n in range(200)]
    by_utterance, by_speaker = score(pairs), score(pairs, speakers=speakers)
    assert by_speaker.wer.value == by_utterance.wer.value
    assert by_speaker.wer.high - by_speaker.wer.low > 2 * (by_utterance.wer.high - by_utterance.wer.low)


def test_scoring_nothing_or_with_missing_speakers_is_an_error() -> None:
    with pytest.raises(ValueError, match="no utterances"):
        score([])
    with pytest.raises(ValueError, match="1 speakers for 2"):
        score([("a", "a"), ("b", "b")], speakers=["x"])


def test_twenty_thousand_utterances_are_scored_in_seconds() -> None:
    pairs = [
        ("please turn the kitchen light off at ten tonight", "please turn kitchen lights of at ten to night")
    ] * 20_000
    started = time.process_time()
    assert score(pairs).words.words == 180_000
    assert time.process_time() - started < 20  # about 1 s; the bound is for a machine under load
