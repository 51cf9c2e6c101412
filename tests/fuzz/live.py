"""A real server in a process of its own: what breaks it does not break the tests, and its memory is its own."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator

PATIENT: Final = ("--max-load", "1000", "--max-lag-ms", "600000")  # a busy machine must not refuse the witness
START_S: Final = 60.0
STOP_S: Final = 60.0


@dataclass(frozen=True)
class Live:
    process: subprocess.Popen[str]
    url: str
    log: list[str]

    @property
    def port(self) -> int:
        port = urlsplit(self.url).port
        assert port is not None
        return port

    @property
    def memory_mb(self) -> float:
        """Resident memory, where the system tells it."""
        status = Path(f"/proc/{self.process.pid}/status")
        found = re.search(r"VmRSS:\s+(\d+) kB", status.read_text()) if status.exists() else None
        return int(found[1]) / 1024 if found else 0.0

    def faults(self) -> list[str]:
        """What the server logged as faults of its own."""
        return [line for line in self.log if "internal_error" in line or "Traceback" in line or " error " in line]


@contextmanager
def live_server(data: Path, *words: str) -> Iterator[Live]:
    """`earloop serve` with the shipped model on a free port; at the end it must stop when told to, in good order."""
    command = [sys.executable, "-m", "stt_server.cli", "serve", "--port", "0", "--data", str(data), *PATIENT, *words]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    log: list[str] = []
    reading = threading.Thread(target=lambda: log.extend(process.stderr or ()), daemon=True)
    reading.start()
    try:
        yield Live(process, _url_of(process), log)
        assert process.poll() is None, "the server is gone"
        process.send_signal(signal.SIGTERM)
        assert process.wait(STOP_S) == 0
    finally:
        process.kill()
        process.wait(STOP_S)
        reading.join(STOP_S)
        for stream in (process.stdout, process.stderr):
            if stream:
                stream.close()


def _url_of(process: subprocess.Popen[str]) -> str:
    """What it prints when it listens; a server that never does is killed, which ends the reading."""
    timer = threading.Timer(START_S, process.kill)
    timer.start()
    try:
        assert process.stdout
        found = re.search(r"http://\S+", process.stdout.readline())
    finally:
        timer.cancel()
    assert found, "the server did not start"
    return found[0]
