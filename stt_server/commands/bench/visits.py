"""The clients of a soak: each speaks for a while, as one of several kinds, goes, and another comes in its place.

    command   a clip, push to talk                       long      many clips, hands free and push to talk
    vosk      the same as `command`, in vosk's protocol   silence   a quiet room
    upload    a recording to `/stt` or OpenAI's route    broken    a stream whose client vanishes in mid-speech

Speech goes out in real time. What is drawn when depends on the seed alone.
"""

from __future__ import annotations

import asyncio
import io
import random
import wave
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

from stt_server.client import connect
from stt_server.commands.bench.foreign import break_off, speak_vosk, upload
from stt_server.commands.bench.script import QUIET, RATE, Script, Turn, write_scripts
from stt_server.errors import Busy, EarloopError, LimitReached
from stt_server.messages import Flush, Open
from stt_server.speech.pcm import to_int16

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from stt_server.commands.bench.script import Speech

FRAME_MS: Final = 100
SILENCE_MS: Final = 600
SCRIPTS: Final = 24
KINDS: Final = {"command": 40, "long": 14, "vosk": 18, "silence": 6, "upload": 12, "broken": 10}  # shares
PAUSE_S: Final = 1.0  # at most, between two visits
BUSY_S: Final = 1.0  # a refused client waits so long


@dataclass(frozen=True, slots=True)
class Material:
    """What is said, made once: writing it anew for every visit would cost more than sending it."""

    commands: Sequence[Script]
    longs: Sequence[Script]
    silence: Script

    @classmethod
    def of(cls, clips: Sequence[Speech], longest_s: float) -> Material:
        """`longest_s` bounds a visit, but for its last clip."""
        lengths = (0.2 * longest_s, 0.5 * longest_s, longest_s)
        quiet = np.random.default_rng(0).standard_normal(int(longest_s * RATE)) * QUIET
        return cls(
            commands=write_scripts(clips, SCRIPTS, 0.1, SILENCE_MS),
            longs=[script for each in lengths for script in write_scripts(clips, SCRIPTS // 3, each, SILENCE_MS)],
            silence=Script(to_int16(quiet.astype(np.float32)).tobytes(), (Turn("", 0, 0, len(quiet), False),)),
        )


@dataclass(slots=True)
class Tally:
    """Visits by kind, how many were refused at the door, and why others failed."""

    visits: Counter[str] = field(default_factory=Counter)
    refused: int = 0
    faults: Counter[str] = field(default_factory=Counter)


class Visitors:
    """`streams` clients at once, until told to go."""

    def __init__(self, url: str, material: Material, streams: int) -> None:
        self.tally = Tally()
        self._url, self._material, self._streams = url, material, streams
        self._leave = asyncio.Event()
        self._round = 0

    async def come(self, seconds: float) -> None:
        """Visit the server for so long; returns when the last visit that had begun by then is over."""
        self._leave.clear()
        self._round += 1
        asyncio.get_running_loop().call_later(seconds, self._leave.set)
        async with asyncio.TaskGroup() as tasks:
            for number in range(self._streams):
                tasks.create_task(self._visit_again_and_again(random.Random(1000 * self._round + number)))

    async def _visit_again_and_again(self, rng: random.Random) -> None:
        while not await self._left_within(rng.uniform(0, PAUSE_S)):
            (kind,) = rng.choices(list(KINDS), list(KINDS.values()))
            self.tally.visits[kind] += 1
            try:
                await self._visit(kind, rng)
            except (Busy, LimitReached):
                self.tally.refused += 1
                await self._left_within(BUSY_S)
            except EarloopError as error:
                self.tally.faults[f"{kind}: {error}"] += 1

    async def _left_within(self, seconds: float) -> bool:
        try:
            await asyncio.wait_for(self._leave.wait(), seconds)
        except TimeoutError:
            return False
        return True

    async def _visit(self, kind: str, rng: random.Random) -> None:
        command, long = rng.choice(self._material.commands), rng.choice(self._material.longs)
        if kind == "vosk":
            await speak_vosk(self._url, _audio(command))
        elif kind == "broken":
            await break_off(self._url, _audio(command, upto=rng.random()))
        elif kind == "upload":
            script = rng.choice([command, long])
            await upload(self._url, wav(script.data), as_form=rng.random() < 0.5)
        else:
            await self._speak({"command": command, "long": long, "silence": self._material.silence}[kind])

    async def _speak(self, script: Script) -> None:
        async with await connect(self._url, Open("native")) as stream:
            async for _ in stream.converse(paced(script)):
                pass


async def paced(script: Script, speed: float = 1.0, frame_ms: int = FRAME_MS) -> AsyncIterator[bytes | Flush]:
    """A script's pieces, each when its last sample would have been recorded; `speed` 0.1 takes ten times as long."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    for length, piece in script.pieces(frame_ms):
        await asyncio.sleep(max(0.0, began + length / RATE / speed - loop.time()))
        yield piece


async def _audio(script: Script, upto: float = 1.0) -> AsyncIterator[bytes]:
    """The audio alone, up to a part of it."""
    sent = 0
    async for piece in paced(script):
        if isinstance(piece, bytes):
            yield piece
            sent += len(piece)
        if sent > upto * len(script.data):
            return


def wav(data: bytes) -> bytes:
    """Samples (s16le, 16 kHz) as a WAV file."""
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(RATE)
        writer.writeframes(data)
    return file.getvalue()
