from tests.fuzz.budget import BUDGET


def test_ten_thousand_cases_are_played_on_every_change_and_a_million_at_night():
    assert sum(cases.normal for cases in BUDGET.values()) >= 10_000
    assert sum(cases.nightly for cases in BUDGET.values()) >= 1_000_000
