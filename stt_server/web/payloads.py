"""Small JSON bodies, checked against a pydantic model."""

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
    check_length(request.content_length, bound)
    pace = Pace(request.content, services_of(request).settings.idle_timeout_s)
    body = b"".join([piece async for piece in Body(request.content, bound, pace).pieces()])
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(map(str, first["loc"]))
        raise BadInput(f"The body is not what is asked for: {field or 'JSON'}: {first['msg']}.", field=field) from None
