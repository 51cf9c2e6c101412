"""What a server's memory is made of: a fresh server for each kind of guest, its memory before and at most with them.

A fresh one, because freed memory stays with the process and the next kind of guest would seem to need none.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from stt_server.client import connect
from stt_server.commands.bench import clips
from stt_server.commands.bench.foreign import stay, upload
from stt_server.commands.bench.machine import Machine, this_machine
from stt_server.commands.bench.script import write_scripts
from stt_server.commands.bench.server import model_argument, model_of, own_server, usage
from stt_server.commands.bench.soak import at_rest
from stt_server.commands.bench.visits import SILENCE_MS, paced, wav
from stt_server.messages import Open
from stt_server.speech.bundle import find_bundle, load_bundle

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from stt_server.commands.bench.script import Script
    from stt_server.settings import Settings

HOLD_S: Final = 20.0  # of a kind of guest
EVERY_S: Final = 0.25
AT_ONCE: Final = 20.0  # seconds of audio a second, of all streams together: more of them speak the more slowly
RECORDING_S: Final = 60.0
FLOOD: Final = 1000.0  # times real time


@dataclass(frozen=True, slots=True)
class Kind:
    """`count` guests at the same time, who stay until cancelled."""

    name: str
    count: int
    guest: Callable[[str, Script], Coroutine[None, None, None]]


@dataclass(frozen=True, slots=True)
class Held:
    """Megabytes are 10⁶ bytes, kilobytes 10³: resident memory of the server's process."""

    kind: str
    count: int
    before_mb: float
    most_mb: float
    each_kb: float


@dataclass(frozen=True, slots=True)
class Footprint:
    machine: Machine
    model: str
    held: list[Held]


def kinds(streams: Sequence[int] = (1, 10, 40, 200)) -> list[Kind]:
    """The guests of the page on memory."""
    most = max(streams)
    return [
        Kind("silent connection", most, _silent),
        Kind("open stream without audio", most, _opened),
        *(Kind("live stream", count, _speaking(min(1.0, AT_ONCE / count))) for count in streams),
        Kind("stream faster than the server", 20, _speaking(FLOOD)),
        *(Kind(f"upload of {RECORDING_S:g} s", count, _uploading) for count in (1, 8)),
    ]


def measure_footprint(
    settings: Settings, wanted: Sequence[Kind], tell: Callable[[str], None], hold_s: float = HOLD_S
) -> Footprint:
    """Raises NotFound for a model that is not there or has no kit to speak, Unavailable for a server without start."""
    machine = this_machine()
    spoken = clips.from_kit(load_bundle(find_bundle(settings.model, settings.data)))
    script = write_scripts(spoken, 1, RECORDING_S, SILENCE_MS)[0]
    model, held = "", []
    for kind in wanted:
        tell(f"{kind.count} × {kind.name} …")
        arguments = model_argument(settings)
        bound = str(kind.count + 1)
        with own_server([*arguments, "--max-streams", bound, "--max-load", "1000"], None) as address:
            model = model_of(address)
            held.append(asyncio.run(_measure(address, kind, script, hold_s)))
    return Footprint(machine, model, held)


async def _measure(address: str, kind: Kind, script: Script, hold_s: float) -> Held:
    """Baseline after one stream and one upload: what is made once, on first use, is nobody's."""
    await upload(address, wav(script.data[: len(script.data) // 10]), as_form=False)
    before = await at_rest(address)
    guests = [asyncio.create_task(kind.guest(address, script)) for _ in range(kind.count)]
    try:
        most = await _most_within(address, hold_s)
        for guest in guests:
            if guest.done():
                guest.result()  # raises why it left
    finally:
        for guest in guests:
            guest.cancel()
        await asyncio.wait(guests)
    each_kb = (most - before.memory) / 1e3 / kind.count
    return Held(kind.name, kind.count, round(before.memory / 1e6, 1), round(most / 1e6, 1), round(each_kb, 1))


async def _most_within(address: str, seconds: float) -> float:
    deadline = asyncio.get_running_loop().time() + seconds
    most = 0.0
    while asyncio.get_running_loop().time() < deadline:
        most = max(most, (await asyncio.to_thread(usage, address)).memory)
        await asyncio.sleep(EVERY_S)
    return most


async def _silent(address: str, _: Script) -> None:
    await stay(address)


async def _opened(address: str, _: Script) -> None:
    async with await connect(address, Open("native")) as stream:
        async for _event in stream:
            pass


def _speaking(speed: float) -> Callable[[str, Script], Coroutine[None, None, None]]:
    async def speak(address: str, script: Script) -> None:
        while True:
            async with await connect(address, Open("native")) as stream:
                async for _ in stream.converse(paced(script, speed)):
                    pass

    return speak


async def _uploading(address: str, script: Script) -> None:
    while True:
        await upload(address, wav(script.data), as_form=False)
