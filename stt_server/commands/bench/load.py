"""The clients of a load test: every stream on a socket of its own, a second of audio a second.

A frame is sent when its last sample would have been recorded. Streams begin at different moments, so that their frames
and flushes do not meet more often than those of strangers would.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from stt_server.client import Pong, Reconnected, connect
from stt_server.commands.bench.script import RATE
from stt_server.errors import EarloopError
from stt_server.messages import Flush

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from stt_server.commands.bench.script import Script
    from stt_server.messages import Event, Open


@dataclass(slots=True)
class Conversation:
    """What one stream sent and got, by the event loop's clock in seconds. `fault` is why it failed, if it did."""

    script: Script
    lengths: list[int] = field(default_factory=list)  # of the stream after each frame, in samples
    sent: list[float] = field(default_factory=list)  # when that frame was handed to the socket
    flushed: list[float] = field(default_factory=list)  # when each turn was closed
    late: list[float] = field(default_factory=list)  # how much later than due each frame was sent
    events: list[tuple[float, Event]] = field(default_factory=list)
    fault: EarloopError | None = None

    def sent_at(self, length: int) -> float:
        """When the frame was sent with which the stream became at least `length` samples long."""
        return self.sent[min(bisect_left(self.lengths, length), len(self.sent) - 1)]


async def converse_all(
    url: str, scripts: Sequence[Script], options: Open, frame_ms: int, key: str | None = None
) -> list[Conversation]:
    """Speak all scripts at once. A stream that fails is kept, with its fault, and disturbs no other."""
    conversations = [Conversation(script) for script in scripts]
    begin = asyncio.get_running_loop().time() + 0.5
    spread_s = max(frame_ms / 1000, 1.0) / len(scripts)
    async with asyncio.TaskGroup() as tasks:
        for i, conversation in enumerate(conversations):
            pieces = spoken(conversation, frame_ms, begin + i * spread_s)
            tasks.create_task(_converse(url, conversation, options, pieces, key))
    return conversations


async def _converse(
    url: str, conversation: Conversation, options: Open, pieces: AsyncIterator[bytes | Flush], key: str | None
) -> None:
    loop = asyncio.get_running_loop()
    try:
        async with await connect(url, options, key=key) as stream:
            async for event in stream.converse(pieces):
                if not isinstance(event, Pong | Reconnected):
                    conversation.events.append((loop.time(), event))
    except EarloopError as error:
        conversation.fault = error


async def spoken(conversation: Conversation, frame_ms: int, begin: float) -> AsyncIterator[bytes | Flush]:
    """A conversation's audio and flushes, each when it is due, from `begin` on; notes down what was sent when."""
    loop = asyncio.get_running_loop()
    begin = max(begin, loop.time())
    for length, piece in conversation.script.pieces(frame_ms):
        due = begin + length / RATE
        await asyncio.sleep(max(0.0, due - loop.time()))
        now = loop.time()
        if isinstance(piece, Flush):
            conversation.flushed.append(now)
        else:
            conversation.lengths.append(length)
            conversation.sent.append(now)
            conversation.late.append(now - due)
        yield piece
