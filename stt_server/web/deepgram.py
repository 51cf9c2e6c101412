"""Deepgram's `/v1/listen`: a WebSocket for live audio, a POST for recordings."""

from __future__ import annotations

import asyncio
import hashlib
import json
import uuid
from contextlib import aclosing, nullcontext
from dataclasses import replace
from datetime import UTC, datetime
from typing import IO, TYPE_CHECKING, Final, cast

from aiohttp import web

from stt_server.errors import BadOption
from stt_server.messages import Open, Transcript
from stt_server.protocols import deepgram
from stt_server.speech.files import open_audio
from stt_server.speech.sniff import sniff
from stt_server.web import streams
from stt_server.web.bodies import PIECE_BYTES, Body, Pace, check_length
from stt_server.web.context import services_of
from stt_server.web.credentials import without_key
from stt_server.web.errors import DEEPGRAM_ID
from stt_server.web.hearing import Dealing
from stt_server.web.recognition import FILE_AUDIO, decoded, transcribe
from stt_server.web.transcriptions import IGNORED
from stt_server.web.uploads import reserved_place

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from typing import BinaryIO

    from stt_server.services import Services

HEAD_BYTES: Final = 64
JSON_BYTES: Final = 1 << 16
HEADED: Final = ("wav", "flac", "ogg")  # what is believed to have a header though the query says that it is raw


async def live(request: web.Request) -> web.WebSocketResponse:
    """A stream. What the query asks for is judged before the upgrade, so that its refusal is a plain answer."""
    request_id = request[DEEPGRAM_ID] = str(uuid.uuid4())
    asked = _asked(request, live=True)
    codec = deepgram.DeepgramCodec(asked, request_id, _now())
    return await streams.stream(request, codec, _headers(asked, request_id))


async def recorded(request: web.Request) -> web.Response:
    """A recording, of any format with a header, or raw as `encoding` says."""
    request_id = request[DEEPGRAM_ID] = str(uuid.uuid4())
    services = services_of(request)
    bound = services.settings.max_body_mb << 20
    check_length(request.content_length, bound)
    body = Body(request.content, bound, Pace(request.content, services.settings.idle_timeout_s))
    if request.content_type == "application/json":
        raise deepgram.refuse_json(names_url=_names_url(await body.head(JSON_BYTES)))
    asked = _asked(request, live=False)
    if asked.coded == "opus":
        raise BadOption("A body cannot hold opus packets; send them in a container, such as ogg.", field="encoding")
    if asked.coded is None and sniff(await body.head(HEAD_BYTES)) in HEADED:
        asked = replace(asked, coded="file")
    await services.engines.make_ready(_options(asked))
    with reserved_place(services, live=False) as place, await body.spooled() as file:
        digest = await asyncio.to_thread(_digest, file)
        channels = await _channels(file, asked)
        heard = []
        for channel in range(channels):
            with reserved_place(services, live=False) if channel else nullcontext(place) as own:
                session = services.engines.open(_options(asked), own)
                only = channel if asked.multichannel else None
                async with aclosing(_pieces(file, asked, only, services)) as pieces:
                    heard.append(await transcribe(session, pieces))
    answer = deepgram.answer(asked, deepgram.Request(request_id, digest, _now()), heard)
    return web.Response(
        text=answer, headers={**_headers(asked, request_id), **_ran(heard[0])}, content_type="application/json"
    )


def _asked(request: web.Request, *, live: bool) -> deepgram.Asked:
    models = frozenset(services_of(request).engines.models)
    return deepgram.parse_query(without_key(request), live=live, models=models)


def _options(asked: deepgram.Asked) -> Open:
    raw = replace(asked.audio, channels=1) if asked.multichannel else asked.audio
    return Open(
        "deepgram",
        FILE_AUDIO if asked.coded else raw,
        model=asked.model or None,
        language=asked.language,
        hotwords=asked.hotwords,
        boosts=asked.boosts,
        vocabulary=asked.vocabulary,
        partials=False,
        live=False,
        collect=asked.collect,
        device=asked.device,
    )


async def _channels(file: IO[bytes], asked: deepgram.Asked) -> int:
    """How many are heard apart; 1 where they are mixed. Raises what is wrong with the file's header."""
    if not asked.multichannel:
        return 1
    return await asyncio.to_thread(_channels_of, file) if asked.coded else asked.audio.channels


def _channels_of(file: IO[bytes]) -> int:
    with open_audio(cast("BinaryIO", file)) as reader:
        return reader.channels


def _pieces(
    file: IO[bytes], asked: deepgram.Asked, channel: int | None, services: Services
) -> AsyncGenerator[bytes, None]:
    """The samples of a channel, or of all mixed, from the file's beginning."""
    if asked.coded:
        return decoded(file, services.settings.max_stream_s, channel)
    return _raw(file, asked, channel)


async def _raw(file: IO[bytes], asked: deepgram.Asked, channel: int | None) -> AsyncGenerator[bytes, None]:
    dealing = Dealing(asked.audio)
    file.seek(0)
    while data := await asyncio.to_thread(file.read, PIECE_BYTES):
        yield data if channel is None else dealing.deal(data)[channel]


def _digest(file: IO[bytes]) -> str:
    """SHA-256 of a file, which then stands at its beginning again."""
    digest = hashlib.sha256()
    while piece := file.read(PIECE_BYTES):
        digest.update(piece)
    file.seek(0)
    return digest.hexdigest()


def _names_url(body: bytes) -> bool:
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        return False
    return isinstance(said, dict) and "url" in said


def _headers(asked: deepgram.Asked, request_id: str) -> dict[str, str]:
    """Of the answer, or of the upgrade: the request's id, and the names of parameters that changed nothing."""
    headers = {deepgram.REQUEST_ID: request_id}
    unheard = deepgram.header(", ".join(dict.fromkeys(warned.parameter for warned in asked.warnings)))
    return {**headers, IGNORED: unheard} if unheard else headers


def _ran(said: Transcript) -> dict[str, str]:
    return {"X-Earloop-Model": said.model, "X-Earloop-Version": said.version, "X-Earloop-Language": said.language}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
