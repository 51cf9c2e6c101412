"""Audio in, text out: `/stt` for assistants. OpenAI's route is in `transcriptions`.

A place is taken before a file's body is read, so that a full server says so at once. A client that goes away cancels
its handler, which closes the session.
"""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING

from aiohttp import web

from stt_server.messages import AudioSpec, Open, Transcript
from stt_server.protocols import stt as rules
from stt_server.speech.sniff import sniff
from stt_server.web.bodies import Body, Pace, check_length
from stt_server.web.context import services_of
from stt_server.web.recognition import FILE_AUDIO, transcribe, transcribe_file

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stt_server.engine.admission import Place
    from stt_server.services import Services


async def stt(request: web.Request) -> web.Response:
    """A file, or raw audio recognised while it arrives; by the model that `model` in the query names, if it does."""
    services, began = services_of(request), asyncio.get_running_loop().time()
    bound = services.settings.max_body_mb << 20
    check_length(request.content_length, bound)
    body = Body(request.content, bound, Pace(request.content, services.settings.idle_timeout_s))
    head = await body.head(rules.HEAD_BYTES)
    spec = rules.raw_spec(sniff(head), head, request.query, request.headers.get("Content-Type", ""))
    model = request.query.get("model") or None
    said = await (_of_file(body, services, model) if spec is None else _of_raw(body, spec, services, model))
    as_json = rules.wants_json(request.headers.get("Accept", ""))
    text, kind = rules.answer(said, as_json=as_json, took_s=asyncio.get_running_loop().time() - began)
    return _answer(text, kind, said)


async def _of_file(body: Body, services: Services, model: str | None) -> Transcript:
    with reserved_place(services, live=False) as place, await body.spooled() as file:
        session = services.engines.open(Open("stt", FILE_AUDIO, model=model, partials=False, live=False), place)
        return await transcribe_file(session, file, services.settings.max_stream_s)


async def _of_raw(body: Body, spec: AudioSpec, services: Services, model: str | None) -> Transcript:
    with reserved_place(services, live=True) as place:
        session = services.engines.open(Open("stt", spec, model=model, partials=False), place)
        return await transcribe(session, body.pieces())


@contextmanager
def reserved_place(services: Services, *, live: bool) -> Iterator[Place]:
    """A place for one stream, given back in the end. Raises Busy or Unavailable."""
    place = services.engines.reserve(live=live)
    try:
        yield place
    finally:
        place.release()


def _answer(text: str, kind: str, said: Transcript) -> web.Response:
    """An answer that names what ran, whatever the client asked for."""
    ran = {"X-Earloop-Model": said.model, "X-Earloop-Version": said.version, "X-Earloop-Language": said.language}
    headers = {"Content-Type": kind, **ran}
    return web.Response(text=text, headers=headers)
