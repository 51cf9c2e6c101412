"""The server under test: one of our own on a core of its own, or any other by its address; and what it has used."""

from __future__ import annotations

import contextlib
import json
import os
import re
import select
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from stt_server.errors import EarloopError, Forbidden, Internal, Unauthorized, Unavailable
from stt_server.speech.bundle import find_bundle

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stt_server.settings import Settings

START_S = 60.0
STOP_S = 20.0
ANSWER_S = 30.0  # under load, on a busy machine
REFUSALS: dict[int, type[EarloopError]] = {401: Unauthorized, 403: Forbidden}
STREAMS_OPEN = "earloop_streams_open{"


@dataclass(frozen=True, slots=True)
class Usage:
    """Of the server's process, by its own `/metrics`: CPU seconds since its start, resident memory in bytes, how many
    streams, descriptors, threads and tasks there are, and models that only old streams use.
    """

    cpu_s: float
    memory: float
    streams: int
    descriptors: int
    threads: int
    tasks: int
    retired: int = 0


@dataclass(frozen=True, slots=True)
class Cores:
    """One core for the server and another for its clients; the same, or none, where the machine gives no choice."""

    server: int | None
    client: int | None

    @classmethod
    def of_this_machine(cls) -> Cores:
        free = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
        return cls(free[0], free[-1]) if free else cls(None, None)


def pin(core: int | None) -> None:
    """Keep this process, and those it starts from now on, on one core."""
    if core is not None:
        os.sched_setaffinity(0, {core})


@contextmanager
def own_server(arguments: list[str], core: int | None) -> Iterator[str]:
    """The address of a server started with `arguments` on `core`; it is stopped at the end.

    It has a data folder of its own unless one is named: in the user's, its model might become the live one of servers
    that follow. Raises Unavailable when it does not get ready; why, it says itself on standard error.
    """
    command = [sys.executable, "-m", "stt_server.cli", "serve", "--port", "0", "--wyoming-port", "0"]
    command += ["--log-level", "warning"]
    pin(core)  # a child inherits it before its first thread starts
    with (
        tempfile.TemporaryDirectory(prefix="earloop-bench-") as data,
        subprocess.Popen([*command, "--data", data, *arguments], stdout=subprocess.PIPE, text=True) as process,
    ):
        try:
            yield _address_said(process)
        finally:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(STOP_S)
            process.kill()


def _address_said(process: subprocess.Popen[str]) -> str:
    """The address in the line a server prints when it listens."""
    assert process.stdout
    ready, _, _ = select.select([process.stdout], [], [], START_S)
    line = process.stdout.readline() if ready else ""
    address = re.search(r"http://\S+", line)
    if address is None:
        how = "did not start" if ready else f"was not ready within {START_S:g} s"
        raise Unavailable(f"The server under test {how}; it has said why, above.")
    return address[0]


def model_argument(settings: Settings) -> list[str]:
    """By which a server elsewhere runs the model that the settings name. Raises NotFound."""
    return ["--model", str(find_bundle(settings.model, settings.data).resolve())] if settings.model else []


def model_of(url: str) -> str:
    """The name of the model that a server runs."""
    name: str = ready_of(url)["model"]
    return name


def ready_of(url: str) -> dict[str, Any]:
    """What a server says of itself in `/readyz`."""
    said: dict[str, Any] = json.loads(_get(f"{url}/readyz"))
    return said


def usage(url: str, key: str | None = None) -> Usage:
    """What the server's process has used so far. Raises Unavailable, Internal where it does not tell, Unauthorized and
    Forbidden where it tells only a key that has the scope `monitor`.
    """
    values = dict(line.rsplit(" ", 1) for line in _get(f"{url}/metrics", key).splitlines() if not line.startswith("#"))
    try:
        return Usage(
            cpu_s=float(values["process_cpu_seconds_total"]),
            memory=float(values["process_resident_memory_bytes"]),
            streams=sum(int(float(count)) for name, count in values.items() if name.startswith(STREAMS_OPEN)),
            descriptors=int(float(values["process_open_fds"])),
            threads=int(float(values["earloop_threads"])),
            tasks=int(float(values["earloop_tasks"])),
            retired=int(float(values.get("earloop_models_retired", "0"))),
        )
    except KeyError as error:
        raise Internal(f"{url}/metrics has no {error}; CPU and memory are known on Linux only.") from error


def _get(url: str, key: str | None = None) -> str:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    request = urllib.request.Request(url, headers=headers)  # noqa: S310 - the address is the user's own
    try:
        with urllib.request.urlopen(request, timeout=ANSWER_S) as answer:  # noqa: S310 - the same
            body: bytes = answer.read()
    except urllib.error.HTTPError as refused:
        with refused:
            kind = REFUSALS.get(refused.code, Unavailable)
            raise kind(f"{url} answered HTTP {refused.code}; a key may be missing or have too few scopes.") from refused
    except (urllib.error.URLError, OSError) as error:
        raise Unavailable(f"{url} does not answer ({error}); is a server running there?") from error
    return body.decode()
