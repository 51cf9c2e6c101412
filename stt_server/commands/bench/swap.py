"""What a swap of models costs those who speak meanwhile.

    server ─ streams in real time, calm ─ swap, swap, … under the same streams ─ rest

Two models of the same words take turns: the bundle given, and a copy of it under another version, so that every word
can be held against what the recogniser hears alone. A stream lasts `SESSION_S`, then its client opens another: so there
are always some that were opened before a swap, some that speak through it and some that come behind it.

The promotions are those of `earloop models promote`, in the server's database; the clock of a swap stops when `/readyz`
names the new version. The server shares its core with the loading. What it may refuse under load is switched off, for
the question is what happens to the streams, not how many there may be.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import tempfile
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from stt_server.catalog.importing import import_bundle, register_shipped
from stt_server.catalog.promotion import promote
from stt_server.client import Pong, Reconnected, connect
from stt_server.commands.bench import clips
from stt_server.commands.bench.bare import run_bare
from stt_server.commands.bench.load import Conversation, spoken
from stt_server.commands.bench.machine import Machine, this_machine
from stt_server.commands.bench.report import Percentiles, timed_chunks
from stt_server.commands.bench.script import write_scripts
from stt_server.commands.bench.server import Cores, own_server, pin, ready_of, usage
from stt_server.commands.bench.soak import at_rest
from stt_server.errors import EarloopError, TimedOut
from stt_server.messages import Endpointing, Open
from stt_server.messages import Final as Utterance
from stt_server.services import load_recognizer
from stt_server.speech.bundle import MANIFEST, find_bundle, load_bundle, read_manifest
from stt_server.store import audit
from stt_server.store.database import open_database
from stt_server.store.objects import open_objects

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from stt_server.commands.bench.bare import BareRun
    from stt_server.commands.bench.script import Script
    from stt_server.settings import Settings
    from stt_server.store.database import Database

FRAME_MS: Final = 40
SILENCE_MS: Final = 600
SESSION_S: Final = 8.0
SCRIPTS: Final = 8  # that all streams share, so that few have to be heard alone
LOOK_S: Final = 0.05
FOLLOW_S: Final = 120.0  # a server that has not followed by then has failed
FREED_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Swaps:
    """What to do. `calm_s` of streams without a swap come first, `pause_s` lie between two swaps."""

    streams: int
    count: int
    calm_s: float
    pause_s: float
    corpus: str = ""


@dataclass(frozen=True, slots=True)
class SwapResult:
    """Latencies before the first swap and while one went on. `late` streams were opened on the model of before, though
    the server had named the new one; `other_words` are finals that differ from what the recogniser hears alone.
    """

    machine: Machine
    swaps: Swaps
    model: str
    sessions: int
    failed: int
    faults: list[str]
    finals: int
    lost_finals: int
    other_words: int
    late: int
    follow_ms: Percentiles
    chunk_before_ms: Percentiles
    chunk_during_ms: Percentiles
    chunk_between_ms: Percentiles
    memory_before_mb: float
    memory_after_mb: float
    retired: int  # models that were not freed

    @property
    def sound(self) -> bool:
        return not (self.failed or self.lost_finals or self.other_words or self.late or self.retired)


@dataclass(slots=True)
class Visit:
    """One stream: which script, when it was asked for and opened, which version it was told, what was said."""

    number: int
    conversation: Conversation
    asked: float
    opened: float = 0.0
    version: str = ""


@dataclass(slots=True)
class Course:
    """What happened when, by the event loop's clock."""

    visits: list[Visit] = field(default_factory=list)
    swaps: list[tuple[float, float, str]] = field(default_factory=list)  # from, until, to which version
    memory: tuple[float, float] = (0.0, 0.0)
    retired: int = 0


