"""`python -m training.worker.leash PARENT LOCK COMMAND…`: become COMMAND, alone in a run's folder and never an orphan.

A worker that is killed takes its child with it (Linux's parent-death signal, which survives `exec`), and the lock on a
file of the run's folder goes only with the last process that has it: two trainings never write into one folder,
whatever happened to the workers that began them.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import signal
import sys
import time
from typing import Final

WAIT_S: Final = 60.0  # for what a killed training has left running; processes that load its data end within seconds
LOOK_S: Final = 0.2
BUSY: Final = 7  # `errors.Busy.exit_code`, said here so that nothing but the standard library is imported
PR_SET_PDEATHSIG: Final = 1


def main(parent: str, lock: str, *command: str) -> None:
    """Does not come back."""
    _die_with(int(parent))
    if not _locked(lock):
        sys.exit(BUSY)
    os.execv(command[0], list(command))  # noqa: S606 - the point of it


def _die_with(parent: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it died before the call
        sys.exit(BUSY)


def _locked(path: str) -> bool:
    """Hold the lock until the process and all that inherit the file from it have ended."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    deadline = time.monotonic() + WAIT_S
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                sys.stderr.write("earloop: another training still works in this run's folder\n")
                return False
            time.sleep(LOOK_S)
        else:
            os.set_inheritable(handle, True)
            return True


if __name__ == "__main__":
    main(*sys.argv[1:])
