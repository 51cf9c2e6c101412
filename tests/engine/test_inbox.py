import pytest

from stt_server.engine.inbox import Inbox, Lane, Piece
from stt_server.engine.limits import Limits
from stt_server.messages import Audio, Finish, Flush
from tests.engine.toy import Toy

LIMITS = Limits(max_queue_s=1.0, max_engine_queue_s=2.0, max_queue_pieces=8)


def audio(seconds: float, *, acknowledge: bool = False) -> Piece:
    return Piece(Audio(bytes(4)), seconds, 0.0, acknowledge)


def command(what: Flush | Finish) -> Piece:
    return Piece(what, 0.0, 0.0)


def lane() -> Lane:
    return Lane(Toy(), object(), live=True)


def test_a_stream_may_queue_its_seconds_and_no_more():
    inbox, stream = Inbox(LIMITS), lane()
    assert inbox.put(stream, audio(0.5))
    assert inbox.put(stream, audio(0.5))
    assert not inbox.put(stream, audio(0.1))


def test_tiny_pieces_and_floods_of_flush_are_bounded_by_their_number():
    inbox, stream = Inbox(LIMITS), lane()
    assert [inbox.put(stream, command(Flush())) for _ in range(9)] == [True] * 8 + [False]


def test_finish_always_fits():
    inbox, stream = Inbox(LIMITS), lane()
    while inbox.put(stream, audio(0.25)):
        pass
    assert inbox.put(stream, command(Finish()))


def test_streams_that_filled_the_engine_do_not_keep_a_newcomer_out():
    inbox = Inbox(LIMITS)
    for hog in (lane(), lane()):
        assert inbox.put(hog, audio(0.9))
        assert inbox.put(hog, audio(0.1))
    newcomer = lane()
    assert inbox.put(newcomer, audio(0.5))
    assert not inbox.put(newcomer, audio(0.1))


def test_who_was_refused_is_named_once_when_there_is_room():
    inbox, stream = Inbox(LIMITS), lane()
    assert inbox.put(stream, audio(0.6))
    assert inbox.put(stream, audio(0.4))
    assert not inbox.put(stream, audio(0.6))
    assert inbox.roomy() == []
    assert [piece.seconds for piece in inbox.take(stream, 0.5)] == [0.6]
    assert inbox.roomy() == [stream]
    assert inbox.roomy() == []


def test_a_removed_stream_makes_room_for_those_the_engine_refused():
    inbox, hog, other, waiting = Inbox(LIMITS), lane(), lane(), lane()
    assert inbox.put(hog, audio(1.0))
    assert inbox.put(other, audio(0.9))
    assert inbox.put(waiting, audio(0.4))
    assert not inbox.put(waiting, audio(0.4))
    assert inbox.remove(hog) == [waiting]
    assert inbox.take(hog, 9.0) == []


def test_news_names_each_stream_once_in_order_and_ends_with_stop():
    inbox, first, second = Inbox(LIMITS), lane(), lane()
    for stream in (second, first, second):
        inbox.put(stream, audio(0.1))
    assert inbox.news(wait=True) == [second, first]
    assert inbox.news(wait=False) == []
    inbox.stop()
    assert inbox.news(wait=True) is None


def test_a_removed_stream_is_no_news():
    inbox, stream = Inbox(LIMITS), lane()
    inbox.put(stream, audio(0.1))
    inbox.remove(stream)
    assert inbox.news(wait=False) == []


@pytest.mark.parametrize(
    ("queued", "groups"),
    [
        ([audio(0.1), audio(0.1), audio(0.1)], [3]),
        ([audio(0.3), audio(0.3), audio(0.3)], [2, 1]),  # half a second, and what ends it
        ([audio(0.1), command(Flush()), audio(0.1), command(Finish())], [1, 1, 1, 1]),
        ([command(Flush()), command(Flush())], [1, 1]),
        ([audio(0.1, acknowledge=True), audio(0.1, acknowledge=True)], [1, 1]),
    ],
)
def test_a_group_is_audio_to_be_joined_or_one_command(queued, groups):
    inbox, stream = Inbox(LIMITS), lane()
    for piece in queued:
        assert inbox.put(stream, piece)
    taken = []
    while group := inbox.take(stream, 0.5):
        taken += [len(group)]
    assert taken == groups
