"""A soak from its options to its result: clients come and go for a long time, and nothing of them may stay.

server ─ warm-up: clients ─ rest ─ minutes of clients, sampled ─ rest
"""

from __future__ import annotations

import asyncio
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from stt_server.commands.bench import clips
from stt_server.commands.bench.foreign import upload
from stt_server.commands.bench.growth import Growth, Sample
from stt_server.commands.bench.machine import Machine, this_machine
from stt_server.commands.bench.server import model_argument, model_of, own_server, usage
from stt_server.commands.bench.visits import Material, Visitors, wav
from stt_server.errors import Busy, TimedOut
from stt_server.speech.bundle import find_bundle, load_bundle

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from stt_server.commands.bench.server import Usage
    from stt_server.settings import Settings

WARM_UP: Final = 0.2  # of the time, beside it,
WARM_UP_S: Final = 900.0  # or so long: memory was seen to rise for the first quarter of an hour
LONGEST: Final = 0.1  # of the time is a visit, at most,
LONGEST_S: Final = 90.0  # or so long
SAMPLES: Final = 400
EVERY_S: Final = 0.5  # at the oftenest
BURST: Final = 8  # uploads at once in the warm-up: threads that a pool starts when first needed are no growth
RESUME_S: Final = 3.0
REST_S: Final = 60.0
STEADY_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Soak:
    """`seconds` follow the warm-up. Without `url` a server is started; without `corpus` the evaluation kit speaks."""

    streams: int
    seconds: float
    most_percent: float = 2.0
    url: str = ""
    corpus: str = ""


@dataclass(frozen=True, slots=True)
class SoakResult:
    machine: Machine
    soak: Soak
    model: str
    visits: dict[str, int]
    refused: int
    faults: dict[str, int]
    growth: Growth
    excess: list[str]
    cpu_share: float  # of one core, by the server, under load
    samples: list[Sample]

    @property
    def sound(self) -> bool:
        return not (self.excess or self.faults)


def run_soak(soak: Soak, settings: Settings, tell: Callable[[str], None]) -> SoakResult:
    """Do it. Raises NotFound, BadInput, Unavailable for a server that is not there, TimedOut for one without rest."""
    machine = this_machine()
    spoken = (
        clips.from_corpus(soak.corpus, settings.corpora)
        if soak.corpus
        else clips.from_kit(load_bundle(find_bundle(settings.model, settings.data)))
    )
    material = Material.of(spoken, min(LONGEST_S, LONGEST * soak.seconds))
    with _server(soak, settings) as address:
        visitors = Visitors(address, material, soak.streams)
        samples, rest = asyncio.run(_soak(soak, visitors, material, address, tell))
        model = model_of(address)
    growth = Growth.of(samples, rest)
    return SoakResult(
        machine=machine,
        soak=soak,
        model=model,
        visits=dict(visitors.tally.visits),
        refused=visitors.tally.refused,
        faults=dict(visitors.tally.faults),
        growth=growth,
        excess=growth.excess(soak.most_percent),
        cpu_share=round((rest[1].cpu_s - rest[0].cpu_s) / soak.seconds, 3),
        samples=samples,
    )


@contextmanager
def _server(soak: Soak, settings: Settings) -> Iterator[str]:
    """The address given, or that of a server of our own. Streams that broke off keep their places for a while, so it
    has twice as many, and lets them go soon.
    """
    if soak.url:
        yield soak.url.rstrip("/")
        return
    arguments = model_argument(settings)
    arguments += ["--max-streams", str(2 * soak.streams), "--resume-s", str(RESUME_S)]
    with own_server(arguments, None) as address:
        yield address


async def _soak(
    soak: Soak, visitors: Visitors, material: Material, address: str, tell: Callable[[str], None]
) -> tuple[list[Sample], tuple[Usage, Usage]]:
    warm_up_s = min(WARM_UP_S, WARM_UP * soak.seconds)
    tell(f"warming up for {warm_up_s:.0f} s …")
    await _burst(address, wav(material.longs[0].data))
    await visitors.come(warm_up_s)
    before = await at_rest(address)
    visitors.tally.visits.clear()
    tell(f"{soak.streams} clients at once for {soak.seconds:.0f} s at {address} …")
    samples: list[Sample] = []
    watching = asyncio.create_task(_watch(address, samples, max(EVERY_S, soak.seconds / SAMPLES), tell))
    try:
        await visitors.come(soak.seconds)
    finally:
        watching.cancel()
        await asyncio.wait({watching})
    return samples, (before, await at_rest(address, before))


async def _burst(address: str, recording: bytes) -> None:
    async def once(as_form: bool) -> None:
        with suppress(Busy):
            await upload(address, recording, as_form=as_form)

    await asyncio.gather(*(once(number % 2 == 0) for number in range(BURST)))


async def _watch(address: str, samples: list[Sample], every_s: float, tell: Callable[[str], None]) -> None:
    """Sample until cancelled; a line of every tenth."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    while True:
        seen = await asyncio.to_thread(usage, address)
        samples.append(Sample(round(loop.time() - began, 1), seen))
        if len(samples) % 10 == 1:
            tell(f"{samples[-1].at_s:7.0f} s  {_describe(seen)}")
        await asyncio.sleep(every_s)


async def at_rest(address: str, like: Usage | None = None) -> Usage:
    """What the server holds once no stream is open and nothing changes any more; given `like`, as soon as it holds no
    more than that. Raises TimedOut while streams stay open.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + REST_S
    seen, last = await asyncio.to_thread(usage, address), None
    while loop.time() < deadline:
        if seen.streams == 0 and (_held(seen) == _held(last) if like is None else _no_more(seen, like)):
            return seen
        await asyncio.sleep(STEADY_S)
        seen, last = await asyncio.to_thread(usage, address), seen
    if seen.streams:
        raise TimedOut(f"{seen.streams} streams are still open {REST_S:g} s after the last client left")
    return seen


def _held(seen: Usage | None) -> tuple[int, int, int] | None:
    return None if seen is None else (seen.threads, seen.descriptors, seen.tasks)


def _no_more(seen: Usage, like: Usage) -> bool:
    return seen.threads <= like.threads and seen.descriptors <= like.descriptors and seen.tasks <= like.tasks


def _describe(seen: Usage) -> str:
    held = f"{seen.streams} streams, {seen.threads} threads, {seen.descriptors} descriptors, {seen.tasks} tasks"
    return f"{seen.memory / 1e6:.1f} MB, {held}"
