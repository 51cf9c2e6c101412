"""Routes that assistants know from their own servers: Mycroft's backend, OVOS's server. Rhasspy's is `/stt` again."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Final

from aiohttp import web

from stt_server.messages import Open
from stt_server.protocols import assistants as rules
from stt_server.protocols import stt
from stt_server.speech.sniff import sniff
from stt_server.web.context import services_of
from stt_server.web.payloads import read_text
from stt_server.web.recognition import FILE_AUDIO, transcribe, transcribe_file
from stt_server.web.uploads import heard, ran, reserved_place

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from stt_server.messages import AudioSpec, Transcript

MAX_JSON_BYTES: Final = 16 << 20  # held in memory, unlike other uploads
PIECE_BYTES: Final = 1 << 16


async def mycroft(request: web.Request) -> web.Response:
    """As Mycroft's backend answers its devices."""
    said = await heard(request, "stt")
    return _json(rules.texts(said), said)


async def mycroft_deepspeech(request: web.Request) -> web.Response:
    """As the same backend answers for DeepSpeech."""
    said = await heard(request, "stt")
    return _json(rules.text(said), said)


async def ovos_json(request: web.Request) -> web.Response:
    """Audio in base64 inside JSON. Raises BadInput, BadOption."""
    carried = rules.carried(await read_text(request, MAX_JSON_BYTES))
    head = carried.audio[: stt.HEAD_BYTES]
    is_raw = stt.raw_spec(sniff(head), head, {}, "") is not None
    said = await _heard(request, carried.audio, carried.spec if is_raw else None)
    return _json(rules.text_and_language(said), said)


async def status(request: web.Request) -> web.Response:
    """That the server is there, as ovos-stt-http-server says it."""
    return web.Response(text=rules.status(services_of(request).engines.name), headers={"Content-Type": stt.JSON})


async def lang_detect(request: web.Request) -> web.Response:
    """The language, where there is but one that it can be. Raises Unsupported where one would have to listen for it."""
    answer = rules.language_among(request.query.get("valid_langs", ""))
    return web.Response(text=answer, headers={"Content-Type": stt.JSON})


async def _heard(request: web.Request, audio: bytes, spec: AudioSpec | None) -> Transcript:
    services = services_of(request)
    with reserved_place(services, live=False) as place:
        options = Open("stt", spec or FILE_AUDIO, partials=False, live=False)
        await services.engines.make_ready(options)
        session = services.engines.open(options, place)
        if spec is None:
            return await transcribe_file(session, io.BytesIO(audio), services.settings.max_stream_s)
        return await transcribe(session, _pieces(audio))


async def _pieces(audio: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(audio), PIECE_BYTES):
        yield audio[start : start + PIECE_BYTES]


def _json(body: str, said: Transcript) -> web.Response:
    return web.Response(text=body, headers={"Content-Type": stt.JSON, **ran(said)})
