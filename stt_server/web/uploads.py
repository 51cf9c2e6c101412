"""Audio in, text out: `/stt` for assistants and `/v1/audio/transcriptions` for OpenAI's clients.

A place is taken before a file's body is read, so that a full server says so at once. A client that goes away cancels
its handler, which closes the session.
"""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Final

from aiohttp import web

from stt_server.messages import AudioSpec, Open, Transcript
from stt_server.protocols import openai
from stt_server.protocols import stt as rules
from stt_server.speech.sniff import sniff
from stt_server.web.bodies import Body, check_length
from stt_server.web.context import services_of
from stt_server.web.forms import Form
from stt_server.web.recognition import FILE_AUDIO, transcribe, transcribe_file

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stt_server.engine.admission import Place
    from stt_server.services import Services

FORM_OVERHEAD_BYTES: Final = 1 << 20  # boundaries, headers and the fields beside the file


async def stt(request: web.Request) -> web.Response:
    """A file, or raw audio recognised while it arrives."""
    services, began = services_of(request), asyncio.get_running_loop().time()
    bound = services.settings.max_body_mb << 20
    check_length(request.content_length, bound)
    body = Body(request.content, bound, services.settings.idle_timeout_s)
    head = await body.head(rules.HEAD_BYTES)
    spec = rules.raw_spec(sniff(head), head, request.query, request.headers.get("Content-Type", ""))
    said = await (_of_file(body, services) if spec is None else _of_raw(body, spec, services))
    as_json = rules.wants_json(request.headers.get("Accept", ""))
    text, kind = rules.answer(said, as_json=as_json, took_s=asyncio.get_running_loop().time() - began)
    return _answer(text, kind, said)


async def transcriptions(request: web.Request) -> web.Response:
    """OpenAI's route: a form with a file."""
    services = services_of(request)
    bound = services.settings.max_body_mb << 20
    check_length(request.content_length, bound + FORM_OVERHEAD_BYTES)
    with _place(services, live=False) as place, _form() as form:
        await form.read(request, bound, services.settings.idle_timeout_s)
        asked = openai.parse_form(form.fields)
        openai.require_file(present=form.file is not None)
        model = asked.model if asked.model in services.engines.models else None
        options = Open("openai", FILE_AUDIO, model=model, hotwords=asked.keywords, partials=False, live=False)
        said = await _of_spooled(form.file, options, place, services)
    text, kind = openai.answer(said, asked.response_format)
    return _answer(text, kind, said)


async def _of_file(body: Body, services: Services) -> Transcript:
    with _place(services, live=False) as place, await body.spooled() as file:
        options = Open("stt", FILE_AUDIO, partials=False, live=False)
        return await _of_spooled(file, options, place, services)


async def _of_spooled(file: IO[bytes] | None, options: Open, place: Place, services: Services) -> Transcript:
    assert file is not None
    return await transcribe_file(services.engines.open(options, place), file)


async def _of_raw(body: Body, spec: AudioSpec, services: Services) -> Transcript:
    with _place(services, live=True) as place:
        session = services.engines.open(Open("stt", spec, partials=False), place)
        return await transcribe(session, body.pieces())


@contextmanager
def _place(services: Services, *, live: bool) -> Iterator[Place]:
    place = services.engines.reserve(live=live)
    try:
        yield place
    finally:
        place.release()


@contextmanager
def _form() -> Iterator[Form]:
    form = Form()
    try:
        yield form
    finally:
        form.close()


def _answer(text: str, kind: str, said: Transcript) -> web.Response:
    """An answer that names what ran, whatever the client asked for."""
    headers = {"Content-Type": kind, "X-Earloop-Model": said.model, "X-Earloop-Language": said.language}
    return web.Response(text=text, headers=headers)
