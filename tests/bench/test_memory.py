"""Nothing grows: the short twins of `earloop bench soak --streams 20 --minutes 60`, and what it calls growth."""

import asyncio
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from websockets.asyncio.server import serve

from stt_server.commands.bench import foreign
from stt_server.commands.bench.footprint import kinds, measure_footprint
from stt_server.commands.bench.growth import Growth, Sample
from stt_server.commands.bench.server import Usage
from stt_server.commands.bench.soak import Soak, run_soak
from stt_server.commands.bench.visits import KINDS
from stt_server.errors import Busy, Unavailable
from stt_server.settings import load_settings

REST = Usage(cpu_s=1.0, memory=200e6, streams=0, descriptors=20, threads=10, tasks=4)


def soak(streams: int, seconds: float, most_percent: float):
    """Over real sockets, against a process of its own with the shipped model."""
    result = run_soak(Soak(streams, seconds, most_percent), load_settings(), print)
    assert result.excess == []
    assert result.faults == {}
    return result


@pytest.mark.slow
def test_a_short_soak_keeps_no_thread_descriptor_or_task_and_little_memory():
    """Memory has hardly warmed up by then, so that the bound is wide: it finds what leaks at every visit."""
    result = soak(streams=6, seconds=12, most_percent=10)
    assert len(result.samples) > 10
    assert sum(result.visits.values()) > 12


@pytest.mark.nightly
@pytest.mark.timeout(1500)
def test_ten_minutes_of_all_kinds_of_clients_grow_nothing():
    result = soak(streams=20, seconds=600, most_percent=2)
    assert set(result.visits) == set(KINDS)


BATCHES_OF_ANY_SIZE = """
import os, random
from pathlib import Path

from stt_server.speech.bundle import shipped
from stt_server.speech.recognizer import Recognizer


def resident_mb():
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


recognizer = Recognizer.load(shipped())
recognizer.warm(64)
recognizer.warm(1)
before = resident_mb()
for _ in range(300):
    recognizer.warm(random.randint(1, 64))
print(resident_mb() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/statm").is_file(), reason="resident memory is told in /proc")
def test_a_model_that_is_warm_takes_no_more_for_batches_of_any_size():
    """2 to 7 MB measured; 52 MB as onnxruntime does by itself."""
    command = [sys.executable, "-c", BATCHES_OF_ANY_SIZE]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert float(done.stdout) < 20


@pytest.mark.slow
def test_guests_are_weighed_against_a_server_without_them():
    wanted = [kind for kind in kinds((5,)) if kind.name in ("live stream", "stream faster than the server")]
    told: list[str] = []
    footprint = measure_footprint(load_settings(), wanted, told.append, hold_s=3)
    live, fast = footprint.held
    assert told == ["5 × live stream …", "20 × stream faster than the server …"]
    assert (live.count, fast.count) == (5, 20)
    assert 100 < live.before_mb <= live.most_mb < 400
    assert 20 < fast.each_kb < 5000


def under_load(*megabytes: float) -> list[Sample]:
    return [Sample(at, replace(REST, memory=each * 1e6)) for at, each in enumerate(megabytes)]


def test_memory_grows_by_the_medians_of_the_first_and_the_last_window():
    samples = under_load(*[200, 500, 201] + [300] * 14 + [202, 100, 203])
    growth = Growth.of(samples, (REST, REST))
    assert (growth.first_mb, growth.last_mb, growth.peak_mb, growth.percent) == (201, 202, 500, 0.5)
    assert growth.excess(2) == []
    assert growth.excess(0.5) == ["memory grew by 0.5 %, 201 to 202 MB"]


@pytest.mark.parametrize("what", ["threads", "descriptors", "tasks"])
def test_one_thread_descriptor_or_task_that_is_left_over_is_growth(what):
    before = getattr(REST, what)
    growth = Growth.of(under_load(200), (REST, replace(REST, **{what: before + 1})))
    assert growth.excess(2) == [f"{what} grew from {before} to {before + 1}"]
    assert Growth.of(under_load(200), (REST, replace(REST, **{what: before - 1}))).excess(2) == []


@pytest.mark.parametrize(("code", "kind"), [(1013, Busy), (1011, Unavailable)])
async def test_a_soak_tells_a_full_server_from_one_that_fails(code, kind):
    async def refuse(socket):
        await socket.close(code)

    async def nothing():
        for _ in ():
            yield b""

    async with serve(refuse, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(kind):
            await asyncio.wait_for(foreign.speak_vosk(f"http://127.0.0.1:{port}", nothing()), 10)
