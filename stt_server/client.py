"""A client of the native protocol (`/v1/stream`): speech goes in as bytes, typed events come out.

    async with await connect("http://127.0.0.1:2700", Open("native", AudioSpec(sample_rate=48_000))) as stream:
        async for event in stream.converse(chunks):          # Partial, Final, …; ends after Finished
            …

or with `send`, `flush` and `finish` in one task and `async for event in stream` in another.

Whatever goes wrong is a kind of `stt_server.errors`: what the server says by the code it gives, a refused connection as
Unavailable, an HTTP 503 as Busy with its `retry_after_s`, silence beyond a deadline as TimedOut.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as dial
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

from stt_server import messages
from stt_server.errors import BadInput, BadOption, Busy, EarloopError, Internal, NotFound, TimedOut, Unavailable
from stt_server.messages import Event, Final, Finished, Flush, Open, Ready, Transcript

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator, Mapping
    from types import TracebackType
    from typing import Self

    from websockets.http11 import Response

PATH = "/v1/stream"
MESSAGE_BYTES = 1 << 20  # largest message taken from a server


@dataclass(frozen=True, slots=True)
class Deadlines:
    """How long to wait, in seconds. While audio goes out nobody may be speaking, so that no event need come: until
    `finish` the deadline of a read is the connection's keepalive, a ping that must be answered within as much.
    """

    connect_s: float = 10.0
    send_s: float = 10.0
    finish_s: float = 30.0  # for each event after `finish`
    keepalive_s: float = 20.0


@dataclass(frozen=True, slots=True)
class Pong:
    """The answer to `ping`, with the id that was sent."""

    id: object


class StreamClient:
    """One open stream. One task may send while another iterates; iterate in one task only. `ready` says what runs."""

    def __init__(self, connection: ClientConnection, ready: Ready, deadlines: Deadlines) -> None:
        self.ready = ready
        self._connection = connection
        self._deadlines = deadlines
        self._patience_s: float | None = None
        self._reading: asyncio.Timeout | None = None
        self._speaker_fault: BaseException | None = None

    async def send(self, data: bytes) -> None:
        """Audio as the options announced it, cut anywhere. Waits while the server is slower than the speaker."""
        await self._write(data)

    async def flush(self) -> None:
        """End the utterance now, as a push-to-talk button does; its Final follows."""
        await self._write(_encode("flush"))

    async def finish(self) -> None:
        """No more audio: the last Final and Finished follow, and the iteration ends."""
        await self._write(_encode("finish"))
        self._patience_s = self._deadlines.finish_s
        if self._reading is not None:
            self._reading.reschedule(asyncio.get_running_loop().time() + self._patience_s)

    async def ping(self, ident: object = None) -> None:
        """Ask for a Pong among the events; it shows that the server reads, not that it has recognised anything."""
        await self._write(_encode("ping", id=ident))

    async def __aiter__(self) -> AsyncIterator[Event | Pong]:
        """Events in order, up to the one after which nothing comes: Finished. An error of the server is raised."""
        event = None
        while not isinstance(event, Finished):
            event = parse(await self._read())
            if event is not None:
                yield event

    async def converse(self, said: AsyncIterable[bytes | Flush]) -> AsyncIterator[Event | Pong]:
        """Send all audio, flushing where that is said, then finish; meanwhile the events, as in iterating.

        An error of `said` or of sending ends it too, and is raised here.
        """
        speaking = asyncio.create_task(self._speak(said))
        try:
            async for event in self:
                yield event
            await speaking
        except Unavailable as gone:
            raise self._speaker_fault or gone from None
        finally:
            speaking.cancel()
            await asyncio.wait({speaking})

    async def _speak(self, said: AsyncIterable[bytes | Flush]) -> None:
        try:
            async for each in said:
                await (self.flush() if isinstance(each, Flush) else self.send(each))
            await self.finish()
        except BaseException as fault:
            self._speaker_fault = fault
            await self.close()
            raise

    async def close(self) -> None:
        """Leave at once; without `finish`, what was not yet final is lost. May be called again."""
        await self._connection.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _write(self, message: str | bytes) -> None:
        """Send, or do nothing on a closed connection: why it closed is said to the one who iterates."""
        try:
            async with asyncio.timeout(self._deadlines.send_s):
                await self._connection.send(message)
        except TimeoutError as error:
            raise TimedOut(f"The server took no audio for {self._deadlines.send_s:g} s; speak to it later.") from error
        except ConnectionClosed:
            return

    async def _read(self) -> str | bytes:
        try:
            async with asyncio.timeout(self._patience_s) as self._reading:
                return await self._connection.recv()
        except TimeoutError as error:
            raise TimedOut(f"No answer for {self._patience_s:g} s after the last audio; try again.") from error
        except ConnectionClosed as closed:
            raise _early_end(closed) from closed
        finally:
            self._reading = None


async def connect(
    url: str, options: Open | None = None, *, deadlines: Deadlines = Deadlines(), key: str | None = None
) -> StreamClient:
    """Open a stream at a server's address (`http://host:2700`, `ws://host:2700/v1/stream` or `host:2700`).

    Raises Unavailable when nothing answers, Busy when the server is full, TimedOut, BadOption for an address that is
    none, and what the server says about the options.
    """
    connection = await _dialled(stream_url(url), deadlines, {"Authorization": f"Bearer {key}"} if key else {})
    try:
        async with asyncio.timeout(deadlines.connect_s):
            await connection.send(open_message(options or Open("native")))
            ready = parse(await connection.recv())
        if not isinstance(ready, Ready):
            raise Internal(f"{url} began with {ready!r}; is it an Earloop server of this version?")
        return StreamClient(connection, ready, deadlines)
    except TimeoutError as error:
        await connection.close()
        raise TimedOut(f"{url} opened no stream within {deadlines.connect_s:g} s; try again later.") from error
    except ConnectionClosed as closed:
        raise _early_end(closed) from closed
    except EarloopError:
        await connection.close()
        raise


def recognize(url: str, chunks: Iterable[bytes], options: Open | None = None) -> Transcript:
    """All that is said in `chunks`, for callers without an event loop. Raises what `connect` and iterating raise."""
    return asyncio.run(_recognize(url, chunks, options))


async def _recognize(url: str, chunks: Iterable[bytes], options: Open | None) -> Transcript:
    async with await connect(url, options) as stream:
        events = [event async for event in stream.converse(_each(chunks))]
    finals = tuple(event for event in events if isinstance(event, Final))
    audio_s = next(event.audio_s for event in events if isinstance(event, Finished))
    return Transcript(stream.ready.model, stream.ready.language, audio_s, finals)


async def _each(chunks: Iterable[bytes]) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


def stream_url(url: str) -> str:
    """The WebSocket address of a server's native protocol, from any usual way to name the server. Raises BadOption."""
    schemes = {"http": "ws", "ws": "ws", "https": "wss", "wss": "wss"}
    try:
        parts = urlsplit(url if "://" in url else f"ws://{url}")
        if not parts.hostname or parts.port == 0:  # asking for the port raises ValueError where it is no number
            raise ValueError
        return urlunsplit((schemes[parts.scheme], parts.netloc, parts.path.rstrip("/") or PATH, parts.query, ""))
    except (ValueError, KeyError) as error:
        sentence = f"{url!r} is no address of a server; give one such as http://127.0.0.1:2700."
        raise BadOption(sentence, field="url") from error


