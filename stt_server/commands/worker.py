"""`earloop worker`: claims training jobs and does them, beside the server or on another machine.

SIGTERM or SIGINT   the job that is at hand is put back with a checkpoint, and another worker goes on with it
a second one        the process ends at once; its job goes to another worker when its lease has run out
"""

from __future__ import annotations

import signal
import threading
from importlib.util import find_spec
from typing import Annotated

import typer

from stt_server import logs
from stt_server.commands.train import EXTRA
from stt_server.errors import Unsupported
from stt_server.settings import load_settings

SIGNALS = (signal.SIGTERM, signal.SIGINT)


def worker(
    once: Annotated[bool, typer.Option("--once", help="end when no job is left")] = False,
    lease_s: Annotated[
        float, typer.Option(min=2, max=3600, help="seconds after which a worker that is not heard of has lost its job")
    ] = 60,
) -> None:
    """Do training jobs, one at a time. It needs the server's database, object store and, to go on from the checkpoint
    of a worker that died, its data folder: without a shared one such a job begins anew.
    """
    settings = load_settings()
    logs.configure(settings.log_level, as_json=settings.log_json)
    _check_installed()
    from training.worker.loop import work

    done = work(settings, _stopping(), once=once, lease_s=lease_s)
    if once:
        typer.echo(f"{done} jobs done")


def _check_installed() -> None:
    """Say what is missing now, not when a job has waited for it. The child processes need it; the worker does not.

    Raises Unsupported.
    """
    if missing := [name for name in EXTRA if find_spec(name) is None]:
        raise Unsupported(f"{missing[0]} is not installed; training needs it: pip install 'earloop[train]'")


def _stopping() -> threading.Event:
    """Set by the first signal; from then on signals have their default effect again, which is to end the process."""
    stopping = threading.Event()

    def first(*_: object) -> None:
        for each in SIGNALS:
            signal.signal(each, signal.SIG_DFL)
        stopping.set()

    for each in SIGNALS:
        signal.signal(each, first)
    return stopping
