"""`/v1/tagging/…` for taggers: a clip to judge, a beat while listening, a verdict, a skip, one step back, the count.

Who judges is a person (`people.py`): a key's own, or whose token comes along. The rules are in `tagging/`.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from stt_server.errors import EarloopError, Unauthorized
from stt_server.logs import EventLog
from stt_server.store.rights import Verdict  # noqa: TC001 - pydantic reads it
from stt_server.store.ring import now
from stt_server.tagging import judging
from stt_server.tagging.agreement import Rules
from stt_server.tagging.appraisal import Appraisal
from stt_server.tasks import ended, every
from stt_server.web import people
from stt_server.web.context import SERVICES, services_of
from stt_server.web.links import link_to
from stt_server.web.payloads import read_json

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from stt_server.settings import Settings
    from stt_server.tagging.judging import Task, Terms

APPRAISE_S: Final = 60.0
CLOSE_S: Final = 12.0  # longer than the database may take
BOUND_BYTES: Final = 1 << 16

log = EventLog("tagging")


class Said(BaseModel):
    """A verdict, with the words where they are corrected."""

    model_config = ConfigDict(extra="forbid")

    verdict: Verdict
    text: str | None = Field(None, max_length=10_000)


async def lease(request: web.Request) -> web.Response:
    """The clip to judge next; 204 when none is left for this person. Who has one gets it again."""
    services, person = services_of(request), await judge_of(request)
    task = await services.store.run(judging.lease, person, now(), terms_of(services.settings))
    return web.Response(status=204) if task is None else web.json_response(_shown(request, task))


async def beat(request: web.Request) -> web.Response:
    """Still listening."""
    services, person = services_of(request), await judge_of(request)
    terms = terms_of(services.settings)
    await services.store.run(judging.beat, person, request.match_info["lease"], now(), terms)
    return web.json_response({"expires": terms.lasts.total_seconds()})


async def vote(request: web.Request) -> web.Response:
    """A verdict; it ends the lease."""
    services, person = services_of(request), await judge_of(request)
    said = await read_json(request, Said, BOUND_BYTES)
    terms, asked = terms_of(services.settings), request.match_info["lease"]
    clip, today = await services.store.run(judging.vote, person, asked, said.verdict, said.text, now(), terms)
    return web.json_response({"clip": clip, "today": today})


async def skip(request: web.Request) -> web.Response:
    """Pass the clip over; it does not come back to this person."""
    services, person = services_of(request), await judge_of(request)
    await services.store.run(judging.skip, person, request.match_info["lease"], now())
    return web.Response(status=204)


async def undo(request: web.Request) -> web.Response:
    """Take back what this person said last; its clip comes again."""
    services, person = services_of(request), await judge_of(request)
    clip = await services.store.run(judging.undo, person, now(), terms_of(services.settings))
    return web.json_response({"clip": clip})


async def stats(request: web.Request) -> web.Response:
    """How far judging is, in all and for this person."""
    services, person = services_of(request), await judge_of(request)
    counts = await services.store.run(judging.counts, person, now())
    body = {
        "today": counts.today,
        "mine": counts.mine,
        "waiting": counts.waiting,
        "decided": counts.decided,
        "validated_h": counts.validated_s / 3600,
    }
    return web.json_response(body)


async def judge_of(request: web.Request) -> str:
    """The id of who judges. Raises Unauthorized for nobody: two votes must be known to be of two people."""
    person = await people.judge_of(request)
    if person is None:
        raise Unauthorized(
            "To judge clips you must be somebody: POST /v1/people makes a token; send it as `X-Contributor: TOKEN`."
        )
    return person.id


def terms_of(settings: Settings) -> Terms:
    """What the settings say of judging."""
    people = settings.tag_people
    rules = Rules(people=people, share=settings.tag_share, cap=max(people, settings.tag_cap))
    return judging.Terms(timedelta(seconds=settings.tag_lease_s), rules)


async def appraise(app: web.Application) -> AsyncIterator[None]:
    """While the server runs, value what waits anew, a stretch a minute."""
    store, appraisal, closing = app[SERVICES].store, Appraisal(), asyncio.Event()
    task = asyncio.create_task(every(APPRAISE_S, closing, lambda: store.run(appraisal.step, now()), _failed))
    yield
    closing.set()
    await ended(task, CLOSE_S)


def _failed(error: EarloopError) -> None:
    """A database that is away for a while."""
    log.warning("clips_not_appraised", why=error.message)


def _shown(request: web.Request, task: Task) -> dict[str, Any]:
    clip = task.clip
    shown: dict[str, Any] = {
        "id": clip.id,
        "audio": link_to(request, clip.id),
        "duration_s": clip.duration_s,
        "hypothesis": None if task.blind else clip.hypothesis,
        "words": None if task.blind else clip.words,
        "language": clip.language,
    }
    expires = (task.lease.expires - now()).total_seconds()
    return {"lease": task.lease.id, "expires": round(max(0.0, expires), 1), "clip": shown, "left": task.left}
