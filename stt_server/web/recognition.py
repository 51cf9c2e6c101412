"""An upload takes the way of a live stream: pieces into a session with back-pressure, finals out of it.

A file is decoded and resampled in a thread, a second of audio at a time, no further ahead than the session takes it.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import IO, TYPE_CHECKING, BinaryIO, Final, TypeVar, cast

from stt_server.errors import Unavailable
from stt_server.messages import Audio, AudioSpec, Failed, Finish, Finished, Ready, Transcript
from stt_server.messages import Final as Utterance
from stt_server.speech.files import open_audio
from stt_server.speech.resample import resampler

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Generator

    from stt_server.engine.session import Session
    from stt_server.messages import Event

T = TypeVar("T")

FILE_AUDIO: Final = AudioSpec("f32le", 16_000, 1)
RESULT_S: Final = 120.0  # a session holds seconds of audio at most, but live streams go before it


async def transcribe(session: Session, pieces: AsyncIterator[bytes]) -> Transcript:
    """All that is said in `pieces`. Closes the session. Raises what fails the session or the reading of the pieces."""
    hearing = asyncio.create_task(_all_events(session))
    try:
        async for piece in pieces:
            await session.send(Audio(piece))
        await session.send(Finish())
        async with asyncio.timeout(RESULT_S):
            return _transcript(await hearing)
    except TimeoutError:
        raise Unavailable(f"The last words did not come within {RESULT_S:g} s; the server is overloaded.") from None
    finally:
        hearing.cancel()
        await session.close()


async def decoded(file: IO[bytes]) -> AsyncGenerator[bytes, None]:
    """The samples of an audio file as `FILE_AUDIO`, in blocks. Raises BadAudio, Unsupported."""
    blocks = _blocks(cast("BinaryIO", file))
    try:
        while (block := await _to_its_end(asyncio.to_thread(next, blocks, None))) is not None:
            yield block
    finally:
        blocks.close()


async def transcribe_file(session: Session, file: IO[bytes]) -> Transcript:
    """All that is said in an audio file."""
    async with aclosing(decoded(file)) as pieces:
        return await transcribe(session, pieces)


def _blocks(file: BinaryIO) -> Generator[bytes, None, None]:
    with open_audio(file) as reader:
        convert = resampler(reader.sample_rate, FILE_AUDIO.sample_rate)
        state = convert.initial()
        for block in reader.blocks():
            samples, state = convert(block, state)
            yield samples.astype("<f4").tobytes()
        yield convert.flush(state).astype("<f4").tobytes()


async def _to_its_end(work: Coroutine[object, object, T]) -> T:
    """Await work in a thread; when cancelled, let it end first, for a file must not be closed under a decoder."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task})
        raise


async def _all_events(session: Session) -> list[Event]:
    return [event async for event in session.events()]


def _transcript(events: list[Event]) -> Transcript:
    ready, last = events[0], events[-1]
    if isinstance(last, Failed):
        raise last.error
    if not (isinstance(ready, Ready) and isinstance(last, Finished)):
        raise Unavailable("The stream was closed before its end; send it again.")
    finals = tuple(event for event in events if isinstance(event, Utterance))
    return Transcript(last.model, ready.language, last.audio_s, finals)
