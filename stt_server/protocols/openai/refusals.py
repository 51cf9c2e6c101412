"""Errors as the official clients read them: `{"error":{"message","type","param","code"}}`.

The status decides which exception openai-python raises, and it tries 408, 409, 429 and 5xx again by itself.

| status | `type` | `code` |
| --- | --- | --- |
| 401 | `authentication_error` | `invalid_api_key` |
| 403 | `permission_error` | ours |
| 404 of a model | `invalid_request_error` | `model_not_found` |
| 429 | `rate_limit_error` | `rate_limit_exceeded` |
| other 4xx | `invalid_request_error` | ours |
| 503 when full or leaving | `overloaded_error` | ours |
| other 5xx | `server_error` | ours |

`param` is the form's field: `file` for whatever is wrong with the audio.
"""

from __future__ import annotations

import json

from stt_server.errors import (
    BadAudio,
    Busy,
    EarloopError,
    Forbidden,
    LimitReached,
    NotFound,
    Unauthorized,
    Unavailable,
    Unsupported,
)


def refusal(error: EarloopError) -> str:
    """The body of an error."""
    kind, code = kind_of(error)
    param = "file" if isinstance(error, BadAudio | Unsupported) else error.field
    return json.dumps({"error": {"message": error.message, "type": kind, "param": param, "code": code}})


def no_translations() -> NotFound:
    """What `POST /v1/audio/translations` is answered."""
    return NotFound(
        "Nothing is translated here: send the audio to /v1/audio/transcriptions, whose text is in the language spoken."
    )


def kind_of(error: EarloopError) -> tuple[str, str]:
    """Type and code."""
    if isinstance(error, Unauthorized):
        return "authentication_error", "invalid_api_key"
    if isinstance(error, Forbidden):
        return "permission_error", error.code
    if isinstance(error, LimitReached):
        return "rate_limit_error", "rate_limit_exceeded"
    if isinstance(error, Busy | Unavailable):
        return "overloaded_error", error.code
    if isinstance(error, NotFound) and error.field == "model":
        return "invalid_request_error", "model_not_found"
    return ("invalid_request_error" if error.http_status < 500 else "server_error"), error.code
