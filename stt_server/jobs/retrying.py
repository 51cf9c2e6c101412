"""Which failures may pass by themselves, and how long is waited before the next try.

| kind | again? |
| --- | --- |
| Unavailable, Busy, TimedOut, LimitReached | yes: a store or disk that was away, a child that was killed |
| everything else | no: bad input stays bad, and our own fault does, too |
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from stt_server.errors import (
    BadBundle,
    BadInput,
    Busy,
    Conflict,
    EarloopError,
    Forbidden,
    Internal,
    LimitReached,
    NotFound,
    TimedOut,
    Unavailable,
)

if TYPE_CHECKING:
    from collections.abc import Callable

FIRST_S: Final = 30.0
GROWTH: Final = 4.0
LONGEST_S: Final = 3600.0
SPREAD: Final = 0.2  # so that what failed together does not come again together

_TRANSIENT: Final = (Unavailable, Busy, TimedOut, LimitReached)
# What a child process that ended with one of our exit codes is to be taken for.
_BY_CODE: Final[dict[int, Callable[[str], EarloopError]]] = {
    BadInput.exit_code: BadInput,
    NotFound.exit_code: NotFound,
    BadBundle.exit_code: BadBundle,
    Conflict.exit_code: Conflict,
    TimedOut.exit_code: TimedOut,
    Unavailable.exit_code: Unavailable,
    Forbidden.exit_code: Forbidden,
}


def may_pass(error: EarloopError) -> bool:
    """Whether the same may work later."""
    return isinstance(error, _TRANSIENT)


def wait_s(attempt: int, dice: float) -> float:
    """Seconds before the try behind attempt 1, 2, …; `dice` in [0, 1) spreads them by a fifth either way."""
    grown = min(LONGEST_S, FIRST_S * GROWTH ** (min(attempt, 20) - 1))
    return grown * (1 + SPREAD * (2 * dice - 1))


def failure_of(code: int, sentence: str) -> EarloopError:
    """A child process's end as an error of ours: by its exit code; a signal is a kill from outside, such as for memory.

    `code` is as `subprocess` tells it: negative where a signal ended the process.
    """
    if code < 0:
        return Unavailable(f"{sentence} (ended by signal {-code}; out of memory?)")
    return _BY_CODE.get(code, Internal)(sentence)
