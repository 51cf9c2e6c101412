"""A word's confidence: what the search measures, weighed as a bundle's manifest says."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stt_server.messages import Grammar
from stt_server.speech.bundle import Confidence, DecoderDefaults
from stt_server.speech.decoder.confidence import UNCALIBRATED, Calibration, Evidence
from stt_server.speech.decoder.grammar import compile_grammar
from stt_server.speech.decoder.interface import Asked
from stt_server.speech.decoder.native import NativeDecoder
from tests.speech.decoder.posteriors import ALPHABET, flat, sentence, write_arpa, written

FITTED = Calibration(bias=0.3, posterior=0.4, sound=1.7, letters=-0.2)


@pytest.fixture(scope="module")
def decoders(tmp_path_factory):
    """Before and after calibration."""
    lm = write_arpa(tmp_path_factory.mktemp("lm"))
    return [
        NativeDecoder(ALPHABET, lm, alpha=0.7, beta=1.0, beam=32, confidence=each) for each in (UNCALIBRATED, FITTED)
    ]


def words_of(decoder, logprobs, size=7, **asked):
    decoding = decoder.prepare(Asked(**asked))()
    for start in range(0, len(logprobs), size):
        decoding.step(logprobs[start : start + size])
        decoding.partial()
    return decoding.final().words


def weighed(words, logprobs):
    """By the formula in Python, from the posteriors of the search without calibration."""
    best = logprobs.max(1)
    facts = (Evidence(word.confidence, float(best[word.start : word.end].mean()), len(word.text)) for word in words)
    return [FITTED.confidence(each) for each in facts]


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 1 << 30), st.integers(1, 12))
def test_the_search_weighs_the_evidence_of_settled_and_of_last_words_alike(decoders, seed, size):
    rng = np.random.default_rng(seed)
    logprobs = written(sentence(rng, 7), rng, 2.0)
    before, after = (words_of(decoder, logprobs, size) for decoder in decoders)
    assert [word.text for word in before] == [word.text for word in after], "confidence decides about no word"
    told = [word.confidence for word in after]
    assert told == pytest.approx(weighed(before, logprobs), abs=0.01)  # the posterior was rounded on its way here


def test_words_that_were_heard_badly_are_trusted_less_where_all_prefixes_agree(decoders):
    clear = written("turn on the light", np.random.default_rng(1), 0.3)
    hazy = np.log(0.4 * np.exp(clear) + 0.6 / clear.shape[1]).astype(np.float32)
    _, fitted = decoders
    sure, unsure = (words_of(fitted, rows) for rows in (clear, hazy))
    assert [word.text for word in sure] == [word.text for word in unsure] == ["turn", "on", "the", "light"]
    assert all(one.confidence > other.confidence + 0.1 for one, other in zip(sure, unsure, strict=True))


def test_an_utterance_longer_than_what_is_remembered_still_has_confidences(decoders):
    rng = np.random.default_rng(2)
    rows = np.concatenate([written(sentence(rng, 6), rng, 1.0), flat(9000), written(sentence(rng, 6), rng, 1.0)])
    words = words_of(decoders[1], rows, 400)
    assert len(words) > 6
    assert all(0 < word.confidence < 1 for word in words)


def test_with_a_grammar_confidence_is_the_posterior(decoders):
    logprobs = written("turn on the light", np.random.default_rng(3), 1.5)
    made = compile_grammar(Grammar(("turn (on | off) the (light | sea)",)), ALPHABET)
    before, after = (words_of(decoder, logprobs, grammar=made) for decoder in decoders)
    assert before == after


def test_without_weights_it_is_the_posterior():
    evidence = Evidence(1.0, -3.0, 4)
    assert UNCALIBRATED.confidence(evidence) == 1.0
    assert 0 < FITTED.confidence(evidence) < 1


def test_a_manifest_has_the_weights_and_without_them_nothing_is_calibrated():
    assert DecoderDefaults().confidence.calibration() == UNCALIBRATED
    assert Confidence(bias=0.3, posterior=0.4, sound=1.7, letters=-0.2).calibration() == FITTED
