"""Frames of Wyoming: as the real library writes and reads them, cut anywhere, and whatever else may come."""

import asyncio
import json
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from wyoming.event import Event, async_read_event, async_write_event

from stt_server.errors import BadInput, EarloopError, TooLarge
from stt_server.protocols.wyoming import Frame, Frames
from stt_server.protocols.wyoming.frames import MAX_DATA_BYTES, MAX_HEADER_BYTES, MAX_PAYLOAD_BYTES

LETTERS = st.text(st.characters(codec="utf-8"), max_size=20)
VALUES = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | LETTERS | st.lists(LETTERS, max_size=3)
DATA = st.dictionaries(LETTERS, VALUES, max_size=4)
FRAMES = st.builds(Frame, LETTERS, DATA, st.binary(max_size=300))


class Pipe:
    """What the library writes to, as far as it needs."""

    def __init__(self) -> None:
        self.written = b""

    def write(self, data: bytes) -> None:
        self.written += data

    def writelines(self, parts) -> None:
        self.written += b"".join(parts)

    async def drain(self) -> None:
        pass


def fed(*pieces: bytes) -> list[Frame]:
    frames = Frames()
    return [frame for piece in pieces for frame in frames.feed(piece)]


@settings(max_examples=80, deadline=None)
@given(st.lists(FRAMES, max_size=4), st.lists(st.integers(1, 200), max_size=12))
def test_frames_are_read_back_however_they_are_cut(sent: list[Frame], lengths: list[int]):
    wire, pieces = b"".join(frame.encode() for frame in sent), []
    for length in lengths:
        pieces.append(wire[:length])
        wire = wire[length:]
    assert fed(*pieces, wire) == sent


@settings(max_examples=40, deadline=None)
@given(LETTERS, DATA, st.binary(max_size=300))
def test_we_read_what_the_library_writes_and_it_reads_what_we_write(kind: str, data: dict, payload: bytes):
    async def both() -> None:
        pipe, reader = Pipe(), asyncio.StreamReader()
        await async_write_event(Event(kind, data, payload or None), pipe)  # type: ignore[arg-type]
        (ours,) = fed(pipe.written)
        assert (ours.type, ours.data, ours.payload) == (kind, data, payload)
        assert ours.version
        reader.feed_data(ours.encode())
        reader.feed_eof()
        theirs = await async_read_event(reader)
        assert theirs == Event(kind, data, payload or None)

    asyncio.run(both())


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=200) | LETTERS.map(lambda text: json.dumps({"type": text}).encode() + b"\n{}"))
def test_whatever_else_comes_is_a_frame_or_a_kind_of_our_errors(received: bytes):
    frames = Frames()
    try:
        for frame in frames.feed(received):
            assert isinstance(frame.type, str)
    except EarloopError as error:
        assert error.message


def test_data_in_the_header_and_behind_it_is_one_and_that_behind_it_counts():
    (frame,) = fed(b'{"type":"a","data":{"x":1,"y":1},"data_length":7}\n{"x":2}')
    assert frame.data == {"x": 2, "y": 1}


def test_frames_before_a_fault_are_read():
    frames = Frames().feed(b'{"type":"ping"}\nGET / HTTP/1.1\r\n')
    assert next(frames).type == "ping"
    with pytest.raises(BadInput):
        next(frames)


@pytest.mark.parametrize(
    "header",
    [
        "",
        "[]",
        '"ping"',
        "{}",
        '{"type":7}',
        '{"type":"a","data":[]}',
        '{"type":"a","data_length":-1}',
        '{"type":"a","data_length":true}',
        '{"type":"a","payload_length":1.5}',
        '{"type":"a","payload_length":"7"}',
        '{"type":"a","data":{"x":NaN}}',
        "[" * 10_000,
    ],
)
def test_a_malformed_header_is_bad_input(header: str):
    with pytest.raises(BadInput):
        fed(header.encode() + b"\n")


@pytest.mark.parametrize("data", [b"[]", b"{", b"\xff\xfe", b"12"])
def test_data_that_is_no_object_is_bad_input(data: bytes):
    with pytest.raises(BadInput):
        fed(json.dumps({"type": "a", "data_length": len(data)}).encode() + b"\n" + data)


@pytest.mark.parametrize("line", [b"x" * (MAX_HEADER_BYTES + 1), b" " * (MAX_HEADER_BYTES + 1) + b"\n"])
def test_a_header_has_a_bound_whether_or_not_its_end_comes(line: bytes):
    with pytest.raises(TooLarge):
        fed(line)


def test_the_longest_header_is_read():
    room = MAX_HEADER_BYTES - len('{"type":""}')
    assert [frame.type for frame in fed(b'{"type":"' + b"a" * room + b'"}\n')] == ["a" * room]


@pytest.mark.parametrize(("name", "most"), [("data_length", MAX_DATA_BYTES), ("payload_length", MAX_PAYLOAD_BYTES)])
def test_what_is_announced_has_a_bound_before_it_comes(name: str, most: int):
    with pytest.raises(TooLarge):
        fed(json.dumps({"type": "a", name: most + 1}).encode() + b"\n")


def test_a_frame_that_is_not_whole_costs_what_has_come_of_it():
    frames = Frames()
    assert not list(frames.feed(b'{"type":"a","payload_length":1000000}\n'))
    assert sys.getsizeof(frames._buffer) < 1000