def open_message(options: Open) -> str:
    """The text message that opens a stream. What is None is left out: there the server's own setting holds."""
    return _encode(
        "open",
        **asdict(options.audio),
        **_given(model=options.model, language=options.language, decoder=options.decoder),
        hotwords=options.hotwords,
        partials=options.partials,
        endpointing=_given(**asdict(options.endpointing)),
    )


def parse(message: str | bytes) -> Event | Pong | None:
    """A server's message as an event; None for a type this client does not know, since a newer server may say more.

    Raises the error that an `error` message stands for, Internal for a message that is not of the protocol.
    """
    try:
        said = json.loads(message)
        if said["type"] == "error":
            raise _named_error(said)
        event = _EVENTS.get(said["type"])
        return event(said) if event else None
    except (ValueError, KeyError, TypeError) as error:
        raise Internal(f"The server sent {message[:80]!r}, which is not of Earloop's stream protocol.") from error


def _ready(said: Mapping[str, Any]) -> Ready:
    audio = messages.AudioSpec(said["encoding"], said["sample_rate"], said["channels"])
    return Ready(said["session"], said["model"], said["language"], audio)


def _final(said: Mapping[str, Any]) -> Final:
    words = tuple(messages.Word(word["word"], word["start"], word["end"], word["confidence"]) for word in said["words"])
    return Final(said["utterance"], said["text"], words, said["start"], said["end"], said["reason"])


