"""Audio in, text out: `/stt` for assistants, and what its like share. OpenAI's route is in `transcriptions`.

A place is taken before a file's body is read, so that a full server says so at once. A client that goes away cancels
its handler, which closes the session.
"""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from dataclasses import replace
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
    """A file, or raw audio recognised while it arrives."""
    began = asyncio.get_running_loop().time()
    said = await heard(request, "stt")
    as_json = rules.wants_json(request.headers.get("Accept", ""))
    text, kind = rules.answer(said, as_json=as_json, took_s=asyncio.get_running_loop().time() - began)
    return web.Response(text=text, headers={"Content-Type": kind, **ran(said)})


async def heard(request: web.Request, protocol: str, spec: AudioSpec | None = None) -> Transcript:
    """What a body says, a file or raw audio; by the model that `model` in the query names, if it does.

    `spec` is how raw audio is coded where its protocol has own words for that. Raises as `Body` and `transcribe`.
    """
    services = services_of(request)
    bound = services.settings.max_body_mb << 20
    check_length(request.content_length, bound)
    body = Body(request.content, bound, Pace(request.content, services.settings.idle_timeout_s))
    head = await body.head(rules.HEAD_BYTES)
    spec = spec or rules.raw_spec(sniff(head), head, request.query, request.headers.get("Content-Type", ""))
    options = Open(protocol, spec or FILE_AUDIO, model=request.query.get("model") or None, partials=False)
    return await (_of_raw(body, services, options) if spec else _of_file(body, services, options))


async def _of_file(body: Body, services: Services, options: Open) -> Transcript:
    options = replace(options, live=False)
    with reserved_place(services, live=False) as place, await body.spooled() as file:
        await services.engines.make_ready(options)
        session = services.engines.open(options, place)
        return await transcribe_file(session, file, services.settings.max_stream_s)


async def _of_raw(body: Body, services: Services, options: Open) -> Transcript:
    with reserved_place(services, live=True) as place:
        await services.engines.make_ready(options)
        session = services.engines.open(options, place)
        return await transcribe(session, body.pieces())


@contextmanager
def reserved_place(services: Services, *, live: bool) -> Iterator[Place]:
    """A place for one stream, given back in the end. Raises Busy or Unavailable."""
    place = services.engines.reserve(live=live)
    try:
        yield place
    finally:
        place.release()


def ran(said: Transcript) -> dict[str, str]:
    """The headers that name what ran, whatever the client asked for."""
    return {"X-Earloop-Model": said.model, "X-Earloop-Version": said.version, "X-Earloop-Language": said.language}
