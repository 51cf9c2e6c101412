"""How loaded an engine is, by two measurements, and whom it therefore turns away.

    lag     how much later than real time live audio is worked through, the worst stream's, smoothed over `SMOOTH_S`
    need    the share of the thread's time that live streams need: its seconds of work for a second of audio, measured
            over the last `WINDOW_S`, times the streams there are

Lag alone would come too late: streams do not get shorter because there are too many of them, so a server that has let
in one too many falls behind further and further. The need says so beforehand; what it cannot foresee, a machine that
becomes slower or a model call that takes seconds, the lag shows. A batch of many streams is cheaper than as many
batches of one, so the need is estimated too high while few streams are open and is right when it matters.

Smoothing keeps one slow batch from turning anybody away, and who was turned away for lag is let in again only at
`CLEARED` of the bound, so that the door does not flap. Uploads can wait: their bounds are lower.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Callable

    from stt_server.engine.limits import Limits

SMOOTH_S: Final = 1.0
WINDOW_S: Final = 10.0
EVIDENCE_S: Final = 20.0  # of audio, before its cost is believed: the first batches of a process are slow
CLEARED: Final = 0.5
UPLOADS_LAG: Final = 0.5  # of the bound for live streams
UPLOADS_NEED: Final = 0.75

Reason = Literal["lag", "load"]


class Load:
    """One engine's. `worked` is called by its thread; everything else on the event loop."""

    def __init__(self, limits: Limits, clock: Callable[[], float]) -> None:
        self._bound_s = limits.max_lag_ms / 1000
        self._max_need = limits.max_load
        self._clock = clock
        # Seconds of work and of audio in the window, and when that was so: one tuple, since two threads look at it.
        self._window = (0.0, 0.0, clock())
        self.lag_s = 0.0
        self._lagging = {True: False, False: False}

    def worked(self, work_s: float, audio_s: float) -> None:
        """The thread worked for `work_s` just now and took `audio_s` of audio in."""
        work_before_s, audio_before_s, now = self._faded()
        self._window = (work_before_s + work_s, audio_before_s + audio_s, now)

    def sample(self, lag_s: float, passed_s: float) -> None:
        """The lag is `lag_s` now, `passed_s` after the sample before."""
        self.lag_s += (lag_s - self.lag_s) * (1 - math.exp(-passed_s / SMOOTH_S))
        for live in (True, False):
            bound_s = self._bound_s * (1.0 if live else UPLOADS_LAG)
            self._lagging[live] = self.lag_s > bound_s * (CLEARED if self._lagging[live] else 1.0)

    def need(self, streams: float) -> float:
        """The share of the thread's time that so many live streams need; 0 while too little was measured."""
        work_s, audio_s, _ = self._faded()
        return streams * work_s / audio_s if audio_s >= EVIDENCE_S else 0.0

    def refuses(self, streams: float, *, live: bool) -> Reason | None:
        """Why one more should not come when `streams` live ones are here; None if it may. One alone always may."""
        if self._lagging[live]:
            return "lag"
        if streams and self.need(streams + 1) > self._max_need * (1.0 if live else UPLOADS_NEED):
            return "load"
        return None

    def _faded(self) -> tuple[float, float, float]:
        """The window as it is now: what is longer ago counts less."""
        work_s, audio_s, at = self._window
        now = self._clock()
        kept = math.exp((at - now) / WINDOW_S)
        return kept * work_s, kept * audio_s, now
