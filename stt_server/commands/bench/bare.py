"""The same audio through the recogniser alone: what it costs without a server, and when each event could come at all.

All streams go on together, a piece each, and those with a full step are advanced in one call of the model, as a server
would. No sockets, sessions, queues or clocks.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stt_server.messages import Flush

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from stt_server.commands.bench.script import Script
    from stt_server.messages import Event, Open
    from stt_server.speech.recognizer import Recognizer
    from stt_server.speech.stream import Stream

STEP_MS = 160  # the pieces that cost least: a model's step


@dataclass(frozen=True, slots=True)
class Heard:
    """An event and the length of its stream, in samples, with which it became known."""

    event: Event
    length: int


@dataclass(frozen=True, slots=True)
class BareRun:
    """CPU seconds of this process, and what was heard, by stream."""

    cpu_s: float
    heard: tuple[tuple[Heard, ...], ...]


def run_bare(recognizer: Recognizer, scripts: Sequence[Script], options: Open, piece_ms: int = STEP_MS) -> BareRun:
    """Recognise all scripts side by side, each in pieces of `piece_ms`."""
    streams = [recognizer.open(options) for _ in scripts]
    pieces = [list(script.pieces(piece_ms)) for script in scripts]
    heard: list[list[Heard]] = [[] for _ in scripts]
    began = time.process_time()
    for round_ in _rounds(pieces):
        for i, (_, piece) in round_:
            _say(recognizer, streams[i], piece)
        _advance(recognizer, [streams[i] for i, _ in round_])
        for i, (length, _) in round_:
            heard[i] += [Heard(event, length) for event in recognizer.take(streams[i])]
    for stream in streams:
        recognizer.finish(stream)
    _advance(recognizer, streams)
    cpu_s = time.process_time() - began
    for script, stream, said in zip(scripts, streams, heard, strict=True):
        said += [Heard(event, len(script.data) // 2) for event in recognizer.take(stream)]
    return BareRun(cpu_s, tuple(map(tuple, heard)))


def _rounds(pieces: list[list[tuple[int, bytes | Flush]]]) -> Iterator[list[tuple[int, tuple[int, bytes | Flush]]]]:
    """The k-th piece of every stream that has one, with the stream's number, for every k."""
    for k in range(max(map(len, pieces))):
        yield [(i, each[k]) for i, each in enumerate(pieces) if k < len(each)]


def _say(recognizer: Recognizer, stream: Stream, piece: bytes | Flush) -> None:
    if isinstance(piece, Flush):
        recognizer.flush(stream)
    else:
        recognizer.accept(stream, piece)


def _advance(recognizer: Recognizer, streams: Iterable[Stream]) -> None:
    streams = list(streams)
    while ready := [stream for stream in streams if recognizer.ready(stream)]:
        recognizer.advance(ready)
