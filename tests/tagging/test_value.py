"""What is asked first."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stt_server.tagging.value import EPOCH, Heard, disagreement, novelty, worth

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
KNOWN = frozenset("turn on the light".split())

texts = st.lists(st.sampled_from("turn on the light kettle".split()), max_size=6).map(" ".join)
moments = st.integers(-3000, 20_000).map(lambda days: EPOCH + timedelta(days=days))
shares = st.floats(0, 1)
clips = st.builds(Heard, texts, st.none() | texts, shares, shares, moments)


def heard(text: str = "turn on the light", **more) -> Heard:
    return Heard(**{"hypothesis": text, "greedy": None, "confidence": 0.5, "suspect": 0.0, "created": NOW, **more})


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        (heard(confidence=0.2), heard(confidence=0.9)),
        (heard("turn on the kettle"), heard("turn on the light")),
        (heard(greedy="turn of the lie"), heard(greedy="turn on the light")),
        (heard(suspect=0.8), heard(suspect=0.0)),
        (heard(created=NOW - timedelta(days=1)), heard(created=NOW)),
        (heard(suspect=0.9, confidence=1.0), heard(suspect=0.0, confidence=0.2)),
    ],
    ids=["unsure", "novel", "torn", "suspect", "old", "suspicion before doubt"],
)
def test_is_asked_before(better: Heard, worse: Heard):
    assert worth(better, known=KNOWN) > worth(worse, known=KNOWN)


@given(clips, clips, st.integers(0, 4))
def test_what_is_nearer_to_a_decision_goes_first_whatever_else(one, other, votes):
    assert worth(one, votes=votes + 1, known=KNOWN) > worth(other, votes=votes, known=KNOWN)


def test_before_anything_is_agreed_on_no_word_is_novel():
    assert worth(heard("kettle")) == worth(heard("light"))


def test_shares():
    assert novelty("turn on the kettle".split(), KNOWN) == 0.25
    assert novelty([], KNOWN) == 0.0
    assert disagreement("turn on", "turn on the light") == 0.5
    assert disagreement("", "") == 0.0


@given(texts, texts)
def test_disagreement_is_a_share_and_the_same_both_ways(one, other):
    assert 0 <= disagreement(one, other) <= 1
    assert disagreement(one, other) == disagreement(other, one)
    assert disagreement(one, one) == 0
