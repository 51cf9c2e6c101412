"""Ranges are read from a recipe in two shapes, move with the run and are written as they were read."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.augmentation.keys import Augmentation
from training.section import Moving, ends_of, range_at

numbers = st.floats(-40, 100)
ranges = st.tuples(numbers, numbers).map(lambda pair: (min(pair), max(pair)))


def test_a_plain_range_stays_where_it_is() -> None:
    assert range_at((1, 2), 0.7) == (1, 2)
    assert ends_of((1, 2)) == (1, 2)


def test_a_range_that_moves_goes_from_one_to_the_other() -> None:
    moving = Moving((10, 30), (0, 25))
    assert [range_at(moving, at) for at in (0.0, 0.5, 1.0)] == [(10, 30), (5, 27.5), (0, 25)]
    assert ends_of(moving) == (0, 30)


@given(ranges, ranges, st.floats(0, 1))
def test_a_range_rises_at_every_time_and_stays_within_its_ends(start, end, at) -> None:
    moving = Moving(start, end)
    (low, high), (least, most) = range_at(moving, at), ends_of(moving)
    assert low <= high + 1e-9
    assert least - 1e-9 <= low
    assert high <= most + 1e-9


@given(ranges, ranges)
def test_a_recipe_is_written_so_that_it_reads_the_same(start, end) -> None:
    for value in (list(start), {"from": list(start), "to": list(end)}):
        read = Augmentation.model_validate({"snr_db": value})
        assert json.loads(read.model_dump_json())["snr_db"] == value
        assert Augmentation.model_validate(read.model_dump()) == read


@pytest.mark.parametrize(
    "value", [3, "3", [1], [1, 2, 3], ["a", "b"], [True, False], {"from": [1, 2]}, None, [None, 1]]
)
def test_other_shapes_are_refused_by_a_sentence_that_shows_both(value: object) -> None:
    with pytest.raises(ValueError, match=r"write \[low, high\], or \{from: \[low, high\], to: \[low, high\]\}"):
        Augmentation.model_validate({"snr_db": value})


def test_numbers_that_are_not_finite_are_refused() -> None:
    for value in ([0, float("inf")], [float("nan"), 1]):
        with pytest.raises(ValueError, match=r"must lie within|smaller number first"):
            Augmentation.model_validate({"snr_db": value})
