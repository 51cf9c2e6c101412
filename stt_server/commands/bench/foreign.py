"""Clients that are not our own library: one of vosk-server's protocol, one that breaks off, a silent one, uploads.

They speak as the clients they stand for do: a vosk client waits for the answer to each frame, and who breaks off says
nothing first.
"""

from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.request
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from websockets.asyncio.client import connect as dial
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException

from stt_server.client import open_message, stream_url
from stt_server.commands.bench.script import RATE
from stt_server.errors import Busy, Internal, TimedOut, Unavailable
from stt_server.messages import Open

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator
    from contextlib import AbstractAsyncContextManager

    from websockets.asyncio.client import ClientConnection

ANSWER_S: Final = 30.0
UPLOAD_S: Final = 300.0
BOUNDARY: Final = "earloop-soak-4d1c1a2b"
BUSY: Final = 503
TRY_AGAIN_LATER: Final = 1013


async def speak_vosk(url: str, frames: AsyncIterable[bytes]) -> None:
    """Frames (s16le) to vosk-server's protocol, each answered, up to the last result."""
    async with _errors_of_a_socket(), _dialled(stream_url(url).removesuffix("/v1/stream")) as socket:
        await socket.send(json.dumps({"config": {"sample_rate": RATE}}))
        async for frame in frames:
            await socket.send(frame)
            await _answer(socket)
        await socket.send('{"eof" : 1}')
        await _answer(socket)


async def break_off(url: str, frames: AsyncIterable[bytes]) -> None:
    """Open a resumable stream, speak, and be gone without a word, as a client does whose network ends."""
    async with _errors_of_a_socket(), _dialled(stream_url(url)) as socket:
        await socket.send(open_message(Open("native", resumable=True)))
        await _answer(socket)
        async for frame in frames:
            await socket.send(frame)
        socket.transport.abort()


async def stay(url: str) -> None:
    """A connection that says nothing, until cancelled."""
    async with _errors_of_a_socket(), _dialled(stream_url(url)) as socket:
        await socket.recv()


async def upload(url: str, wav: bytes, *, as_form: bool) -> None:
    """A WAV file to `/stt`, or as a form to OpenAI's route. Raises Busy, Unavailable, Internal."""
    if as_form:
        body, kind = _form(wav), f"multipart/form-data; boundary={BOUNDARY}"
        await asyncio.to_thread(_post, f"{url}/v1/audio/transcriptions", body, kind)
    else:
        await asyncio.to_thread(_post, f"{url}/stt", wav, "audio/wav")


def _post(address: str, body: bytes, kind: str) -> None:
    request = urllib.request.Request(address, body, {"Content-Type": kind})  # noqa: S310 - the user's own server
    try:
        with urllib.request.urlopen(request, timeout=UPLOAD_S) as answer:  # noqa: S310
            answer.read()
    except urllib.error.HTTPError as error:
        with error:
            said = error.read(500).decode(errors="replace")
        raise (Busy if error.code == BUSY else Internal)(f"{address} answered HTTP {error.code}: {said}") from error
    except OSError as error:
        raise Unavailable(f"{address} does not answer ({error})") from error


def _form(wav: bytes) -> bytes:
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'
    model = f'\r\n--{BOUNDARY}\r\nContent-Disposition: form-data; name="model"\r\n\r\nwhisper-1\r\n--{BOUNDARY}--\r\n'
    return head.encode() + wav + model.encode()


def _dialled(address: str) -> AbstractAsyncContextManager[ClientConnection]:
    return dial(address, compression=None, close_timeout=2.0)


@asynccontextmanager
async def _errors_of_a_socket() -> AsyncIterator[None]:
    """Raises Busy for a full server, TimedOut without an answer, Unavailable for all else that ends a connection."""
    try:
        yield
    except InvalidStatus as refused:
        said = f"the upgrade was answered with HTTP {refused.response.status_code}"
        raise (Busy if refused.response.status_code == BUSY else Internal)(said) from refused
    except TimeoutError as error:
        raise TimedOut(f"no answer for {ANSWER_S:g} s") from error
    except ConnectionClosed as closed:
        busy = closed.rcvd is not None and closed.rcvd.code == TRY_AGAIN_LATER
        raise (Busy if busy else Unavailable)(f"the connection ended: {closed}") from closed
    except (OSError, WebSocketException) as error:
        raise Unavailable(f"the connection ended: {error}") from error


async def _answer(socket: ClientConnection) -> None:
    async with asyncio.timeout(ANSWER_S):
        await socket.recv()
