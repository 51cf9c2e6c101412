"""`/v1/clips`: clips brought by upload, looked through, heard; and OVOS's `open_data`, which uploads what it heard.

A place among the uploads is taken before a body is read, and the recording is recognised on the way of every upload.
What is kept is acknowledged with 201 when its row is committed, and not before.
"""

from __future__ import annotations

import asyncio
from typing import IO, TYPE_CHECKING, Any, Final

from aiohttp import web

from stt_server.collection.intake import LONGEST_S, Said, agreed, parse_said, stated
from stt_server.collection.keeping import Draft, Heard, keep
from stt_server.collection.quality import Problem, problems_of, quality_of
from stt_server.errors import BadInput, Forbidden, NotFound
from stt_server.messages import Endpointing, Open
from stt_server.speech.files import read_audio
from stt_server.speech.vad import SAMPLE_RATE
from stt_server.store import clips, votes
from stt_server.store.clips import ClipFilter
from stt_server.web.asked import limit_of
from stt_server.web.bodies import check_length
from stt_server.web.collecting import basis_of, device_of, heard_by
from stt_server.web.context import services_of
from stt_server.web.forms import opened_form
from stt_server.web.links import check_link, link_to
from stt_server.web.people import may_collect, person_of
from stt_server.web.recognition import FILE_AUDIO, transcribe
from stt_server.web.transcriptions import FORM_OVERHEAD_BYTES
from stt_server.web.uploads import reserved_place

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from stt_server.collection.keeping import Basis
    from stt_server.engine.admission import Place
    from stt_server.services import Services
    from stt_server.speech.pcm import Samples
    from stt_server.store.clips import KeptClip
    from stt_server.store.database import Database
    from stt_server.store.votes import KeptVote
    from stt_server.web.forms import Form

MOST_LISTED: Final = 200  # in one answer
LONGEST_LANGUAGE: Final = 8  # letters of the first part of a tag (RFC 5646)
BLOCK: Final = SAMPLE_RATE // 2  # samples sent to a session at once


async def upload(request: web.Request) -> web.Response:
    """A recording with what its giver says of it; `check=only` keeps nothing and says how good it is."""
    services, only_check = services_of(request), request.query.get("check") == "only"
    if not only_check:
        require_collecting(request)
    with reserved_place(services, live=False) as place, opened_form("audio") as form:
        said, file = parse_said(await _read(request, form)), _file(form)
        basis = None if only_check else await basis_for(request, said)
        samples = await decoded(file)
        heard = await recognised(services, samples, place)
    quality = await asyncio.to_thread(quality_of, samples)
    problems = problems_of(quality, heard.text, said.script)
    if basis is None:
        return web.json_response(_told(heard, samples, problems))
    draft = Draft(
        samples=samples,
        basis=basis,
        heard=heard,
        origin="recorder" if said.script else "upload",
        protocol="clips",
        device=said.device or device_of(request),
        script=said.script,
        reference=said.text,
        dataset=said.dataset,
    )
    clip = await keep_clip(services, draft)
    return web.json_response({"id": clip.id, **_told(heard, samples, problems)}, status=201)


async def open_data(request: web.Request) -> web.Response:
    """What an OVOS device has heard, as its `open_data` setting uploads it (`ovos_dinkum_listener/opendata.py`).

    Fields `audio`, `transcript`, `lang`, `plugin`, and perhaps `model` and `plugin_config`; the contributor is behind
    `X-API-Key`. The form has no place for a statement, so one may be in the URL's query, which is the user's to set.
    """
    services = services_of(request)
    require_collecting(request)
    with reserved_place(services, live=False), opened_form("audio") as form:
        fields, file = await _read(request, form), _file(form)
        basis = await basis_for(request, parse_said(_stated_in_query(request)))
        samples = await decoded(file)
    text, plugin = fields.get("transcript", ""), fields.get("plugin", "")
    model = f"{plugin} {fields['model']}" if fields.get("model") else plugin
    heard = Heard(text[:2000].strip(), model=model, language=_language(fields.get("lang", "")))
    draft = Draft(samples=samples, basis=basis, heard=heard, origin="ovos", protocol="ovos", device=device_of(request))
    clip = await keep_clip(services, draft)
    return web.json_response({"id": clip.id}, status=201)


async def listed(request: web.Request) -> web.Response:
    """Clips, the newest first, as their curators see them."""
    query = request.query
    wanted = ClipFilter(
        status=query.get("status") or None,
        dataset=query.get("dataset") or None,
        text=query.get("text") or None,
        origin=query.get("origin") or None,
    )
    after, limit = query.get("after") or None, limit_of(request, MOST_LISTED)
    found, given = await services_of(request).store.run(_list, wanted, after, limit)
    rows = [_row(request, clip, given[clip.id]) for clip in found]
    return web.json_response({"clips": rows, "next": found[-1].id if len(found) == limit else None})


async def audio(request: web.Request) -> web.Response:
    """A clip's sound, whole or a range of its bytes, to whoever has a signed link to it."""
    services, clip_id = services_of(request), request.match_info["clip"]
    check_link(request, clip_id)
    clip = await services.store.run(_get, clip_id)
    if clip.status == "quarantined":
        raise NotFound("Somebody found this clip to be private; nobody is to hear it.")
    data = await asyncio.to_thread(services.objects.get, clip.object_key)
    return _part(request, data)


