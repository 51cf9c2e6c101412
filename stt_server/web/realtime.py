"""OpenAI's Realtime interface, as far as it is transcription: `/v1/realtime?intent=transcription`."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Final

from stt_server.errors import BadOption
from stt_server.protocols.openai.realtime import RealtimeCodec
from stt_server.web.context import services_of
from stt_server.web.credentials import offered_subprotocols
from stt_server.web.streams import stream

if TYPE_CHECKING:
    from aiohttp import web

BETA: Final = "realtime=v1"  # of the header OpenAI-Beta
BETA_SUBPROTOCOL: Final = "openai-beta.realtime-v1"


async def realtime(request: web.Request) -> web.WebSocketResponse:
    """A stream as OpenAI's clients ask for it. Raises BadOption for another intent: nothing is spoken here."""
    intent = request.query.get("intent") or "transcription"
    if intent != "transcription":
        raise BadOption(
            f"intent must be transcription, not {intent[:40]!r}: speech is only heard here.", field="intent"
        )
    ident = uuid.uuid4().hex[:12]
    models = services_of(request).engines.models
    codec = RealtimeCodec(ident, model=request.query.get("model") or None, models=models, beta=_is_beta(request))
    return await stream(request, codec)


def _is_beta(request: web.Request) -> bool:
    """Whether the client names the interface's first generation."""
    said = request.headers.get("OpenAI-Beta", "")
    return BETA in said or BETA_SUBPROTOCOL in offered_subprotocols(request)
