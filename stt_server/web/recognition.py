"""An upload takes the way of a live stream: pieces into a session with back-pressure, finals out of it.

    pieces ── feeding ──► session ── hearing ──► finals, told as they come ──► Transcript

A file is decoded and resampled in a thread, a second of audio at a time, no further ahead than the session takes it.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import IO, TYPE_CHECKING, BinaryIO, Final, TypeVar, cast

from stt_server.errors import TooLarge, Unavailable
from stt_server.messages import Audio, AudioSpec, Failed, Finish, Finished, Ready, Transcript
from stt_server.messages import Final as Utterance
from stt_server.speech.files import open_audio
from stt_server.speech.resample import resampler

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine, Generator

    from stt_server.engine.session import Session

    Tell = Callable[[Utterance], Awaitable[None]]

T = TypeVar("T")

FILE_AUDIO: Final = AudioSpec("f32le", 16_000, 1)
RESULT_S: Final = 120.0  # a session holds seconds of audio at most, but live streams go before it


async def transcribe(session: Session, pieces: AsyncIterator[bytes], tell: Tell | None = None) -> Transcript:
    """All that is said in `pieces`; each final is told as soon as it comes. Closes the session.

    Raises what fails the session, the reading of the pieces or the telling, and Unavailable where the server leaves
    before all of a file was heard.
    """
    feeding = asyncio.create_task(_feed(session, pieces))
    hearing = asyncio.create_task(_hear(session, tell))
    try:
        await asyncio.wait({feeding, hearing}, return_when=asyncio.FIRST_COMPLETED)
        if not hearing.done():
            feeding.result()
            await asyncio.wait({hearing}, timeout=RESULT_S)
        if not hearing.done():
            raise Unavailable(f"The last words did not come within {RESULT_S:g} s; the server is overloaded.")
        said = hearing.result()
        if not (session.options.live or _heard_all(session, feeding)):
            raise Unavailable("The server is shutting down and has not heard all of the file; send it again.")
        return said
    finally:
        feeding.cancel()
        hearing.cancel()
        await asyncio.gather(feeding, hearing, return_exceptions=True)  # nobody may close a file that is being read
        await session.close()


async def transcribe_file(session: Session, file: IO[bytes], max_s: float, tell: Tell | None = None) -> Transcript:
    """All that is said in an audio file of at most `max_s` seconds. Raises as `transcribe` and `decoded` do."""
    async with aclosing(decoded(file, max_s)) as pieces:
        return await transcribe(session, pieces, tell)


async def decoded(file: IO[bytes], max_s: float, channel: int | None = None) -> AsyncGenerator[bytes, None]:
    """The samples of an audio file as `FILE_AUDIO`, in blocks: of one channel, or of all mixed.

    Raises BadAudio, Unsupported, TooLarge.
    """
    blocks = _blocks(cast("BinaryIO", file), max_s, channel)
    try:
        while (block := await _to_its_end(asyncio.to_thread(next, blocks, None))) is not None:
            yield block
    finally:
        blocks.close()


async def _feed(session: Session, pieces: AsyncIterator[bytes]) -> int:
    """How many bytes there were. A session that the server ends takes no more of them, and says nothing."""
    fed = 0
    async for piece in pieces:
        fed += len(piece)
        await session.send(Audio(piece))
    await session.send(Finish())
    return fed


def _heard_all(session: Session, feeding: asyncio.Task[int]) -> bool:
    return feeding.done() and feeding.exception() is None and feeding.result() == session.received_bytes


async def _hear(session: Session, tell: Tell | None) -> Transcript:
    """All finals. Raises what the session failed with."""
    language, version, finals = "", "", []
    async for event in session.events():
        match event:
            case Ready():
                language, version = event.language, event.version
            case Utterance():
                finals.append(event)
                if tell is not None:
                    await tell(event)
            case Failed():
                raise event.error
            case Finished():
                return Transcript(event.model, language, event.audio_s, tuple(finals), version)
    raise Unavailable("The stream was closed before its end; send it again.")


def _blocks(file: BinaryIO, max_s: float, channel: int | None) -> Generator[bytes, None, None]:
    """Decoding ends at the bound: an hour of silence is a small file, a week is one, too."""
    with open_audio(file) as reader:
        convert = resampler(reader.sample_rate, FILE_AUDIO.sample_rate)
        state, room = convert.initial(), int(max_s * reader.sample_rate)
        for block in reader.blocks(channel):
            room -= len(block)
            if room < 0:
                raise TooLarge(f"The file is longer than the {max_s:g} s allowed; send it in parts.", field="file")
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
        if not task.cancelled():
            task.exception()  # nobody is left to be told; untouched, asyncio would log it as a fault of ours
        raise
