"""Who is trusted, and when gold is due."""

from hypothesis import given
from hypothesis import strategies as st

from stt_server.tagging.gold import EVERY, FEWEST, LAST, gold_is_due, standing


def test_nobody_is_judged_by_a_few_answers():
    assert standing([False] * (FEWEST - 1)).trusted
    assert not standing([False] * FEWEST).trusted
    assert standing([]).accuracy is None


def test_less_than_three_of_five_right_is_too_little():
    assert standing([True, True, True, False, False]).trusted
    assert not standing([True, True, False, False, False]).trusted


def test_old_mistakes_are_forgiven():
    assert standing([True] * LAST + [False] * 100).accuracy == 1.0


@given(st.lists(st.booleans(), min_size=FEWEST, max_size=60))
def test_a_right_answer_more_never_costs_trust(answers):
    before, after = standing(answers), standing([True, *answers])
    assert after.trusted or not before.trusted


@given(st.integers(1, 500))
def test_one_in_so_many_is_gold(judged):
    gold = 0
    for so_far in range(judged):
        gold += gold_is_due(so_far, gold)
    assert gold == -(-judged // EVERY)
