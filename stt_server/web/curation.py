"""`/v1/tagging/…` for curators: what taggers cannot settle, an expert's word on it, reopening, gold, suspicions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, RootModel

from stt_server.store.ring import now
from stt_server.store.votes import MOST_LISTED
from stt_server.tagging import curation
from stt_server.web.asked import limit_of
from stt_server.web.context import identity_of, services_of
from stt_server.web.links import link_to
from stt_server.web.payloads import read_json
from stt_server.web.people import person_of
from stt_server.web.tagging import BOUND_BYTES, Said, judge_of, terms_of

if TYPE_CHECKING:
    from stt_server.store.clips import KeptClip
    from stt_server.tagging.curation import Disputed

MOST_SUSPICIONS: Final = 1000  # in one request: each is a step of one transaction


class Suspicion(BaseModel):
    """How sure training is that a clip's label is wrong."""

    model_config = ConfigDict(extra="forbid")

    clip: str = Field(max_length=64)
    suspect: float = Field(ge=0, le=1)


class Suspicions(RootModel[list[Suspicion]]):
    """Many of them."""

    root: list[Suspicion] = Field(max_length=MOST_SUSPICIONS)


class Gold(BaseModel):
    """Whether a clip is to measure taggers."""

    model_config = ConfigDict(extra="forbid")

    gold: bool = True


async def conflicts(request: web.Request) -> web.Response:
    """Clips that wait for an expert, and those that taggers are torn about, with their votes; ordered by id."""
    limit = limit_of(request, MOST_LISTED)
    found = await services_of(request).store.run(curation.conflicts, request.query.get("after"), limit)
    following = found[-1].clip.id if len(found) == limit else None
    return web.json_response({"clips": [_disputed(request, each) for each in found], "next": following})


async def decide(request: web.Request) -> web.Response:
    """An expert's word."""
    services, person = services_of(request), await judge_of(request)
    said = await read_json(request, Said, BOUND_BYTES)
    ident, rules = request.match_info["clip"], terms_of(services.settings).rules
    clip = await services.store.run(curation.decide, person, ident, said.verdict, said.text, now(), rules)
    return web.json_response(_standing(clip))


async def reopen(request: web.Request) -> web.Response:
    """Judge a clip from the beginning."""
    services, actor = services_of(request), await _actor(request)
    clip = await services.store.run(curation.reopen, actor, request.match_info["clip"], now())
    return web.json_response(_standing(clip))


async def gold(request: web.Request) -> web.Response:
    """Let a decided clip measure taggers, or not any more."""
    services, actor = services_of(request), await _actor(request)
    wanted = await read_json(request, Gold, BOUND_BYTES)
    ident = request.match_info["clip"]
    await services.store.run(curation.set_gold, actor, ident, now(), gold=wanted.gold)
    return web.json_response({"clip": ident, "gold": wanted.gold})


async def suspects(request: web.Request) -> web.Response:
    """What training suspects; the dubious are judged anew."""
    services, actor = services_of(request), await _actor(request)
    told = await read_json(request, Suspicions)
    found = [(each.clip, each.suspect) for each in told.root]
    return web.json_response({"reopened": await services.store.run(curation.suspect, actor, found, now())})


async def _actor(request: web.Request) -> str:
    """Who is named in the audit log: a person where there is one, else the key."""
    person = await person_of(request)
    return identity_of(request).id if person is None else person.id


def _disputed(request: web.Request, each: Disputed) -> dict[str, Any]:
    clip = each.clip
    return {
        "id": clip.id,
        "audio": link_to(request, clip.id),
        "duration_s": clip.duration_s,
        "hypothesis": clip.hypothesis,
        "words": clip.words,
        "language": clip.language,
        "status": clip.status,
        "votes": [{"verdict": vote.verdict, "text": vote.text, "expert": vote.expert} for vote in each.votes],
    }


def _standing(clip: KeptClip) -> dict[str, Any]:
    return {"clip": clip.id, "status": clip.status, "verdict": clip.verdict, "text": clip.text, "round": clip.round}
