"""Which sessions are listened in on, because who speaks agreed: one middleware and one watcher for every protocol.

    request ── whose speech, may it be kept? ──► context ──► a session opens ──► a tap is its witness ──► recorder

Sessions open deep in handlers and in tasks of theirs; the context follows them there, so that a protocol needs no
line of its own for this, and none can keep what its neighbour must not. Where nobody agreed there is no tap at all.

A tap keeps by the consent that was there when its session opened and by no later one: between the two somebody may have
withdrawn, and what was said meanwhile is still in its ring.
"""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aiohttp import web

from stt_server.collection.keeping import Basis, Heard
from stt_server.collection.tap import LEAD_S, Tap
from stt_server.engine.lineup import Caller
from stt_server.store.rights import Scope
from stt_server.web.context import services_of
from stt_server.web.people import contributor_of, may_collect, person_of
from stt_server.web.route import route_of

if TYPE_CHECKING:
    from stt_server.engine.interface import Nameplate
    from stt_server.engine.session import Session
    from stt_server.services import Services
    from stt_server.store.consents import Consent
    from stt_server.store.people import Person
    from stt_server.web.route import Handler


@dataclass(frozen=True, slots=True)
class Speaker:
    """Whose speech a request brings, and by what device."""

    person: Person
    device: str
    keeps: bool  # the request lets it be kept


_speaker: ContextVar[Speaker | None] = ContextVar("speaker", default=None)


@web.middleware
async def collect(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Note who speaks, where anything is collected or anybody has a model of their own. Raises as `contributor_of`."""
    route, services = route_of(request), services_of(request)
    matters = services.consents.collecting or services.engines.personal
    if route is None or route.scope is not Scope.STREAM or not matters:
        return await handler(request)
    person = await (person_of(request) if services.engines.personal else contributor_of(request))
    before = _speaker.set(Speaker(person, device_of(request), may_collect(request)) if person else None)
    try:
        return await handler(request)
    finally:
        _speaker.reset(before)


def watch(services: Services) -> None:
    """Give every session that opens for somebody who agreed its tap, and let the choice of a model know who speaks."""

    def opened(session: Session) -> None:
        speaker = _speaker.get()
        if speaker and session.options.collect and (given := _given(services, speaker)):
            session.witness = _tap(services, session, speaker, given)

    def caller() -> Caller:
        speaker = _speaker.get()
        return Caller(speaker.person.id, _given(services, speaker) is not None) if speaker else Caller()

    services.engines.watch(opened)
    services.engines.identify(caller)


def _given(services: Services, speaker: Speaker) -> Consent | None:
    """By what the speech at hand may be kept and used."""
    return services.consents.may_keep(speaker.person) if speaker.keeps else None


def speaker_id() -> str | None:
    """Whose speech the request at hand brings, as far as it may be kept."""
    speaker = _speaker.get()
    return speaker.person.id if speaker and speaker.keeps else None


def device_of(request: web.Request) -> str:
    """What brings the audio: what `device` in the query says, else the User-Agent."""
    return request.query.get("device", "") or request.headers.get("User-Agent", "")


def basis_of(consent: Consent) -> Basis:
    """A clip's basis by its person's consent."""
    return Basis(frozenset(map(str, consent.purposes)), consent.person_id, consent.id)


def heard_by(recognizer: Nameplate, decoder: str | None = None, lm: str | None = None) -> Heard:
    """What recognises, before anything was heard. `lm` is the language model that the stream named."""
    own = "" if decoder == "greedy" else recognizer.lm
    return Heard(model=recognizer.version, lm=lm or own, language=recognizer.language)


def _tap(services: Services, session: Session, speaker: Speaker, given: Consent) -> Tap:
    settings, options = services.settings, session.options

    def basis() -> Basis | None:
        consent = services.consents.may_keep(speaker.person)
        return basis_of(consent) if consent and consent.id == given.id else None

    return Tap(
        session.id,
        options,
        longest_s=settings.max_utterance_s + settings.max_queue_s + LEAD_S,
        share=settings.collect_share,
        heard=heard_by(session.recognizer, options.decoder, options.lm and services.named.title(options.lm)),
        device=options.device or speaker.device,
        basis=basis,
        offer=services.recorder.offer,
        lost=services.recorder.lost,
    )
