"""What the log says of bytes that are no HTTP; aiohttp answers them with 400 before any code of ours runs.

By itself aiohttp logs each as an error, with a traceback that repeats the line at fault: anyone could fill the disk,
and the line may hold a key. The same for a body that cannot be decoded and was not asked for, and for a client that
is gone before it is told to continue (`Expect`).
"""

from __future__ import annotations

import logging
import warnings
from typing import Final

from aiohttp import BadContentDispositionHeader, BadContentDispositionParam, web
from aiohttp.http_exceptions import HttpProcessingError

from stt_server.logs import EventLog

# Faults of our own handlers never come here: `errors` has answered them. A UnicodeError is an `Expect` that is no text,
# which aiohttp would repeat; it answers 500.
_CLIENTS: Final = (HttpProcessingError, web.RequestPayloadError, ConnectionError, UnicodeError)

log = EventLog("web")


class _Malformed(logging.Filter):
    """Turns the record of what a client did wrong into an event without its bytes; all others pass."""

    def filter(self, record: logging.LogRecord) -> bool:
        fault = record.exc_info[1] if record.exc_info else None
        if isinstance(fault, _CLIENTS):
            log.debug("request_failed", kind=type(fault).__name__)
            return False
        return True


_FILTER: Final = _Malformed()


def _no_subprotocols(record: logging.LogRecord) -> bool:
    """Drop what aiohttp says of offered subprotocols that nobody speaks: it repeats them, a key among them."""
    return "Client protocols" not in str(record.msg)


def server_logger() -> logging.Logger:
    """The logger that aiohttp's server is given."""
    logger = logging.getLogger("aiohttp.server")
    logger.addFilter(_FILTER)  # which it has once, however often this is called
    logging.getLogger("aiohttp.websocket").addFilter(_no_subprotocols)
    return logger


def ignore_bad_headers() -> None:
    """Let a form's part with a damaged header be no warning: Python remembers each different one for ever."""
    for kind in (BadContentDispositionHeader, BadContentDispositionParam):
        warnings.filterwarnings("ignore", category=kind)
