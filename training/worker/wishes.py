"""Why a job is left before its end. Not errors: nothing went wrong."""

from __future__ import annotations

from enum import StrEnum


class Wish(StrEnum):
    """What somebody wants of a running job."""

    CANCEL = "cancel"  # end it
    LOST = "lost"  # it is another worker's by now: leave everything as it is
    RESTART = "restart"  # a clip of it was withdrawn: forget all that was made, and begin anew
    STOP = "stop"  # this worker is to end; another goes on


class Left(Exception):
    """Raised out of whatever a job was at."""

    def __init__(self, wish: Wish) -> None:
        super().__init__(wish.value)
        self.wish = wish
