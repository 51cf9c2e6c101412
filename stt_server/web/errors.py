"""Every error of a plain request, in the shape its caller understands.

| path | body |
| --- | --- |
| `/stt`, `/api/speech-to-text` | empty, unless JSON was asked for; the reason in `X-Earloop-Error` |
| `/client/…` | kaldi-gstreamer-server's `{"status","message","id"}` |
| `/v1/listen` | Deepgram's `{"category","message","details","request_id"}` |
| `/v1/audio/…`, `/v1/realtime`; `/v1/models`, read | OpenAI's `{"error":{"message","type","param","code"}}` |
| all others | `{"error":{"code","message","field"}}` |

A fault of our own gets an id: the caller is told the id, the log has the traceback under it.
"""

from __future__ import annotations

import json
import math
import re
import secrets
import uuid
from typing import TYPE_CHECKING, Final

from aiohttp import web

from stt_server.errors import (
    BadInput,
    Busy,
    EarloopError,
    Internal,
    LimitReached,
    NotFound,
    TooLarge,
    Unauthorized,
    Unavailable,
)
from stt_server.logs import EventLog
from stt_server.protocols import deepgram, kaldi, openai, stt
from stt_server.web.context import services_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

RETRY_UNAVAILABLE_S: Final = 5
AS_STT: Final = frozenset({"/stt", "/api/speech-to-text"})  # whose clients take any body for what was said
DEEPGRAM_ID: Final = web.RequestKey("deepgram_id", str)  # of a request to /v1/listen, once it has one
_MODELS: Final = re.compile(r"(/v1)?/models(/[^/]*)?")

log = EventLog("web")


@web.middleware
async def render_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """The one place where what a handler raises becomes an answer."""
    try:
        return await handler(request)
    except web.HTTPException as answer:
        if answer.status < 400:
            raise
        return _response(request, _of_http(request, answer), dict(_allow(answer)), answer.status)
    except ConnectionError:
        raise  # the client is gone; aiohttp knows what to do
    except Exception as error:  # noqa: BLE001 - one of the four places that catch
        fault = as_ours(error)
        if not isinstance(fault, Busy | Unavailable):  # those were counted at the door
            services_of(request).metrics.failed(fault.code)
        return _response(request, fault, {**_retry_after(fault), **_challenge(fault)}, fault.http_status)


def as_ours(error: Exception) -> EarloopError:
    """The error itself where it is of our tree, else an Internal with the id under which it has just been logged."""
    if isinstance(error, EarloopError):
        return error
    ident = secrets.token_hex(4)
    log.exception("internal_error", id=ident)  # noqa: LOG004 - called where the error is being handled
    return Internal(f"Something went wrong on our side; the server's log has it under the id {ident}.")


def _response(request: web.Request, error: EarloopError, headers: dict[str, str], status: int) -> web.Response:
    if request.path in AS_STT:
        as_json = stt.wants_json(request.headers.get("Accept", ""))
        text, kind, more = stt.refusal(error, as_json=as_json)
        return web.Response(text=text, headers={**headers, **more, "Content-Type": kind}, status=status)
    if request.path == "/v1/listen":
        text, more = deepgram.refusal(error, request[DEEPGRAM_ID] if DEEPGRAM_ID in request else str(uuid.uuid4()))
        return web.Response(text=text, headers={**headers, **more, "Content-Type": openai.JSON}, status=status)
    if request.path.startswith("/client/"):
        body = kaldi.refusal(error, str(uuid.uuid4()))
        return web.Response(text=body, headers={**headers, "Content-Type": openai.JSON}, status=status)
    body = openai.refusal(error) if _is_openais(request) else _own_shape(error)
    return web.Response(text=body, headers={**headers, "Content-Type": openai.JSON}, status=status)


def _is_openais(request: web.Request) -> bool:
    """Whether OpenAI's clients ask there; what makes and trains models is no interface of theirs."""
    looked_at = request.method in {"GET", "HEAD"} and _MODELS.fullmatch(request.path)
    return request.path.startswith(("/v1/audio/", "/v1/realtime")) or bool(looked_at)


def _own_shape(error: EarloopError) -> str:
    return json.dumps({"error": {"code": error.code, "message": error.message, "field": error.field}})


def _of_http(request: web.Request, answer: web.HTTPException) -> EarloopError:
    """What aiohttp refuses by itself, as one of ours."""
    if answer.status == 404:
        return NotFound(f"There is nothing at {request.path}.")
    if isinstance(answer, web.HTTPMethodNotAllowed):
        allowed = ", ".join(sorted(answer.allowed_methods))
        return BadInput(f"{request.path} takes {allowed}, not {request.method}.")
    if answer.status == 413:
        return TooLarge("The body is too large.")
    return BadInput(f"The request is not valid: {answer.reason}.")


def _allow(answer: web.HTTPException) -> dict[str, str]:
    return {"Allow": answer.headers["Allow"]} if "Allow" in answer.headers else {}


def _retry_after(error: EarloopError) -> dict[str, str]:
    if isinstance(error, Busy | LimitReached):
        return {"Retry-After": str(max(1, math.ceil(error.retry_after_s)))}
    return {"Retry-After": str(RETRY_UNAVAILABLE_S)} if isinstance(error, Unavailable) else {}


def _challenge(error: EarloopError) -> dict[str, str]:
    """How to show a key. Basic, which is taken too, is not named: a browser would ask for a password by itself."""
    return {"WWW-Authenticate": 'Bearer realm="earloop"'} if isinstance(error, Unauthorized) else {}
