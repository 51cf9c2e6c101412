"""Who may come in: a place is reserved before the websocket upgrade and freed when the stream ends.

Places are bounded in number, and whatever their number nobody comes in while the engines are loaded (`load`).

Used on the event loop only, hence without a lock. One `Admission` serves all engines of a server.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from stt_server.errors import Busy, Unavailable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stt_server.engine.limits import Limits
    from stt_server.engine.load import Load, Reason
    from stt_server.metrics import Metrics


class Place:
    """The right to one stream. `release` it in any case; what was released once stays so."""

    __slots__ = ("_admission", "held", "live")

    def __init__(self, admission: Admission, *, live: bool) -> None:
        self._admission = admission
        self.live = live
        self.held = True

    def release(self) -> None:
        if self.held:
            self.held = False
            self._admission.leave(live=self.live)


class Admission:
    """Counts the places given out, live streams and uploads apart."""

    def __init__(self, limits: Limits, metrics: Metrics) -> None:
        self._limits = limits
        self._metrics = metrics
        self._taken = {True: 0, False: 0}
        self.open = True

    def enter(self, loads: Sequence[Load], *, live: bool) -> Place:
        """A place for one stream on an engine whose load is among `loads`.

        Raises Unavailable once closed, Busy when all places are taken or every engine is loaded.
        """
        self.check_open()
        bound = self._limits.max_streams if live else self._limits.max_uploads
        if self._taken[live] >= bound:
            raise self._refusal("full", f"all {bound} {_kind(live)} are taken")
        streams = self._taken[True] / len(loads)
        reasons = [load.refuses(streams, live=live) for load in loads]
        if reasons[0] and all(reasons):
            raise self._refusal(reasons[0], _LOADED[reasons[0]])
        self._taken[live] += 1
        return Place(self, live=live)

    def check_open(self) -> None:
        if not self.open:
            self._metrics.refused("draining")
            raise Unavailable("the server is shutting down and takes no new streams; try again later")

    def close(self) -> None:
        """No further place is given; those given stay."""
        self.open = False

    def leave(self, *, live: bool) -> None:
        self._taken[live] -= 1

    def _refusal(self, reason: str, sentence: str) -> Busy:
        self._metrics.refused(reason)
        again_s = self._limits.retry_after_s
        return Busy(f"{sentence}; try again in {again_s:g} s", retry_after_s=again_s)


_LOADED: Final[dict[Reason, str]] = {
    "lag": "the server is behind with the streams it has",
    "load": "the streams that the server has are all that it can keep up with",
}


def _kind(live: bool) -> str:
    return "live streams" if live else "uploads"
