"""The one tree of error kinds.

    EarloopError
    ├── BadInput        the caller sent something we cannot accept        400
    │   ├── BadAudio        undecodable, truncated or contradictory audio 400
    │   ├── BadOption       an unknown or impossible option or setting    400
    │   └── TooLarge        a body, frame or file over its bound          413
    ├── Unauthorized    no key, or one that is not valid (any more)       401
    ├── Forbidden       a valid key that may not do this; a foreign page  403
    ├── LimitReached    a key has used up what it may; `retry_after_s`    429
    ├── Unsupported     understood, but not something this build can do   415
    ├── NotFound        a model, file or route that is not there          404
    ├── BadBundle       a model bundle that is damaged or inconsistent    422
    ├── Conflict        the thing exists already or is in the wrong state 409
    ├── TimedOut        the caller was silent or slow for too long        408
    │   └── Idle            a stream's client sent nothing for too long   408
    ├── Busy            full for now; `retry_after_s` says when to return 503
    ├── Unavailable     shutting down, or a part failed to start          503
    └── Internal        our own fault; the log has the traceback          500

Raise where the fault is known. Catch in four places only: the web error handler, the stream pump, the worker and the
batcher. Each protocol codec renders a kind in its own shape. The sentence names what is wrong and what to do about it.
"""

from __future__ import annotations

from typing import ClassVar


class EarloopError(Exception):
    """Base of every error Earloop raises on purpose. `str(error)` is one sentence fit to show to the caller."""

    code: ClassVar[str] = "error"
    http_status: ClassVar[int] = 500
    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, field: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.field = field

    @property
    def for_log(self) -> str:
        """The sentence, or "" where it may repeat what a caller sent: that is told to the caller alone."""
        return "" if isinstance(self, BadInput | NotFound | Unsupported) else self.message


class BadInput(EarloopError):
    code = "bad_input"
    http_status = 400
    exit_code = 2


class BadAudio(BadInput):
    code = "bad_audio"


class BadOption(BadInput):
    code = "bad_option"


class TooLarge(BadInput):
    code = "too_large"
    http_status = 413


class Unauthorized(EarloopError):
    code = "unauthorized"
    http_status = 401
    exit_code = 8


class Forbidden(EarloopError):
    code = "forbidden"
    http_status = 403
    exit_code = 8


class LimitReached(EarloopError):
    code = "limit_reached"
    http_status = 429
    exit_code = 7

    def __init__(self, message: str, *, retry_after_s: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Unsupported(EarloopError):
    code = "unsupported"
    http_status = 415
    exit_code = 2


class NotFound(EarloopError):
    code = "not_found"
    http_status = 404
    exit_code = 3


class BadBundle(EarloopError):
    code = "bad_bundle"
    http_status = 422
    exit_code = 4


class Conflict(EarloopError):
    code = "conflict"
    http_status = 409
    exit_code = 5


class TimedOut(EarloopError):
    code = "timed_out"
    http_status = 408
    exit_code = 6


class Idle(TimedOut):
    """Told apart because some protocols close such a stream by a code of its own."""


class Busy(EarloopError):
    code = "busy"
    http_status = 503
    exit_code = 7

    def __init__(self, message: str, *, retry_after_s: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Unavailable(EarloopError):
    code = "unavailable"
    http_status = 503
    exit_code = 7


class Internal(EarloopError):
    code = "internal"
