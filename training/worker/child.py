"""A stage as a child process: what it writes goes into a file, what is wanted of the job reaches it in seconds."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Final

from stt_server.jobs.retrying import failure_of
from training.worker.wishes import Left, Wish

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from stt_server.errors import EarloopError
    from training.worker.heart import Heart

LOOK_S: Final = 0.25
GRACE_S: Final = 20.0  # a training that is to stop ends its step and writes a checkpoint meanwhile
KILL_S: Final = 10.0
TAIL_BYTES: Final = 8192
OUTPUT: Final = "output.txt"
LOCK: Final = "lock"
EARLOOP: Final = (sys.executable, "-u", "-m", "stt_server.cli")


def run_child(words: Sequence[str], folder: Path, heart: Heart, look: Callable[[], None]) -> int:
    """`earloop WORDS…`, at work in a job's folder; its exit code. `look` is called a few times a second.

    Raises Left where the job is not to go on: the child and all that it began have ended then.
    """
    leash = [sys.executable, "-m", "training.worker.leash", str(os.getpid()), str(folder / LOCK)]
    with (folder / OUTPUT).open("ab") as output:
        child = subprocess.Popen(
            [*leash, *EARLOOP, *words], stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
        )
        try:
            return _wait(child, heart, look)
        finally:
            _kill(child)


def why_it_failed(code: int, folder: Path) -> EarloopError:
    """What a child's exit code and its last sentence say."""
    return failure_of(code, _last_sentence(folder / OUTPUT))


def _wait(child: subprocess.Popen[bytes], heart: Heart, look: Callable[[], None]) -> int:
    while True:
        try:
            code = child.wait(LOOK_S)
        except subprocess.TimeoutExpired:
            look()
        else:
            look()
            return code
        if (wish := heart.wish) is not None:
            if wish is Wish.STOP:
                _ask_to_stop(child)
            raise Left(wish)


def _ask_to_stop(child: subprocess.Popen[bytes]) -> None:
    """Give it time for a checkpoint; it would go on to export what it has learned, so it is ended after that."""
    child.send_signal(signal.SIGTERM)
    try:
        child.wait(GRACE_S)
    except subprocess.TimeoutExpired:
        return


def _kill(child: subprocess.Popen[bytes]) -> None:
    """The child and whatever it began; what has ended is let be."""
    if child.poll() is None:
        os.killpg(child.pid, signal.SIGKILL)
        child.wait(KILL_S)


def _last_sentence(path: Path) -> str:
    """The last line that says something: `earloop: …` without that, or the end of a traceback."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - TAIL_BYTES))
        lines = [line.strip() for line in file.read().decode(errors="replace").splitlines() if line.strip()]
    ours = [line.removeprefix("earloop: ") for line in lines if line.startswith("earloop: ")]
    return (ours or lines or ["it said nothing"])[-1]