def run_swaps(swaps: Swaps, settings: Settings, tell: Callable[[str], None]) -> SwapResult:
    """Do it. Raises NotFound, BadInput, TimedOut for a server that does not follow."""
    machine, cores = this_machine(), Cores.of_this_machine()
    bundle = find_bundle(settings.model, settings.data)
    speech = clips.from_corpus(swaps.corpus, settings.corpora) if swaps.corpus else clips.from_kit(load_bundle(bundle))
    scripts = write_scripts(speech, SCRIPTS, SESSION_S, SILENCE_MS)
    with tempfile.TemporaryDirectory(prefix="earloop-swap-") as folder:
        course = _on_a_server(swaps, bundle, Path(folder), scripts, cores, tell)
    pin(cores.server)
    tell("the same audio without a server …")
    alone = run_bare(load_recognizer(settings, bundle), scripts, _options(), FRAME_MS)
    return _result(swaps, machine, course, alone)


def _on_a_server(
    swaps: Swaps, bundle: Path, data: Path, scripts: list[Script], cores: Cores, tell: Callable[[str], None]
) -> Course:
    arguments = ["--data", str(data), "--model", str(bundle), "--max-streams", str(2 * swaps.streams)]
    arguments += ["--max-load", "1000", "--max-lag-ms", "600000"]
    with closing(open_database(data)) as database:
        ids = _two_models(database, bundle, data)
        with own_server(arguments, cores.server) as address:
            pin(cores.client)
            return asyncio.run(_course(swaps, address, scripts, database, ids, tell))


