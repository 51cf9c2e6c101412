"""A candidate that hears a stream beside the model that answers it, and says nothing to anybody.

    session ── each piece of audio, each Flush and Finish ──► its shadow's lane ─ ─ thread, when nothing else is ready
    session ── its finals ──► Shadow ◄── the shadow's finals

A shadow lives on the same engine as its session, in a lane of its own. It is dropped first: when its lane is full, when
the engine is so loaded that uploads are turned away, when its model fails, when its session ends otherwise than by
Finished, when the server leaves. Only one that has heard all that its session heard is told of (`whole`); the finals of
both are kept in memory until then and not longer.

Used on the event loop only.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final, Literal

from stt_server.engine.inbox import Lane
from stt_server.errors import EarloopError
from stt_server.messages import Failed, Finished
from stt_server.messages import Final as Utterance

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from stt_server.engine.inbox import Inbox, Piece
    from stt_server.engine.interface import Recognizer
    from stt_server.messages import Event, Open
    from stt_server.metrics import Metrics

MOST: Final = 8  # at once: what they hold of audio and words is bounded by that

Dropped = Literal["behind", "load", "failed", "session", "closing"]


class Shadow:
    """`ended` is called once: with None when it is whole, else with why it was dropped. Ids are of models."""

    def __init__(
        self, lane: Lane, inbox: Inbox, ids: tuple[str, str], ended: Callable[[Shadow, Dropped | None], None]
    ) -> None:
        self.lane = lane
        self.model_id, self.live_id = ids
        self.live_finals: list[Utterance] = []
        self.own_finals: list[Utterance] = []
        self._inbox = inbox
        self._on_ended = ended
        self._live_done = self._own_done = False
        self._over = False

    def hear(self, piece: Piece) -> None:
        """What the session was just sent."""
        if self._over:
            return
        if not self._inbox.put(self.lane, replace(piece, acknowledge=False) if piece.acknowledge else piece):
            self.drop("behind")

    def answered(self, event: Event) -> None:
        """What the session said."""
        if isinstance(event, Utterance):
            self.live_finals.append(event)
        elif isinstance(event, Finished):
            self._live_done = True
            self._finish()

    def said(self, events: Iterable[Event]) -> None:
        """What the candidate says."""
        for event in events:
            if isinstance(event, Utterance):
                self.own_finals.append(event)
            elif isinstance(event, Finished):
                self._own_done = True
                self._finish()
            elif isinstance(event, Failed):
                self.drop("failed")

    def drop(self, why: Dropped) -> None:
        """End it now; nothing for one that is over."""
        if not self._over:
            self._end(why)

    def session_ended(self) -> None:
        """The session is over; unless it was Finished, nothing can be compared."""
        if not self._live_done:
            self.drop("session")

    def _finish(self) -> None:
        if self._live_done and self._own_done and not self._over:
            self._end(None)

    def _end(self, why: Dropped | None) -> None:
        self._over = True
        self._on_ended(self, why)


class Shadows:
    """All of one engine. `compared` is told of those that are whole, `pressed` says that there is no time for them,
    `wake` those whose audio may have room now.
    """

    def __init__(
        self,
        inbox: Inbox,
        metrics: Metrics,
        compared: Callable[[Shadow], None],
        *,
        pressed: Callable[[], bool],
        wake: Callable[[list[Lane]], None],
    ) -> None:
        self._inbox, self._metrics, self._compared = inbox, metrics, compared
        self._pressed, self._wake = pressed, wake
        self._there: dict[Lane, Shadow] = {}

    @property
    def any(self) -> bool:
        return bool(self._there)

    def open(self, candidate: Recognizer, options: Open, ids: tuple[str, str]) -> Shadow | None:
        """One that hears a session along; None while there is no time or room for it."""
        if self._pressed() or len(self._there) >= MOST:
            self._metrics.shadow_dropped("load")
            return None
        silent = replace(options, partials=False, live=False, acknowledge=False)
        try:
            stream = candidate.open(silent)
        except EarloopError:  # it cannot take an option that the live model takes
            self._metrics.shadow_dropped("failed")
            return None
        lane = Lane(candidate, stream, live=False, shadow=True)
        shadow = self._there[lane] = Shadow(lane, self._inbox, ids, self._ended)
        return shadow

    def deliver(self, lane: Lane, events: Iterable[Event]) -> None:
        """What a candidate said in one lane; nothing for a lane that is gone."""
        if shadow := self._there.get(lane):
            shadow.said(events)

    def drop(self, why: Dropped) -> None:
        """End them all."""
        for shadow in list(self._there.values()):
            shadow.drop(why)

    def _ended(self, shadow: Shadow, why: Dropped | None) -> None:
        del self._there[shadow.lane]
        self._wake(self._inbox.remove(shadow.lane))
        if why is None:
            self._metrics.shadow_ended()
            self._compared(shadow)
        else:
            self._metrics.shadow_dropped(why)
