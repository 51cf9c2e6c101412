"""A client of the native protocol (`/v1/stream`): speech goes in as bytes, typed events come out.

    async with await connect("http://127.0.0.1:2700", Open("native", AudioSpec(sample_rate=48_000))) as stream:
        async for event in stream.converse(chunks):          # Partial, Final, …; ends after Finished
            …

or with `send`, `flush` and `finish` in one task and `async for event in stream` in another. `open_stream` is the same
for threads, `recognize` for a whole recording. With `Open("native", resumable=True)` a stream survives broken
connections: nothing is lost, nothing comes twice, and `Reconnected` tells of it.

Whatever goes wrong is a kind of `stt_server.errors`: what the server says by the code it gives, a refused connection as
Unavailable, HTTP 503 and 429 as Busy and LimitReached with `retry_after_s`, silence beyond a deadline as TimedOut.
"""

from stt_server.client.address import Deadlines, stream_url
from stt_server.client.blocking import BlockingStream, open_stream, recognize
from stt_server.client.stream import StreamClient, connect
from stt_server.client.wire import Pong, Reconnected, Told, open_message, parse

__all__ = [
    "BlockingStream",
    "Deadlines",
    "Pong",
    "Reconnected",
    "StreamClient",
    "Told",
    "connect",
    "open_message",
    "open_stream",
    "parse",
    "recognize",
    "stream_url",
]
