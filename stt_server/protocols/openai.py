"""`POST /v1/audio/transcriptions` of OpenAI's interface (openai/openai-openapi, openapi.yaml), as pure functions.

Spoken now: `response_format` json and text. A client always names a model, often `whisper-1`: one we do not have means
the default, and the answer names what ran. Fields that only tune the hosted models are passed over; a field that would
change the shape of the answer and that we cannot honour is refused, since the client could not read what we send.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from stt_server.errors import BadInput, BadOption, Busy, EarloopError, Unavailable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from stt_server.messages import Transcript

FORMATS: Final = ("json", "text")
TEXT: Final = "text/plain; charset=utf-8"
JSON: Final = "application/json; charset=utf-8"
MAX_KEYWORDS: Final = 500


@dataclass(frozen=True, slots=True)
class Request:
    """What a form asks for, the file aside."""

    model: str | None = None
    language: str | None = None
    response_format: str = "json"
    keywords: tuple[str, ...] = ()


def parse_form(fields: Iterable[tuple[str, str]]) -> Request:
    """The request in a form's text fields; arrays come as repeated `name[]` or `name`. Raises BadOption, BadInput."""
    lists: dict[str, list[str]] = {}
    for name, value in fields:
        lists.setdefault(name.removesuffix("[]"), []).append(value)
    one = {name: values[-1].strip() for name, values in lists.items()}
    wanted = one.get("response_format") or "json"
    if wanted not in FORMATS:
        raise BadOption(
            f"response_format {wanted[:40]!r} is not available here; use {' or '.join(FORMATS)}.",
            field="response_format",
        )
    if one.get("stream", "false").casefold() not in {"", "false", "0"}:
        raise BadOption("stream is not available for this route here; leave it out.", field="stream")
    keywords = tuple(word for word in lists.get("keywords", []) if word.strip())
    if len(keywords) > MAX_KEYWORDS:
        raise BadOption(f"{len(keywords)} keywords are too many; send at most {MAX_KEYWORDS}.", field="keywords")
    return Request(one.get("model") or None, one.get("language") or None, wanted, keywords)


def require_file(*, present: bool) -> None:
    """Raise BadInput for a form without a file."""
    if not present:
        raise BadInput("The form has no file; send the audio in the field `file`.", field="file")


def answer(transcript: Transcript, response_format: str) -> tuple[str, str]:
    """Body and content type. `model` is ours: it names what ran."""
    if response_format == "text":
        return transcript.text, TEXT
    usage = {"type": "duration", "seconds": round(transcript.audio_s, 3)}
    return json.dumps({"text": transcript.text, "model": transcript.model, "usage": usage}, ensure_ascii=False), JSON


def refusal(error: EarloopError) -> str:
    """The body of an error, as the official clients read it."""
    said: dict[str, Any] = {
        "message": error.message,
        "type": _error_type(error),
        "param": error.field,
        "code": error.code,
    }
    return json.dumps({"error": said})


def model_list(names: Sequence[str]) -> str:
    """The body of `GET /v1/models`."""
    models = [{"id": name, "object": "model", "created": 0, "owned_by": "earloop"} for name in names]
    return json.dumps({"object": "list", "data": models})


def _error_type(error: EarloopError) -> str:
    if isinstance(error, Busy | Unavailable):
        return "overloaded_error"
    return "invalid_request_error" if error.http_status < 500 else "server_error"
