import pytest
from hypothesis import given
from hypothesis import strategies as st

from stt_server.client.backlog import Backlog, Mark
from stt_server.errors import Internal


class Peer:
    """A server that takes what arrives in order and can say how far it got; a break loses what was under way."""

    def __init__(self) -> None:
        self.taken: list[int | str] = []
        self.under_way: list[bytes | str] = []

    def take(self, count: int) -> None:
        """So many messages."""
        for message in self.under_way[:count]:
            self.taken += list(message) if isinstance(message, bytes) else [message]
        del self.under_way[:count]

    def take_part(self, size: int) -> None:
        """The next audio up to so many bytes, as a session whose queue got full in the middle of it."""
        if self.under_way and isinstance(self.under_way[0], bytes) and size < len(self.under_way[0]):
            self.taken += list(self.under_way[0][:size])
            self.under_way[0] = self.under_way[0][size:]

    @property
    def mark(self) -> Mark:
        commands = sum(isinstance(each, str) for each in self.taken)
        return Mark(len(self.taken) - commands, commands)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("say"), st.binary(min_size=1, max_size=9) | st.sampled_from(["flush", "finish"])),
        st.tuples(st.sampled_from(["send", "take", "part", "acknowledge", "break"]), st.integers(1, 5)),
    ),
    max_size=60,
)


@given(STEPS)
def test_whatever_breaks_all_arrives_in_order_once(steps):
    backlog, peer, said = Backlog(1000), Peer(), []
    for step, what in steps:
        if step == "say" and backlog.has_room(what):
            backlog.add(what)
            said += list(what) if isinstance(what, bytes) else [what]
        elif step == "send":
            peer.under_way += [message for _ in range(what) if (message := backlog.take()) is not None]
        elif step == "take":
            peer.take(what)
        elif step == "part":
            peer.take_part(what)
        elif step == "acknowledge":
            backlog.acknowledge(peer.mark)
        elif step == "break":
            peer.under_way.clear()
            backlog.rewind(peer.mark)
        assert peer.taken == said[: len(peer.taken)]
    peer.under_way.clear()
    backlog.rewind(peer.mark)
    while (message := backlog.take()) is not None:
        peer.under_way.append(message)
    peer.take(len(peer.under_way))
    assert peer.taken == said


def test_there_is_room_up_to_the_bound_and_for_one_message_of_any_size():
    backlog = Backlog(10)
    assert backlog.has_room(bytes(11))
    backlog.add(bytes(6))
    assert backlog.has_room(bytes(4))
    assert not backlog.has_room(bytes(5))
    backlog.take()
    assert not backlog.has_room(bytes(5))
    backlog.acknowledge(Mark(6, 0))
    assert backlog.has_room(bytes(10))


@pytest.mark.parametrize("mark", [Mark(4, 0), Mark(3, 1)])
def test_more_than_was_sent_cannot_have_arrived(mark):
    backlog = Backlog(10)
    backlog.add(b"abc")
    backlog.add("flush")
    backlog.take()
    with pytest.raises(Internal, match="only"):
        backlog.acknowledge(mark)


def test_a_server_that_knows_of_less_than_it_had_acknowledged_has_lost_something():
    backlog = Backlog(10)
    backlog.add(b"abc")
    backlog.take()
    backlog.acknowledge(Mark(3, 0))
    with pytest.raises(Internal, match="already"):
        backlog.rewind(Mark(2, 0))