# ---------------------------------------------------------------------------------------------------------- what comes


async def _read(request: web.Request, form: Form) -> dict[str, str]:
    settings = services_of(request).settings
    bound = settings.max_body_mb << 20
    check_length(request.content_length, bound + FORM_OVERHEAD_BYTES)
    await form.read(request, bound, settings.idle_timeout_s)
    return dict(form.fields)


def _file(form: Form) -> IO[bytes]:
    if form.file is None:
        raise BadInput("The form has no recording; send it in the field `audio`.", field="audio")
    return form.file


def require_collecting(request: web.Request) -> None:
    """Raises Forbidden where nothing is kept: the server does not collect, or the request wants it so."""
    if not may_collect(request):
        raise Forbidden("The request says `collect=false`, and an upload is to be kept; `check=only` keeps nothing.")
    if not services_of(request).consents.collecting:
        raise Forbidden("This server keeps no clips; who runs it can switch that on with the setting `collect`.")


async def basis_for(request: web.Request, said: Said) -> Basis:
    """Why this may be kept: what its giver states, else what they agreed to. Raises Forbidden, BadOption."""
    person = await person_of(request, make=True)
    consent = services_of(request).consents.may_keep(person)
    if said.statement or consent is None:
        return stated(said, person.id if person else None)
    return agreed(said, basis_of(consent))


def _language(tag: str) -> str:
    """`en` of `en-US`; nothing of what is no language's tag."""
    code = tag.strip().replace("_", "-").partition("-")[0].casefold()
    return code if code.isascii() and code.isalpha() and len(code) <= LONGEST_LANGUAGE else ""


def _stated_in_query(request: web.Request) -> dict[str, str]:
    return {name: request.query[name] for name in ("statement", "licence", "dataset") if name in request.query}


async def decoded(file: IO[bytes]) -> Samples:
    """A file's samples at 16 kHz, `LONGEST_S` at most. Raises BadAudio, Unsupported, TooLarge."""

    def decode() -> Samples:
        return read_audio(file, SAMPLE_RATE, max_s=LONGEST_S)  # type: ignore[arg-type] # a spooled file is one

    return await asyncio.to_thread(decode)


async def recognised(services: Services, samples: Samples, place: Place) -> Heard:
    """All of it as one utterance, the way of every upload."""
    whole = Endpointing(enabled=False, max_utterance_ms=round(LONGEST_S * 1000))
    options = Open("clips", FILE_AUDIO, partials=False, live=False, endpointing=whole)
    session = services.engines.open(options, place)

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(samples), BLOCK):
            yield samples[start : start + BLOCK].astype("<f4").tobytes()

    said, by = await transcribe(session, pieces()), heard_by(session.recognizer)
    return Heard(said.text, said.words, by.model, by.lm, by.language)


async def keep_clip(services: Services, draft: Draft) -> KeptClip:
    """It is kept when this returns. Raises as `keep`."""
    clip = await asyncio.to_thread(keep, services.store, services.objects, draft, services.recorder.rules)
    services.metrics.clip_kept(clip.origin)
    return clip


# --------------------------------------------------------------------------------------------------------- what is said


def _told(heard: Heard, samples: Samples, problems: list[Problem]) -> dict[str, Any]:
    found = [{"kind": problem.kind, "say": problem.say} for problem in problems]
    return {
        "duration_s": round(len(samples) / SAMPLE_RATE, 3),
        "hypothesis": heard.text,
        "check": {"ok": not found, "problems": found},
    }


def _list(
    database: Database, wanted: ClipFilter, after: str | None, limit: int
) -> tuple[list[KeptClip], dict[str, list[KeptVote]]]:
    with database.read() as connection:
        found = clips.listed(connection, wanted, after=after, limit=limit)
        return found, votes.of_clips(connection, found)


def _get(database: Database, clip_id: str) -> KeptClip:
    with database.read() as connection:
        return clips.get(connection, clip_id)


def _row(request: web.Request, clip: KeptClip, given: list[KeptVote]) -> dict[str, Any]:
    return {
        "id": clip.id,
        "created": clip.created.isoformat(),
        "duration_s": round(clip.duration_s, 3),
        "hypothesis": clip.hypothesis,
        "text": clip.text,
        "status": clip.status,
        "verdict": clip.verdict,
        "confidence": round(clip.confidence, 4),
        "origin": clip.origin,
        "model": clip.model,
        "round": clip.round,
        "gold": clip.gold,
        "votes": [{"verdict": vote.verdict, "text": vote.text, "expert": vote.expert} for vote in given],
        "audio": link_to(request, clip.id),
    }


def _part(request: web.Request, data: bytes) -> web.Response:
    """The bytes that a `Range` asks for, or all. One that cannot be is 416, one that is no range is passed over."""
    headers = {"Content-Type": "audio/flac", "Accept-Ranges": "bytes", "Cache-Control": "private, no-store"}
    try:
        asked = request.http_range
    except ValueError:
        return web.Response(body=data, headers=headers)
    if asked.start is None and asked.stop is None:
        return web.Response(body=data, headers=headers)
    start, stop, _ = slice(asked.start, asked.stop).indices(len(data))
    if start >= stop:
        return web.Response(status=416, headers={"Content-Range": f"bytes */{len(data)}"})
    headers["Content-Range"] = f"bytes {start}-{stop - 1}/{len(data)}"
    return web.Response(status=206, body=data[start:stop], headers=headers)
