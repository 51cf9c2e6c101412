"""What the event loop sees of an engine's thread: looked at every `EVERY_S`, whether or not it has anything to say.

Two things come of it: the lag is sampled for the door (`Load`), and a thread that hangs, in a call of the model that
does not come back, is noticed. A hang is counted in looks and not by the clock: a process that was stopped and goes on,
or an event loop that was late, has looked once, however long it was away.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

EVERY_S: Final = 0.1


class Watch:
    """`turns` tells how many turns the thread has ended and whether it is in one; `look` is called at each look,
    `hung` once when a turn takes longer than `hang_timeout_s`. `hangs` until that turn ends after all.
    """

    def __init__(
        self,
        turns: Callable[[], tuple[int, bool]],
        hang_timeout_s: float,
        *,
        look: Callable[[], None],
        hung: Callable[[], None],
    ) -> None:
        self._turns = turns
        self._looks = max(1, round(hang_timeout_s / EVERY_S))
        self._on_look = look
        self._on_hung = hung
        self._seen = 0  # turns ended at the last look
        self._same = 0  # looks since then that found the thread in the same turn
        self._next: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Called on the event loop; looks until `stop`."""
        self._next = asyncio.get_running_loop().call_later(EVERY_S, self._look)

    def stop(self) -> None:
        if self._next is not None:
            self._next.cancel()
            self._next = None

    @property
    def hangs(self) -> bool:
        return self._same >= self._looks and self._turns() == (self._seen, True)

    def _look(self) -> None:
        self.start()
        ended, in_turn = self._turns()
        self._same = self._same + 1 if in_turn and ended == self._seen else 0
        self._seen = ended
        self._on_look()
        if self._same == self._looks:
            self._on_hung()
