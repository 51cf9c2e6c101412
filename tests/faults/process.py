"""A server as a process of its own: `earloop serve`, or the same with the tests' toy recognizer and a fault in it."""

import asyncio
import os
import re
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
from websockets.asyncio.client import connect

START_S = 60.0
STOP_S = 30.0
REAL = ("stt_server.cli", "serve")
TOY = ("tests.faults.toy_server", "serve")
ROOT = Path(__file__).parents[2]
PATIENT = ("--max-load", "1000", "--max-lag-ms", "600000")  # a busy machine must not refuse a test's streams


@dataclass(frozen=True)
class Remote:
    """A server that runs elsewhere."""

    process: Process
    url: str

    def socket(self, path: str = "/v1/stream", **more) -> connect:
        patient = {"compression": None, "open_timeout": START_S, "close_timeout": 1}
        return connect(self.url.replace("http", "ws") + path, **(patient | more))

    async def metric(self, name: str) -> float:
        """A sample of `/metrics` by its whole name; 0 where there is none."""
        async with aiohttp.ClientSession() as http, http.get(f"{self.url}/metrics") as answer:
            lines = (await answer.text()).splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))

    async def memory_mb(self) -> float:
        return await self.metric("process_resident_memory_bytes") / 1e6


@asynccontextmanager
async def process(
    *words: str,
    module: tuple[str, ...] = REAL,
    before: Callable[[], None] | None = None,
    env: dict[str, str] | None = None,
) -> AsyncIterator[Remote]:
    """A server with these arguments on a free port, killed at the end if it still runs. `before` runs in the child.

    It is patient, unless the arguments say otherwise.
    """
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", *module, "--port", "0", *PATIENT, *words),
        stdout=PIPE,
        cwd=ROOT,
        env={**os.environ, **(env or {})},
        preexec_fn=before,
    )
    assert child.stdout
    try:
        line = await asyncio.wait_for(child.stdout.readline(), START_S)
        found = re.search(rb"http://\S+", line)
        assert found, line
        yield Remote(child, found[0].decode())
    finally:
        if child.returncode is None:
            child.kill()
        await asyncio.wait_for(child.communicate(), STOP_S)
