"""`/v1/people`, `/v1/consent` and what belongs to it: agreeing, looking, taking out, changing one's mind.

Whoever asks is a contributor (`people.py`) and sees what is their own and nothing else.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from stt_server.collection.consent import agree
from stt_server.collection.takeout import take_out
from stt_server.collection.withdrawal import take_back, withdraw
from stt_server.errors import BadInput, Forbidden, NotFound, Unavailable
from stt_server.store import clips, consents, people
from stt_server.store.clips import ClipFilter
from stt_server.store.consents import Way
from stt_server.store.rights import parse_purposes
from stt_server.store.ring import now
from stt_server.store.withdrawal import Why
from stt_server.web.asked import limit_of
from stt_server.web.context import identity_of, services_of
from stt_server.web.downloads import send
from stt_server.web.links import link_to
from stt_server.web.payloads import read_json
from stt_server.web.people import person_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from stt_server.store.clips import KeptClip
    from stt_server.store.consents import Consent
    from stt_server.store.database import Database
    from stt_server.store.people import Person

T = TypeVar("T")

WITHDRAWAL_S: Final = 55.0  # how long an answer waits; the deleting itself does not stop with it
BODY_BYTES: Final = 4096
MOST_CLIPS: Final = 200  # in one answer


class Agreement(BaseModel):
    """What somebody agrees to."""

    model_config = ConfigDict(extra="forbid")

    version: str = Field(max_length=40)
    purposes: list[str] = Field(max_length=10)
    way: Literal[Way.PAGE, Way.API] = Way.API


async def create_person(request: web.Request) -> web.Response:
    """Somebody new, and the token by which they are known: shown now and never again.

    Raises Forbidden for a contributor: what one of them may give and ask would have no bound.
    """
    if identity_of(request).person is not None:
        raise Forbidden("You are a contributor already; who has a key can make another.")
    person, token = await services_of(request).store.run(_create)
    return web.json_response({"person": person.id, "token": token}, status=201)


async def show(request: web.Request) -> web.Response:
    """What the one who asks agreed to, what there is to agree to, how many clips are kept."""
    return await _answer(request, await person_of(request))


async def put(request: web.Request) -> web.Response:
    """Agree to these purposes from now on, and to no others. Raises Conflict for words that have changed since."""
    services, person = services_of(request), await _contributor(request)
    asked = await read_json(request, Agreement, BODY_BYTES)
    purposes = parse_purposes(asked.purposes)
    services.terms.check(asked.version)
    services.consents.forget(person.id)
    days = services.settings.consent_days
    terms = (services.terms, purposes, asked.way, person.id, days)
    await _finished(lambda: agree(services.store, services.objects, person.id, *terms))
    await services.consents.renewed()
    return await _answer(request, person)


async def delete(request: web.Request) -> web.Response:
    """Withdraw: everything of the one who asks goes, from this moment on nothing more is kept."""
    services, person = services_of(request), await _contributor(request)
    services.consents.forget(person.id)
    report = await _finished(lambda: withdraw(services.store, services.objects, person.id, person.id))
    told = {"clips": report.clips, "snapshots": len(report.snapshots), "votes": report.votes}
    return web.json_response(told | {"models": list(report.models), "left": report.left})


async def list_clips(request: web.Request) -> web.Response:
    """The clips of the one who asks, newest first."""
    limit, after = limit_of(request, MOST_CLIPS), request.query.get("after") or None
    person = await person_of(request)
    found = await services_of(request).store.run(_page, person.id, after, limit + 1) if person else []
    more = found[limit - 1].id if len(found) > limit else None
    return web.json_response({"clips": [_told(request, each) for each in found[:limit]], "next": more})


async def takeout(request: web.Request) -> web.StreamResponse:
    """A zip of all that the one who asks has given, made while it is sent."""
    services, person = services_of(request), await _contributor(request)
    pieces = take_out(services.store, services.objects, person.id)
    return await send(request, pieces, "my-clips.zip", "application/zip")


async def delete_clip(request: web.Request) -> web.Response:
    """Delete one clip of the one who asks, as if they had withdrawn it alone. Raises NotFound, also for another's."""
    services, clip_id = services_of(request), request.match_info["clip"]
    person = await person_of(request)
    if person is None or not await services.store.run(_is_theirs, clip_id, person.id):
        raise NotFound(f"You have given no clip {clip_id[:64]}.")
    await _finished(lambda: take_back(services.store, services.objects, [clip_id], person.id, Why.OWNER))
    return web.Response(status=204)


async def _contributor(request: web.Request) -> Person:
    person = await person_of(request, make=True)
    if person is None:
        raise BadInput(
            "This says nobody's consent: send a contributor's token as X-Contributor; POST /v1/people makes one.",
            field="contributor",
        )
    return person


async def _answer(request: web.Request, person: Person | None) -> web.Response:
    services = services_of(request)
    given, count = await services.store.run(_state, person.id) if person else (None, 0)
    terms = services.terms
    offer = {"version": terms.version, "text": terms.text, "purposes": dict(terms.purposes)}
    told = {"consent": _shown(given), "offer": offer, "collecting": services.consents.collecting, "clips": count}
    return web.json_response(told)


async def _finished(work: Callable[[], T]) -> T:
    """Work in a thread that goes on when nobody waits any more. Raises Unavailable after WITHDRAWAL_S."""
    task = asyncio.ensure_future(asyncio.to_thread(work))
    task.add_done_callback(lambda done: done.cancelled() or done.exception())  # nobody may be left to ask for it
    try:
        return await asyncio.wait_for(asyncio.shield(task), WITHDRAWAL_S)
    except TimeoutError:
        raise Unavailable("It takes long to delete everything, and goes on; nothing new is kept.") from None


def _shown(given: Consent | None) -> dict[str, Any] | None:
    if given is None:
        return None
    return {
        "version": given.version,
        "purposes": sorted(given.purposes),
        "given": given.given.isoformat(),
        "expires": given.expires.isoformat() if given.expires else None,
        "way": given.way,
    }


def _told(request: web.Request, clip: KeptClip) -> dict[str, Any]:
    return {
        "id": clip.id,
        "created": clip.created.isoformat(),
        "duration_s": round(clip.duration_s, 3),
        "hypothesis": clip.hypothesis,
        "text": clip.text,
        "status": clip.status,
        "audio": link_to(request, clip.id),
    }


def _create(database: Database) -> tuple[Person, str]:
    with database.write() as connection:
        return people.create(connection, now())


def _state(database: Database, person_id: str) -> tuple[Consent | None, int]:
    with database.read() as connection:
        return consents.current(connection, person_id, now()), len(clips.of_person(connection, person_id))


def _page(database: Database, person_id: str, after: str | None, limit: int) -> list[KeptClip]:
    with database.read() as connection:
        return clips.listed(connection, ClipFilter(person_id=person_id), after=after, limit=limit)


def _is_theirs(database: Database, clip_id: str, person_id: str) -> bool:
    with database.read() as connection:
        return clips.get(connection, clip_id).person_id == person_id
