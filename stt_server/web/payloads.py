"""Small bodies: JSON checked against a pydantic model, and plain text. Read as they are, whatever type is named."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

from pydantic import BaseModel, ValidationError

from stt_server.errors import BadInput
from stt_server.web.bodies import Body, Pace, check_length
from stt_server.web.context import services_of

if TYPE_CHECKING:
    from aiohttp import web

M = TypeVar("M", bound=BaseModel)

BOUND_BYTES: Final = 1 << 20


async def read_json(request: web.Request, model: type[M], bound: int = BOUND_BYTES) -> M:
    """The body as `model` says it must be. Raises BadInput naming the field, TooLarge, TimedOut."""
    body = await _whole(request, bound)
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(map(str, first["loc"]))
        raise BadInput(f"The body is not what is asked for: {field or 'JSON'}: {first['msg']}.", field=field) from None


async def read_text(request: web.Request, bound: int) -> str:
    """The body as UTF-8 text, without blanks at its ends. Raises BadInput, TooLarge, TimedOut."""
    try:
        return (await _whole(request, bound)).decode().strip()
    except UnicodeDecodeError:
        raise BadInput("The body is no text in UTF-8.") from None


async def _whole(request: web.Request, bound: int) -> bytes:
    check_length(request.content_length, bound)
    pace = Pace(request.content, services_of(request).settings.idle_timeout_s)
    return b"".join([piece async for piece in Body(request.content, bound, pace).pieces()])
