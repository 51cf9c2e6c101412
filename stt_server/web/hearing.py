"""What hears a connection whose channels are heard apart, or whose audio has to be decoded while it arrives.

                      ┌─ raw: samples dealt out by channel ────────────┐
    Audio, Flush, … ──┤                                                ├─► a session for each channel ─► events
                      └─ coded: pipe ─► a thread ─► 16 kHz floats ─────┘

To the pump it is what a session is. The pipe holds one message; the next one waits until it is decoded, and the thread
waits until the sessions have taken what came out. A thread that wants more bytes has let go of all that was decoded, so
that a Flush comes behind exactly the audio that was sent before it.
"""

from __future__ import annotations

import asyncio
from array import array
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from stt_server.messages import Audio, Failed, Finish, Finished, OfChannel
from stt_server.web.decoding import Decoding
from stt_server.web.errors import as_ours
from stt_server.web.recognition import FILE_AUDIO

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from stt_server.engine.admission import Place
    from stt_server.engine.engines import Engines
    from stt_server.engine.session import Session
    from stt_server.errors import EarloopError
    from stt_server.messages import AudioSpec, Event, Flush, Open

WAITING_EVENTS: Final = 64
_TYPECODES: Final = {"s16le": "H", "f32le": "I", "mulaw": "B", "alaw": "B"}  # of `array`; only the width matters


def hear(engines: Engines, options: Open, place: Place | None) -> Session | Hearing:
    """Open what the options ask for; `place` is one, further channels need more. Raises as `Engines.open`."""
    if not (options.apart or options.coded):
        return engines.open(options, place)
    channels = options.audio.channels
    heard = FILE_AUDIO if options.coded else replace(options.audio, channels=1)
    sessions: list[Session] = []
    try:
        for channel in range(channels if options.apart else 1):
            own = place if channel == 0 else engines.reserve(live=options.live)
            try:
                sessions.append(engines.open(replace(options, audio=heard), own))
            except BaseException:
                if own is not None and channel > 0:
                    own.release()
                raise
    except BaseException:
        for session in sessions:
            session.leave()
        raise
    return Hearing(sessions, options, _decoding(sessions, options))


def _decoding(sessions: Sequence[Session], options: Open) -> Decoding | None:
    """None where the audio is raw."""
    if not options.coded:
        return None

    def heard() -> int:
        return sum(session.received_bytes for session in sessions)

    return Decoding(options.coded, options.audio.channels, apart=options.apart, heard=heard)


class Hearing:
    """The sessions of one connection, in the order of their channels; `error` is that of the first that failed."""

    def __init__(self, sessions: Sequence[Session], options: Open, decoding: Decoding | None) -> None:
        self._sessions = tuple(sessions)
        self._decoding = decoding
        self._forwarding = asyncio.create_task(self._forward(decoding)) if decoding else None
        self._dealing = Dealing(options.audio)
        self.id = sessions[0].id
        self.recognizer = sessions[0].recognizer
        self.options = options

    @property
    def error(self) -> EarloopError | None:
        return next((session.error for session in self._sessions if session.error is not None), None)

    @property
    def over(self) -> bool:
        return all(session.over for session in self._sessions)

    async def send(self, command: Audio | Flush | Finish) -> None:
        """As `Session.send`, to all channels or to the one that a Flush names. Raises BadAudio, Unsupported, too."""
        if self._decoding is not None:
            await self._decode(self._decoding, command)
        elif isinstance(command, Audio):
            for session, data in zip(self._sessions, self._dealing.deal(command.data), strict=True):
                await session.send(Audio(data))
        else:
            await self._tell(command)

    def finish(self) -> None:
        for session in self._sessions:
            session.finish()

    def leave(self) -> None:
        if self._decoding is not None:
            self._decoding.abandon()
        for session in self._sessions:
            session.leave()

    async def events(self) -> AsyncIterator[Event]:
        """What is said of every channel, `OfChannel` where they are heard apart; one Finished or Failed in the end."""
        if not self.options.apart:
            async for event in self._sessions[0].events():
                yield event
            return
        queue: asyncio.Queue[tuple[int, Event]] = asyncio.Queue(WAITING_EVENTS)
        tasks = [asyncio.create_task(_pass_on(queue, i, session)) for i, session in enumerate(self._sessions)]
        try:
            ends: list[Finished] = []
            while len(ends) < len(self._sessions):
                channel, event = await queue.get()
                if isinstance(event, Failed):
                    yield event
                    return
                if isinstance(event, Finished):
                    ends.append(event)
                yield event if isinstance(event, OfChannel) else OfChannel(channel, event)  # type: ignore[arg-type]
            yield Finished(max(end.audio_s for end in ends), ends[0].model)
        finally:
            for task in tasks:
                task.cancel()
            self.leave()

    async def _tell(self, command: Flush | Finish) -> None:
        if isinstance(command, Finish) or command.channel is None:
            for session in self._sessions:
                await session.send(command)
        else:
            await self._sessions[command.channel].send(command)

    async def _decode(self, decoding: Decoding, command: Audio | Flush | Finish) -> None:
        if self.error is not None:
            raise self.error
        if isinstance(command, Audio):
            await decoding.take(command.data)
        elif isinstance(command, Finish):
            await decoding.end()
        else:
            await decoding.drained()
        if self.error is not None:
            raise self.error
        if not isinstance(command, Audio):
            await self._tell(command)

    async def _forward(self, decoding: Decoding) -> None:
        """What is decoded into the sessions; what is wrong with it fails them all."""
        try:
            async for blocks in decoding.blocks():
                for session, data in zip(self._sessions, blocks, strict=True):
                    if data:
                        await session.send(Audio(data))
        except Exception as error:  # noqa: BLE001 - a part of the pump, one of the four places that catch
            fault = as_ours(error)
            for session in self._sessions:
                session.fail(fault)
        finally:
            decoding.abandon()


class Dealing:
    """Interleaved samples to one message for each channel, whatever the cuts of what comes."""

    def __init__(self, spec: AudioSpec) -> None:
        self._typecode = _TYPECODES[spec.encoding]
        self._channels = spec.channels
        self._rest = b""

    def deal(self, data: bytes) -> list[bytes]:
        data = self._rest + data
        whole = len(data) - len(data) % (array(self._typecode).itemsize * self._channels)
        self._rest = data[whole:]
        samples = array(self._typecode, data[:whole])
        return [samples[channel :: self._channels].tobytes() for channel in range(self._channels)]


async def _pass_on(queue: asyncio.Queue[tuple[int, Event]], channel: int, session: Session) -> None:
    async for event in session.events():
        await queue.put((channel, event))