_EVENTS: dict[str, Any] = {
    "ready": _ready,
    "speech_started": lambda said: messages.SpeechStarted(said["at"]),
    "speech_stopped": lambda said: messages.SpeechStopped(said["at"]),
    "partial": lambda said: messages.Partial(said["utterance"], said["text"], said["stable"]),
    "final": _final,
    "pong": lambda said: Pong(said["id"]),
    "behind": lambda said: messages.Behind(said["lag_ms"]),
    "finished": lambda said: Finished(said["audio_s"], said["model"]),
}


def _encode(kind: str, **fields: object) -> str:
    return json.dumps({"type": kind, **fields}, separators=(",", ":"))


def _given(**fields: object) -> dict[str, object]:
    return {name: value for name, value in fields.items() if value is not None}


async def _dialled(address: str, deadlines: Deadlines, headers: dict[str, str]) -> ClientConnection:
    try:
        return await dial(
            address,
            additional_headers=headers,
            compression=None,  # audio does not shrink
            open_timeout=deadlines.connect_s,
            ping_interval=deadlines.keepalive_s,
            ping_timeout=deadlines.keepalive_s,
            close_timeout=1.0,
            max_size=MESSAGE_BYTES,
        )
    except InvalidStatus as refused:
        raise _refusal(refused.response, address) from refused
    except TimeoutError as error:
        raise TimedOut(f"{address} did not answer within {deadlines.connect_s:g} s; try again later.") from error
    except (OSError, InvalidHandshake) as error:
        hint = "start one with `earloop serve` or correct the address"
        raise Unavailable(f"No server answers at {address} ({error}); {hint}.") from error


def _refusal(response: Response, address: str) -> EarloopError:
    """The error behind an HTTP status that stood where the upgrade was due."""
    kinds: dict[int, type[EarloopError]] = {503: Busy, 404: NotFound}
    said: dict[str, Any] = {
        "code": kinds.get(response.status_code, BadInput).code,
        "message": f"{address} answered HTTP {response.status_code}.",
        **_given(retry_after_s=response.headers.get("Retry-After")),
        **_error_in(bytes(response.body or b"")),
    }
    return _named_error(said)


def _error_in(body: bytes) -> dict[str, Any]:
    """The error of a JSON body, bare or under the key `error`; empty for any other body."""
    try:
        said = json.loads(body)
        inner = said.get("error", said)
        return {key: inner[key] for key in ("code", "message", "field") if inner.get(key)}
    except (ValueError, AttributeError):
        return {}


def _named_error(said: Mapping[str, Any]) -> EarloopError:
    """The kind of error that has the code the server gave; the base kind for a code this client does not know."""
    message, kind = str(said["message"]), _KINDS.get(said["code"], EarloopError)
    if kind is Busy:
        return Busy(message, retry_after_s=float(said.get("retry_after_s", 1.0)))
    return kind(message, field=said.get("field"))


def _early_end(closed: ConnectionClosed) -> Unavailable:
    """Why a connection ended before Finished came."""
    how = f"closed the connection ({closed.rcvd})" if closed.rcvd else "is gone: the connection broke"
    return Unavailable(f"The server {how} before the stream was finished; connect again.")


def _kinds(kind: type[EarloopError]) -> Iterator[type[EarloopError]]:
    yield kind
    for child in kind.__subclasses__():
        yield from _kinds(child)


_KINDS = {kind.code: kind for kind in _kinds(EarloopError)}
