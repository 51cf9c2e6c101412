"""OpenAI's routes: a form with a file to text, in one piece or as events while it is recognised."""

from __future__ import annotations

from typing import IO, TYPE_CHECKING, Final

from aiohttp import web

from stt_server.errors import BadOption
from stt_server.messages import Open
from stt_server.protocols import openai
from stt_server.web.bodies import check_length
from stt_server.web.context import services_of
from stt_server.web.errors import as_ours
from stt_server.web.events import EventStream
from stt_server.web.forms import opened_form
from stt_server.web.recognition import FILE_AUDIO, transcribe_file
from stt_server.web.uploads import reserved_place

if TYPE_CHECKING:
    from stt_server.engine.admission import Place
    from stt_server.engine.session import Session
    from stt_server.messages import Final as Utterance
    from stt_server.services import Services

FORM_OVERHEAD_BYTES: Final = 1 << 20  # boundaries, headers and the fields beside the file
IGNORED: Final = "X-Earloop-Ignored"  # names the fields that were sent and changed nothing


async def create(request: web.Request) -> web.StreamResponse:
    """A form with a file. A place is taken before it is read, so that a full server says so at once."""
    services = services_of(request)
    bound = services.settings.max_body_mb << 20
    check_length(request.content_length, bound + FORM_OVERHEAD_BYTES)
    with reserved_place(services, live=False) as place, opened_form() as form:
        await form.read(request, bound, services.settings.idle_timeout_s)
        asked = openai.parse_form(form.fields)
        openai.require_file(present=form.file is not None)
        assert form.file is not None
        session = await _open(asked, place, services)
        if asked.stream:
            return await _as_events(request, asked, session, form.file)
        said = await transcribe_file(session, form.file, services.settings.max_stream_s)
        body, kind = openai.answer(said, asked)
        return web.Response(text=body, headers=_headers(session, asked, kind))


async def translate(_: web.Request) -> web.Response:
    """Refused, in the shape that the clients of the interface read. Raises NotFound."""
    raise openai.no_translations()


async def _open(asked: openai.Request, place: Place, services: Services) -> Session:
    """By the model of that name, else by that of the language, else by the live one. Raises BadOption."""
    engines = services.engines
    options = Open(
        "openai",
        FILE_AUDIO,
        model=asked.model if asked.model in engines.models else None,
        language=asked.language if asked.language and engines.has_language(asked.language) else None,
        hotwords=asked.keywords,
        hints=asked.prompt,
        vocabulary=asked.vocabulary,
        partials=False,
        live=False,
        endpointing=asked.endpointing,
        collect=asked.collect,
    )
    try:
        await engines.make_ready(options)
        session = engines.open(options, place)
    except BadOption as error:
        raise openai.as_sent(error) from error
    try:
        openai.check_language(asked, session.recognizer.language)
    except BaseException:
        session.leave()
        raise
    return session


async def _as_events(
    request: web.Request, asked: openai.Request, session: Session, file: IO[bytes]
) -> web.StreamResponse:
    """Deltas while the file is recognised. What goes wrong before the first has its status, later it is an event."""
    services = services_of(request)
    stream = EventStream(request, _headers(session, asked, openai.EVENTS))
    deltas = openai.Deltas(logprobs=asked.logprobs)

    async def tell(final: Utterance) -> None:
        if event := deltas.of(final):
            await stream.send(event)

    try:
        said = await transcribe_file(session, file, services.settings.max_stream_s, tell)
        await stream.send(deltas.done(said) + openai.DONE)
    except ConnectionError:
        raise  # nobody is there to be told
    except Exception as error:  # this is a stream's pump: one of the four places that catch
        if not stream.begun:
            raise
        fault = as_ours(error)
        if session.error is not fault:  # the engine has counted its own
            services.metrics.failed(fault.code)
        await stream.send(openai.failed(fault))
    return await stream.end()


def _headers(session: Session, asked: openai.Request, kind: str) -> dict[str, str]:
    """What ran, whatever the client asked for, and what of its wishes changed nothing."""
    ran = session.recognizer
    named = {"X-Earloop-Model": ran.name, "X-Earloop-Version": ran.version, "X-Earloop-Language": ran.language}
    headers = {"Content-Type": kind, **named}
    unheard = openai.ignored(asked, takes_hotwords=ran.takes_hotwords)
    return {**headers, IGNORED: ", ".join(unheard)} if unheard else headers
