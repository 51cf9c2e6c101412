import pytest
from hypothesis import given
from hypothesis import strategies as st

from stt_server.errors import NotFound
from stt_server.protocols.kept import BYTES, MESSAGES, Kept


def kept(*messages: str) -> Kept:
    keeper = Kept()
    for message in messages:
        keeper.keep(message)
    return keeper


@given(count=st.integers(0, 2 * MESSAGES), seq=st.integers(0, 2 * MESSAGES))
def test_all_after_a_number_comes_in_order_or_is_refused_as_a_whole(count, seq):
    messages = [str(number) for number in range(1, count + 1)]
    keeper = kept(*messages)
    if count - MESSAGES <= seq <= count:
        assert keeper.after(seq) == messages[seq:]
    else:
        with pytest.raises(NotFound):
            keeper.after(seq)


@given(sizes=st.lists(st.integers(1, BYTES // 3), min_size=1, max_size=20))
def test_no_more_than_so_many_bytes_are_kept_whatever_the_messages(sizes):
    messages = ["x" * size for size in sizes]
    keeper, fits = kept(*messages), 0
    while fits < len(sizes) and sum(sizes[-fits - 1 :]) <= BYTES:
        fits += 1
    assert keeper.after(len(sizes) - fits) == messages[len(sizes) - fits :]
    if fits < len(sizes):
        with pytest.raises(NotFound, match="not kept"):
            keeper.after(len(sizes) - fits - 1)


def test_a_message_over_the_bound_is_kept_alone():
    assert kept("a", "x" * (BYTES + 1)).after(1) == ["x" * (BYTES + 1)]
