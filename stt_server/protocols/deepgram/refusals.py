"""Errors as Deepgram's clients read them.

    plain HTTP    {"category","message","details","request_id"}, headers `dg-request-id`, `dg-error`; a handshake's, too
    a stream      an `Error` message, then the close frame below

| what | close code | reason |
| --- | --- | --- |
| nothing came for 10 s | 1011 | `NET-0001: …` |
| another deadline | 1011 | `NET-0000: …` |
| audio that cannot be decoded, a text message that is none of ours | 1008 | `DATA-0000: …` |
| others | as everywhere (`codec.py`) | our code and sentence |
"""

from __future__ import annotations

from typing import Final

from stt_server.errors import (
    BadInput,
    BadOption,
    EarloopError,
    Forbidden,
    Idle,
    LimitReached,
    TimedOut,
    TooLarge,
    Unauthorized,
    Unsupported,
)
from stt_server.protocols import codec
from stt_server.protocols.deepgram.transcript import encode

REQUEST_ID: Final = "dg-request-id"
ERROR: Final = "dg-error"
MAX_HEADER: Final = 400  # letters of a sentence in a header
_CATEGORIES: Final = {
    Unauthorized: "INVALID_AUTH",
    Forbidden: "INSUFFICIENT_PERMISSIONS",
    LimitReached: "TOO_MANY_REQUESTS",
    TooLarge: "PAYLOAD_TOO_LARGE",
    BadOption: "INVALID_QUERY_PARAMETER",
    Unsupported: "UNSUPPORTED_MEDIA_TYPE",
    TimedOut: "SLOW_UPLOAD",
    BadInput: "PAYLOAD_ERROR",
}
_FIELDS: Final = {"hotwords": "keyterm"}  # as the clients know them


def refusal(error: EarloopError, request_id: str) -> tuple[str, dict[str, str]]:
    """Body and headers of an error."""
    field = _FIELDS.get(error.field or "", error.field)
    details = f"The parameter {field} is at fault." if field else f"Our name for it is {error.code}."
    body = {"category": _category(error), "message": error.message, "details": details, "request_id": request_id}
    return encode(body), {REQUEST_ID: request_id, ERROR: header(error.message)}


def close_code(error: EarloopError | None) -> int:
    """The code of the close frame."""
    return codec.OUR_FAULT if isinstance(error, TimedOut) else codec.close_code(error)


def close_reason(error: EarloopError | None) -> bytes:
    """The text of the close frame."""
    if error is None:
        return b""
    return f"{code(error)}: {error.message}".encode("ascii", "replace")[: codec.MAX_REASON_BYTES]


def code(error: EarloopError) -> str:
    """Deepgram's name of what ends a stream, else ours."""
    if isinstance(error, Idle):
        return "NET-0001"
    if isinstance(error, TimedOut):
        return "NET-0000"
    return "DATA-0000" if isinstance(error, BadInput | Unsupported) else error.code


def header(text: str) -> str:
    """A sentence as a header can hold it."""
    return "".join(letter if letter.isascii() and letter.isprintable() else "?" for letter in text)[:MAX_HEADER]


def _category(error: EarloopError) -> str:
    kinds = (name for kind, name in _CATEGORIES.items() if isinstance(error, kind))
    return next(kinds, error.code.upper())
