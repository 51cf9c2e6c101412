"""The environments in which real assistants run: packages of theirs by pip, our plugins beside, nothing of Earloop."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.web.conftest import Server

PROGRAMS = Path(__file__).parent / "programs"
PLUGINS = Path(__file__).parents[2] / "plugins"
PROGRAM_S = 400
INDEX_S = 240.0  # for pip to bring packages, their versions being resolved already
OF_THE_INDEX = re.compile(  # what pip says where not it, nor what is asked of it, but the network is to blame
    r"onnection broken|onnection(Reset|Refused|Aborted)?Error|Read ?time|ConnectTimeout|IncompleteRead|ProtocolError"
    r"|ProxyError|SSLError|name resolution|is unreachable|\(from versions: none\)"
    r"|HTTP error (429|5\d\d)|\b(429 Client|5\d\d Server) Error"
)


def pip(*arguments: str | Path, python: str | Path = sys.executable, within_s: float = INDEX_S) -> None:
    """Skips the test, and says why, where the package index is not there or slow: no fault of what is tested.

    Fails with what pip said where it is there and what is asked of it is wrong.
    """
    patience = ("--retries", "2", "--timeout", "20")  # of one question to the index
    command = [python, "-m", "pip", "--quiet", "--disable-pip-version-check", *patience, *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=within_s, check=False)
    except subprocess.TimeoutExpired:
        pytest.skip(f"needs packages, which the package index did not bring within {within_s:g} s")
    if done.returncode and (trouble := OF_THE_INDEX.search(done.stderr)):
        line = next(line for line in done.stderr.splitlines() if trouble[0] in line)
        pytest.skip(f"needs packages, and there is no package index that answers: {line[:300]}")
    assert done.returncode == 0, done.stderr[-2000:]


def packages(cache: pytest.Cache, pinned: Path, within_s: float = INDEX_S) -> Path:
    """A folder with these packages, as pinned; pytest caches it. Their versions are resolved already: seconds."""
    digest = hashlib.sha256(pinned.read_bytes()).hexdigest()[:12]
    name = f"{pinned.stem}-{sys.implementation.cache_tag}-{digest}"
    kept = cache.mkdir("assistants")
    if not (kept / name).is_dir():
        with tempfile.TemporaryDirectory(dir=kept) as part:
            target = ("--target", f"{part}/packages", "--requirement", pinned)
            pip("install", "--no-deps", "--no-compile", *target, within_s=within_s)
            with suppress(OSError):  # not empty: another run of the tests was faster
                Path(part, "packages").replace(kept / name)
    return kept / name


def plugin_installed(name: str, into: Path) -> Path:
    """A plugin as pip installs it, from a copy, since building writes into the tree."""
    copy = into / "source"
    shutil.copytree(PLUGINS / name, copy)
    pip("install", "--no-deps", "--no-compile", "--target", into / "plugin", copy)
    return into / "plugin"


def environment(home: Path, *path: Path) -> dict[str, str]:
    """A home of its own, so that nobody's configuration is read or written."""
    kept = {name: value for name, value in os.environ.items() if name in {"PATH", "LANG", "TMPDIR"}}
    folders = {f"XDG_{each}_HOME": str(home / each.lower()) for each in ("CONFIG", "DATA", "STATE", "CACHE")}
    return {**kept, **folders, "HOME": str(home), "PYTHONPATH": os.pathsep.join(map(str, path))}


async def outcome(python: list[str], program: str, server: Server, wav: bytes, home: Path, *path: Path) -> Any:
    """What a program of `programs/` found out about this server with this recording."""
    clip, out = home / "clip.wav", home / "out.json"
    clip.write_bytes(wav)
    process = await asyncio.create_subprocess_exec(
        *python,
        str(PROGRAMS / program),
        server.url,
        str(clip),
        str(out),
        env=environment(home, *path),
        cwd=home,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(PROGRAM_S):
            said, _ = await process.communicate()
    finally:
        with suppress(ProcessLookupError):
            process.kill()
    assert process.returncode == 0, said.decode(errors="replace")[-4000:]
    return json.loads(out.read_text(encoding="utf-8"))
