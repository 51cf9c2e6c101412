"""Who may come in. One middleware in front of every handler, so that no route can forget to ask.

| the server listens | keys in the database | asks for a key |
| --- | --- | --- |
| on loopback | none was ever made | no: everybody is one anonymous operator who may do everything |
| on loopback | some | yes |
| beyond | whether or not | yes |
| anywhere, with `open` | whether or not | no, but who shows a valid key is known by it and bound to its limits |

A page's login (sessions.py) stands for the key or the contributor that logged in; a key in the request goes before it.
Refusals come before the upgrade of a WebSocket, as plain HTTP. Keys are never logged; their ids may be.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from aiohttp import web

from stt_server.addresses import is_loopback
from stt_server.errors import Forbidden, LimitReached, Unauthorized
from stt_server.logs import EventLog
from stt_server.store import keys
from stt_server.store.rights import ALL_SCOPES, KeyLimits, Scope, allows
from stt_server.store.ring import now
from stt_server.web.context import ANONYMOUS, IDENTITY, MAY_OPEN, Identity
from stt_server.web.credentials import credential_of
from stt_server.web.logins import Failures
from stt_server.web.parking import parking_of
from stt_server.web.quotas import Quotas
from stt_server.web.route import route_of
from stt_server.web.sessions import SESSION, Session, Who, check_csrf, session_of

if TYPE_CHECKING:
    from stt_server.services import Services
    from stt_server.store.database import Database
    from stt_server.store.keys import Credential, Key
    from stt_server.store.people import Person
    from stt_server.web.route import Handler

CONTRIBUTORS: Final = frozenset({Scope.CONTRIBUTE})  # what a contributor's token opens by itself
CONTRIBUTORS_LIMITS: Final = KeyLimits(max_uploads=2, requests_per_minute=120)  # a recorder asks twice for each clip

log = EventLog("access")


class Access:
    """The keys of a server, and whether it asks for them."""

    def __init__(self, services: Services) -> None:
        self._ring = services.keys
        self._metrics = services.metrics
        self._open = services.settings.open
        self._on_loopback = is_loopback(services.settings.host)
        self._failures = Failures()
        self._people = services.consents
        self.quotas = Quotas(services.keys)
        services.keys.watch(self.quotas.settle)
        services.engines.watch(self.quotas.opened)

    @property
    def needs_key(self) -> bool:
        return not self._open and (self._ring.any or not self._on_loopback)

    async def identify(self, request: web.Request) -> Identity:
        """Who asks.

        Raises Unauthorized, LimitReached after too many wrong keys, BadInput for two different ones, and Forbidden for
        what changes something by a cookie without our page's token.
        """
        shown = credential_of(request, ours_only=not self.needs_key)
        if shown is None:
            return await self._logged_in(request)
        if self.needs_key:
            return _identity(await self.right_key(request, shown))
        key = self._ring.find(shown)
        return _identity(key) if key else ANONYMOUS

    async def right_key(self, request: web.Request, shown: Credential) -> Key:
        """The key that was shown. Raises Unauthorized, LimitReached after too many wrong ones."""
        key = self._ring.find(shown)
        if key is None:
            self.count(request)
            await self._ring.renewed()  # it may have been made a moment ago
            key = self._ring.find(shown)
        if key is None:
            raise Unauthorized("The API key is not valid: it is unknown, expired or revoked.")
        return key

    async def right_person(self, request: web.Request, shown: Credential) -> Person:
        """The contributor whose token was shown. Raises as `right_key`."""
        person = self._people.find(shown)
        if person is None:
            self.count(request)
            await self._people.renewed()
            person = self._people.find(shown)
        if person is None:
            raise Unauthorized("The contributor's token is not valid.")
        return person

    async def _logged_in(self, request: web.Request) -> Identity:
        """Whom the request's cookie stands for."""
        session = session_of(request)
        identity = self._known(session) if session else None
        if session and identity:
            check_csrf(request, session)
            request[SESSION] = session
            return identity
        if not self.needs_key:
            return ANONYMOUS
        raise Unauthorized("This needs an API key: send it as `Authorization: Bearer KEY` or `X-API-Key: KEY`.")

    def _known(self, session: Session) -> Identity | None:
        """None for a login whose key has ended."""
        if session.who is Who.KEY:
            key = self._ring.living(session.id)
            return _identity(key) if key else None
        person = self._people.person(session.id)
        scopes = CONTRIBUTORS if self.needs_key else ALL_SCOPES
        return Identity(person.id, "contributor", scopes, CONTRIBUTORS_LIMITS, person=person.id) if person else None

    def count(self, request: web.Request) -> None:
        """Note a key that is not known, yet. Raises LimitReached."""
        self._metrics.refused("wrong_key")
        try:
            self._failures.note(request.remote or "")
        except LimitReached:
            log.debug("too_many_wrong_keys", address=request.remote)
            raise
        log.info("wrong_key", address=request.remote, path=request.path)


ACCESS: Final = web.AppKey("access", Access)


@web.middleware
async def check_access(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Let nobody to a handler who may not. Raises Unauthorized, Forbidden, LimitReached, BadInput."""
    route, access = route_of(request), request.app[ACCESS]
    if route is None or route.scope is None:
        return await handler(request)
    identity = request[IDENTITY] = await access.identify(request)
    if not allows(identity.scopes, route.scope):
        raise Forbidden(f"The API key may not do this: it needs the scope {route.scope}.")
    with access.quotas.use(identity, route, may_resume=parking_of(request).expects(identity.id)) as may_open:
        request[MAY_OPEN] = may_open
        return await handler(request)


async def settle(app: web.Application) -> None:
    """Count the last audio, when all sessions are over."""
    app[ACCESS].quotas.settle()


async def first_key(services: Services) -> str | None:
    """An admin's key for a server beyond loopback that asks for keys where none was ever made; else None."""
    settings = services.settings
    if settings.open or is_loopback(settings.host) or services.keys.any:
        return None
    return await services.store.run(_make_first)


def _make_first(database: Database) -> str | None:
    with database.write() as connection:
        return keys.create_first(connection, "first", now())


def _identity(key: Key) -> Identity:
    return Identity(key.id, key.name, key.scopes, key.limits, key.vocabulary)