def _two_models(database: Database, bundle: Path, data: Path) -> dict[str, str]:
    """Ids by version: the bundle in its place, and a copy with another version in the object store."""
    folder = load_bundle(bundle).folder
    own = register_shipped(database, folder, str(bundle.resolve()), audit.SERVER)
    copy = data / "copy"
    shutil.copytree(folder, copy)
    manifest = json.loads((copy / MANIFEST).read_text(encoding="utf-8"))
    manifest["version"] = f"{read_manifest(folder).version}+swap"
    (copy / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")
    other = import_bundle(database, open_objects(data, ""), copy, name=None, actor=audit.COMMAND)
    return {other.title: other.id, own.title: own.id}


async def _course(
    swaps: Swaps,
    address: str,
    scripts: list[Script],
    database: Database,
    ids: dict[str, str],
    tell: Callable[[str], None],
) -> Course:
    """Calm, swaps, rest. A warm-up of one round of streams comes before memory is looked at."""
    course, leave = Course(), asyncio.Event()
    leave.set()  # after one stream each
    await _speak_all(swaps.streams, address, scripts, Course(), leave)
    before = await at_rest(address)
    leave.clear()
    speaking = asyncio.create_task(_speak_all(swaps.streams, address, scripts, course, leave))
    try:
        tell(f"{swaps.streams} streams at {address}, calm for {swaps.calm_s:g} s …")
        await asyncio.sleep(swaps.calm_s)
        for number in range(swaps.count):
            version = list(ids)[number % len(ids)]
            course.swaps.append(await _swap(address, database, version, ids[version]))
            tell(f"swap {number + 1} to {version}: {course.swaps[-1][1] - course.swaps[-1][0]:.2f} s")
            await asyncio.sleep(swaps.pause_s)
    finally:
        leave.set()
        await speaking
    course.retired = await _freed(address)
    after = await at_rest(address, before)
    course.memory = before.memory / 1e6, after.memory / 1e6
    return course


async def _swap(address: str, database: Database, version: str, model_id: str) -> tuple[float, float, str]:
    loop = asyncio.get_running_loop()
    began = loop.time()
    await asyncio.to_thread(promote, database, model_id, actor=audit.COMMAND, reason="bench swap")
    while (await asyncio.to_thread(ready_of, address))["version"] != version:
        if loop.time() - began > FOLLOW_S:
            raise TimedOut(f"The server did not follow within {FOLLOW_S:g} s; its log says why.")
        await asyncio.sleep(LOOK_S)
    return began, loop.time(), version


async def _freed(address: str) -> int:
    """How many models are still held once no stream is open, for as long as `FREED_S`."""
    loop = asyncio.get_running_loop()
    deadline, held = loop.time() + FREED_S, 1
    while held and loop.time() < deadline:
        await asyncio.sleep(LOOK_S)
        held = (await asyncio.to_thread(usage, address)).retired
    return held


async def _speak_all(
    streams: int, address: str, scripts: Sequence[Script], course: Course, leave: asyncio.Event
) -> None:
    async with asyncio.TaskGroup() as tasks:
        for stream in range(streams):
            tasks.create_task(_speak(stream, SESSION_S * stream / streams, address, scripts, course, leave))


async def _speak(
    stream: int, delay_s: float, address: str, scripts: Sequence[Script], course: Course, leave: asyncio.Event
) -> None:
    """One client: a stream after the other, until it is to leave."""
    loop = asyncio.get_running_loop()
    await asyncio.sleep(delay_s)
    number = stream
    while True:
        visit = Visit(number % len(scripts), Conversation(scripts[number % len(scripts)]), loop.time())
        course.visits.append(visit)
        try:
            async with await connect(address, _options()) as opened:
                visit.opened, visit.version = loop.time(), opened.ready.version
                async for event in opened.converse(spoken(visit.conversation, FRAME_MS, loop.time())):
                    if not isinstance(event, Pong | Reconnected):
                        visit.conversation.events.append((loop.time(), event))
        except EarloopError as error:
            visit.conversation.fault = error
        if leave.is_set():
            return
        number += 1


def _options() -> Open:
    return Open("native", endpointing=Endpointing(silence_ms=SILENCE_MS))


# ------------------------------------------------------------------------------------------------------------- figures


def _result(swaps: Swaps, machine: Machine, course: Course, alone: BareRun) -> SwapResult:
    chunks = [each for visit in course.visits for each in timed_chunks(visit.conversation, alone.heard[visit.number])]
    first = course.swaps[0][0]
    during = [latency for at, latency in chunks if _in_a_swap(course, at, latency)]
    between = [latency for at, latency in chunks if at >= first and not _in_a_swap(course, at, latency)]
    faults = [str(visit.conversation.fault) for visit in course.visits if visit.conversation.fault]
    whole = [visit for visit in course.visits if not visit.conversation.fault]
    finals = [_finals(visit.conversation) for visit in whole]
    wanted = [
        [each.event.text for each in alone.heard[visit.number] if isinstance(each.event, Utterance)] for visit in whole
    ]
    return SwapResult(
        machine=machine,
        swaps=swaps,
        model=course.swaps[-1][2],
        sessions=len(course.visits),
        failed=len(faults),
        faults=sorted(set(faults))[:10],
        finals=sum(map(len, finals)),
        lost_finals=sum(max(0, len(those) - len(these)) for these, those in zip(finals, wanted, strict=True)),
        other_words=sum(these != those for these, those in zip(finals, wanted, strict=True)),
        late=sum(_is_late(course, visit) for visit in course.visits),
        follow_ms=Percentiles.of(until - begin for begin, until, _ in course.swaps),
        chunk_before_ms=Percentiles.of(latency for at, latency in chunks if at < first),
        chunk_during_ms=Percentiles.of(during),
        chunk_between_ms=Percentiles.of(between),
        memory_before_mb=round(course.memory[0], 1),
        memory_after_mb=round(course.memory[1], 1),
        retired=course.retired,
    )


def _in_a_swap(course: Course, at: float, latency: float) -> bool:
    """Whether a swap went on at any moment between the frame's sending and its partial's arrival."""
    return any(begin <= at and at - latency <= until for begin, until, _ in course.swaps)


def _is_late(course: Course, visit: Visit) -> bool:
    """Whether a stream was opened between two swaps on another model than the one that was live."""
    ends = [begin for begin, _, _ in course.swaps[1:]] + [float("inf")]
    current = (
        version
        for (_, until, version), end in zip(course.swaps, ends, strict=True)
        if until < visit.asked and visit.opened < end
    )
    return visit.version not in ("", next(current, visit.version))


def _finals(conversation: Conversation) -> list[str]:
    return [event.text for _, event in conversation.events if isinstance(event, Utterance)]
