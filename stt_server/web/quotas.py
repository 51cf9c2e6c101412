"""How much a key may use, and what it used.

Streams and uploads at once and uploads per minute are refused at the door. Audio is counted where sessions live: a
look at every open session, after each of the key ring's looks into the database, counts what has come since the last
and ends those whose key ended or has no audio left for today. Nothing of this is on the way of audio.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict, deque
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from stt_server.errors import LimitReached, Unauthorized
from stt_server.store.rights import Scope
from stt_server.store.ring import now
from stt_server.web.context import ANONYMOUS
from stt_server.web.route import WEBSOCKET

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from stt_server.engine.session import Session
    from stt_server.errors import EarloopError
    from stt_server.store.ring import KeyRing
    from stt_server.web.context import Identity
    from stt_server.web.route import Route

MINUTE_S: Final = 60.0
_COUNTED: Final = frozenset({Scope.STREAM, Scope.CONTRIBUTE})  # what hears audio or keeps it

# Who asked for what runs now. Sessions open deep in handlers and in tasks of theirs; the context follows them there,
# so that no handler can forget whose audio it is.
_caller: ContextVar[tuple[Identity, bool]] = ContextVar("caller", default=(ANONYMOUS, False))  # and whether live


@dataclass(slots=True)
class _Tab:
    """What one session is charged to."""

    identity: Identity
    live: bool
    counted_s: float | None = None  # not at all, yet


class Quotas:
    """Used on the event loop. `opened` and `settle` are to be called as the engines and the ring say."""

    def __init__(self, ring: KeyRing, clock: Callable[[], float] = time.monotonic) -> None:
        self._ring = ring
        self._clock = clock
        self._held: Counter[tuple[str, bool]] = Counter()  # per key: connections (True) and uploads (False) now
        self._uploads: defaultdict[str, deque[float]] = defaultdict(deque)  # per key: when, in the last minute
        self._tabs: dict[Session, _Tab] = {}

    @contextmanager
    def use(self, identity: Identity, route: Route, *, may_resume: bool) -> Iterator[bool]:
        """While a request of this route runs for this key. Raises LimitReached.

        Who may have come to resume a stream is let in though all places are taken: it has its place already, and is
        given False, for it may not have another.
        """
        live, upload = route.method == WEBSOCKET, route.method in {"POST", "PUT"}
        if identity is ANONYMOUS or route.scope not in _COUNTED or not (live or upload):
            yield True
            return
        self._check_audio(identity)
        if upload:
            self._check_minute(identity)
        place = identity.id, live
        over = self._over(identity, self._held[place] + 1, live=live)
        if over and not (live and may_resume):
            raise over
        self._held[place] += 1
        before = _caller.set((identity, live))
        try:
            yield over is None
        finally:
            _caller.reset(before)
            self._held[place] -= 1
            if not self._held[place]:
                del self._held[place]

    def opened(self, session: Session) -> None:
        """A session began, in the context of whoever asked for it. One too many fails, parked ones included."""
        identity, live = _caller.get()
        if identity is ANONYMOUS or identity.person:
            return  # no key is there to be charged
        self._tabs[session] = _Tab(identity, live)
        if live and (over := self._over(identity, sum(1 for _ in self._live_sessions(identity)), live=True)):
            session.fail(over)

    def settle(self) -> None:
        """Count what has come, forget sessions that are over, end those that may not go on."""
        for session, tab in list(self._tabs.items()):
            received_s = session.received_s
            first = tab.counted_s is None
            new_s, tab.counted_s = received_s - (tab.counted_s or 0.0), received_s
            sessions = {"streams" if tab.live else "uploads": int(first)}
            self._ring.use(tab.identity.id, new_s, session.recognizer.name, **sessions)
            if session.over:
                del self._tabs[session]
            elif fault := self._fault(tab.identity):
                session.fail(fault)
        horizon = self._clock() - MINUTE_S
        for ident in [ident for ident, times in self._uploads.items() if not times or times[-1] < horizon]:
            del self._uploads[ident]

    def _fault(self, identity: Identity) -> EarloopError | None:
        if not self._ring.lives(identity.id):
            return Unauthorized("The key was revoked or has expired, which ends its streams; ask for another.")
        try:
            self._check_audio(identity)
        except LimitReached as reached:
            return reached
        return None

    def _check_audio(self, identity: Identity) -> None:
        bound = identity.limits.audio_s_per_day
        if bound is None:
            return
        ours = [(session, tab) for session, tab in self._tabs.items() if tab.identity.id == identity.id]
        uncounted = sum(session.received_s - (tab.counted_s or 0.0) for session, tab in ours)
        if self._ring.used_today(identity.id) + uncounted >= bound:
            raise LimitReached(
                f"The key has used the {bound / 3600:g} hours of audio it has a day; it has more after midnight, UTC.",
                retry_after_s=_to_midnight_s(),
            )

    def _check_minute(self, identity: Identity) -> None:
        bound = identity.limits.requests_per_minute
        if bound is None:
            return
        times, moment = self._uploads[identity.id], self._clock()
        while times and times[0] <= moment - MINUTE_S:
            times.popleft()
        if len(times) >= bound:
            wait_s = times[0] + MINUTE_S - moment if times else MINUTE_S
            raise LimitReached(f"The key may send {bound} requests a minute; wait a moment.", retry_after_s=wait_s)
        times.append(moment)

    def _live_sessions(self, identity: Identity) -> Iterator[Session]:
        for session, tab in self._tabs.items():
            if tab.live and tab.identity.id == identity.id and not session.over:
                yield session

    def _over(self, identity: Identity, wanted: int, *, live: bool) -> LimitReached | None:
        """What is wrong with so many places, if anything is."""
        bound = identity.limits.max_streams if live else identity.limits.max_uploads
        if bound is None or wanted <= bound:
            return None
        return LimitReached(f"The key may have {bound} {'streams' if live else 'uploads'} at once; end one first.")


def _to_midnight_s() -> float:
    moment = now()
    midnight = (moment + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    return (midnight - moment).total_seconds()
