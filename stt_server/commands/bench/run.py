"""A load test from its options to its result: speak to a server, then let the recogniser hear the same alone."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stt_server.commands.bench import clips, report
from stt_server.commands.bench.bare import run_bare
from stt_server.commands.bench.load import converse_all
from stt_server.commands.bench.machine import Machine, this_machine
from stt_server.commands.bench.script import write_scripts
from stt_server.commands.bench.server import Cores, model_argument, model_of, own_server, pin, usage
from stt_server.errors import NotFound
from stt_server.messages import Endpointing, Open
from stt_server.services import recognizer_settings
from stt_server.speech.bundle import find_bundle, load_bundle
from stt_server.speech.recognizer import Recognizer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from stt_server.commands.bench.bare import BareRun
    from stt_server.commands.bench.load import Conversation
    from stt_server.commands.bench.report import Figures
    from stt_server.commands.bench.script import Script, Speech
    from stt_server.commands.bench.server import Usage
    from stt_server.settings import Settings


@dataclass(frozen=True, slots=True)
class Load:
    """What to do to which server. Without `url` one is started; without `corpus` the evaluation kit is spoken."""

    streams: int
    seconds: float
    frame_ms: int
    silence_ms: int
    url: str = ""
    corpus: str = ""

    @property
    def options(self) -> Open:
        return Open("native", endpointing=Endpointing(silence_ms=self.silence_ms))


@dataclass(frozen=True, slots=True)
class Inputs:
    model: str
    clips: int
    seconds: float  # of the longest stream
    cores: Cores


@dataclass(frozen=True, slots=True)
class ServerCost:
    """Of the server's process during the run; `cpu_share` is the part of one core."""

    cpu_s: float
    cpu_share: float
    memory_mb: float
    idle_memory_mb: float


@dataclass(frozen=True, slots=True)
class Alone:
    """The recogniser on the same audio, without a server. `cpu_ratio` is the server's CPU over its own, where no stream
    failed.
    """

    cpu_s: float
    cpu_ms_per_audio_s: float
    cpu_ratio: float | None
    word_error_rate: float


@dataclass(frozen=True, slots=True)
class Result:
    machine: Machine
    load: Load
    inputs: Inputs
    figures: Figures
    server: ServerCost
    alone: Alone | None


def run(load: Load, settings: Settings, tell: Callable[[str], None], key: str | None = None) -> Result:
    """Do it. `key` is for a server that asks for one: the scopes `stream` and `monitor` are needed.

    Raises NotFound, BadInput, Unavailable for a server that is not there, Unauthorized and Forbidden.
    """
    machine = this_machine()
    cores = Cores(None, None) if load.url else Cores.of_this_machine()
    speech = _speech(load, settings)
    scripts = write_scripts(speech, load.streams, load.seconds, load.silence_ms)
    seconds = max(script.seconds for script in scripts)
    with _server(load, settings, cores) as address:
        pin(cores.client)
        served, before = model_of(address), usage(address, key)
        tell(f"{load.streams} streams for {seconds:.0f} s at {address} …")
        conversations = asyncio.run(converse_all(address, scripts, load.options, load.frame_ms, key))
        after = usage(address, key)
    pin(cores.server)
    tell("the same audio without a server …")
    cost, pieces = _run_alone(load, settings, served, scripts)
    figures = report.measure(conversations, pieces, load.silence_ms)
    server = _server_cost(before, after, seconds)
    alone = _alone(cost, pieces, conversations, None if figures.failed else server.cpu_s) if cost and pieces else None
    return Result(machine, load, Inputs(served, len(speech), round(seconds, 1), cores), figures, server, alone)


def _server_cost(before: Usage, after: Usage, seconds: float) -> ServerCost:
    cpu_s = after.cpu_s - before.cpu_s
    memory_mb, idle_mb = round(after.memory / 1e6, 1), round(before.memory / 1e6, 1)
    return ServerCost(round(cpu_s, 2), round(cpu_s / seconds, 3), memory_mb, idle_mb)


def _alone(cost: BareRun, pieces: BareRun, conversations: list[Conversation], server_s: float | None) -> Alone:
    audio_s = sum(each.script.seconds for each in conversations)
    ratio = None if server_s is None else round(server_s / cost.cpu_s, 2)
    errors = report.word_error_rate_alone(conversations, pieces)
    return Alone(round(cost.cpu_s, 2), round(1000 * cost.cpu_s / audio_s, 2), ratio, errors)


def _speech(load: Load, settings: Settings) -> list[Speech]:
    if load.corpus:
        return clips.from_corpus(load.corpus, settings.corpora)
    return clips.from_kit(load_bundle(find_bundle(settings.model, settings.data)))


@contextmanager
def _server(load: Load, settings: Settings, cores: Cores) -> Iterator[str]:
    """The address given, or that of a server that takes these streams."""
    if load.url:
        yield load.url.rstrip("/")
        return
    arguments = model_argument(settings)
    with own_server([*arguments, "--max-streams", str(load.streams)], cores.server) as address:
        yield address


def _run_alone(
    load: Load, settings: Settings, served: str, scripts: list[Script]
) -> tuple[BareRun | None, BareRun | None]:
    """What the audio costs in the cheapest pieces, and when each event is known in the pieces that were sent.

    Nothing of either when the server runs a model that is not here.
    """
    try:
        folder = find_bundle(settings.model, settings.data)
        recognizer = Recognizer.load(folder, threads=settings.threads, settings=recognizer_settings(settings))
    except NotFound:
        return None, None
    if recognizer.name != served:
        return None, None
    return run_bare(recognizer, scripts, load.options), run_bare(recognizer, scripts, load.options, load.frame_ms)
