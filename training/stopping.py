"""Ctrl-C as a wish: what a run is at is finished, what was learned is kept."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@contextmanager
def interruptible(say: Callable[[str], None]) -> Iterator[Callable[[], bool]]:
    """Within, the first Ctrl-C or SIGTERM is a wish to stop, told by the yielded function; the second stops at once."""
    wish = _Wish(say)
    if threading.current_thread() is not threading.main_thread():  # only the main thread may handle signals
        yield wish
        return
    before = {number: signal.signal(number, wish.hear) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield wish
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _Wish:
    def __init__(self, say: Callable[[str], None]) -> None:
        self.say, self.wished, self.told = say, False, False

    def __call__(self) -> bool:
        if self.wished and not self.told:
            self.told = True
            self.say("stopping: what was learned is exported now; --resume goes on later, Ctrl-C again leaves at once")
        return self.wished

    def hear(self, _number: int, _frame: object) -> None:
        if self.wished:
            raise KeyboardInterrupt
        self.wished = True
