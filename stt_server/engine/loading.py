"""Models are loaded one at a time in a thread that gives way, beside the one that answers.

Loading reads and hashes the bundle, opens the graph, hears the golden clip and computes the largest batch once: half a
second of one core for the shipped model. The thread's niceness leaves the processor to the streams; not more of it, for
a thread that hardly runs may hold Python's lock for long, and the streams would wait for it.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import uuid
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

from stt_server.engine.heap import trim
from stt_server.errors import EarloopError, Internal, TimedOut
from stt_server.logs import EventLog
from stt_server.threads import pool

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from stt_server.engine.interface import Recognizer
    from stt_server.store.models import Model

T = TypeVar("T")

LOAD_S: Final = 120.0  # one model: a large bundle from a slow object store
TRIM_S: Final = 10.0
NICENESS: Final = 5  # beyond the process' own
NICEST: Final = 19

log = EventLog("hotswap")


class Load(Protocol):
    def __call__(self, model: Model, like: Sequence[Recognizer]) -> Recognizer:
        """The row's bundle, checked, warm and ready to hear; it may share what is the same with models `like` it.

        Blocking. Raises an EarloopError that says what is wrong with it.
        """
        ...


class Loader:
    def __init__(self, load: Load) -> None:
        self._load = load
        self._thread = pool(1, "earloop-loader")

    async def load(self, model: Model, like: Sequence[Recognizer] = ()) -> Recognizer:
        """Raises what `Load` does, TimedOut after `LOAD_S`, and Internal with an id for what no bundle should cause."""
        try:
            recognizer = await self._run(lambda: self._load(model, like), LOAD_S)
        except TimeoutError:
            raise TimedOut(f"it was not loaded within {LOAD_S:g} s") from None
        except EarloopError:
            raise
        except Exception as error:  # a worker: one of the four places that catch
            error_id = uuid.uuid4().hex[:8]
            log.exception("load_fault", model=model.ref, id=error_id)
            raise Internal(f"it cannot be loaded (error {error_id}); the log says why") from error
        log.info("model_loaded", model=model.ref, id=model.id)
        return recognizer

    def give_way(self) -> None:
        """From now on streams are heard beside. Not before: on a busy machine a server would take minutes to start."""
        self._thread.submit(_give_way)

    async def trim(self) -> None:
        """Give memory that was freed back to the system."""
        try:
            await self._run(trim, TRIM_S)
        except TimeoutError:
            log.warning("trim_late", seconds=TRIM_S)

    def close(self) -> None:
        """Load nothing more; what is being loaded ends by itself."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _run(self, work: Callable[[], T], within_s: float) -> T:
        call = asyncio.get_running_loop().run_in_executor(self._thread, work)
        return await asyncio.wait_for(asyncio.shield(call), within_s)


def _give_way() -> None:
    """Let every other thread go first. Only Linux counts niceness by the thread."""
    if sys.platform == "linux":
        thread = threading.get_native_id()
        niceness = os.getpriority(os.PRIO_PROCESS, thread) + NICENESS
        os.setpriority(os.PRIO_PROCESS, thread, min(niceness, NICEST))
