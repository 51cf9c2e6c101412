"""An engine is one inference thread with its batcher; a server holds one or more, behind one admission.

The way between the two sides: sessions put on the inbox under its lock, the thread hands an `Outcome` to the loop with
one `call_soon_threadsafe` a turn. The thread touches nothing else of asyncio, and the loop nothing of a stream.
"""

from __future__ import annotations

import asyncio
import threading
import time
from typing import TYPE_CHECKING, Final

from stt_server.engine.admission import Admission
from stt_server.engine.batcher import Batcher, internal_error
from stt_server.engine.inbox import Inbox, Lane
from stt_server.engine.load import Load
from stt_server.engine.session import Session
from stt_server.engine.shadow import Shadows
from stt_server.engine.watch import EVERY_S, Watch
from stt_server.errors import Internal, Unavailable
from stt_server.logs import EventLog
from stt_server.messages import Ready
from stt_server.speech.pcm import AudioFormat

if TYPE_CHECKING:
    from collections.abc import Callable

    from stt_server.engine.admission import Place
    from stt_server.engine.batcher import Outcome
    from stt_server.engine.interface import Recognizer
    from stt_server.engine.limits import Limits
    from stt_server.engine.lineup import Pick
    from stt_server.engine.shadow import Shadow
    from stt_server.engine.trial import Tally
    from stt_server.errors import EarloopError
    from stt_server.messages import Event, Open
    from stt_server.metrics import Metrics

JOIN_S: Final = 5.0

log = EventLog("engine")


class Engine:
    """Used from one event loop: that of `start`. `compared` is told of shadows that heard all their sessions did."""

    def __init__(
        self,
        limits: Limits,
        metrics: Metrics,
        *,
        admission: Admission | None = None,
        clock: Callable[[], float] = time.monotonic,
        number: int = 0,
        compared: Callable[[Shadow], None] = lambda shadow: None,
    ) -> None:
        self.number = number
        self._limits = limits
        self._metrics = metrics
        self._admission = admission or Admission(limits, metrics)
        self._clock = clock
        self._inbox = Inbox(limits)
        self.load = Load(limits, clock)
        self._batcher = Batcher(self._inbox, limits, metrics, self.load, clock)
        self._watch = Watch(self._turns, limits.hang_timeout_s, look=self._measure, hung=self._hung)
        self._sessions: dict[Lane, Session] = {}  # until closed
        self._running: dict[Lane, Place] = {}  # until ended
        self._tallies: dict[Lane, Tally] = {}  # the same, where their model is on trial
        self._shadows = Shadows(self._inbox, metrics, compared, pressed=lambda: self._pressed, wake=self._wake)
        self._empty = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=self._run, name="earloop-engine", daemon=True)
        self._died = False

    # -------------------------------------------------------------------------------------------------- for the server

    def start(self) -> None:
        """Start the thread. Called on the event loop whose sessions it serves."""
        self._loop = asyncio.get_running_loop()
        self._thread.start()
        self._watch.start()

    def open(self, name: str, options: Open, pick: Pick, place: Place | None = None) -> Session:
        """A new stream, in the place reserved for it or a fresh one, which it gives back when it has ended.

        The recognizer picked hears it to its end. Raises Busy or Unavailable at the door, BadOption for an option that
        cannot be; a place given is then kept.
        """
        self._admission.check_open()
        if not self.alive:
            self._metrics.refused("dead")
            raise Unavailable("the engine does not run; restart the server")
        held = place or self._admission.enter([self.load], live=options.live)
        try:
            lane = Lane(pick.recognizer, pick.recognizer.open(options), options.live)
            session = self._session(name, options, lane)
        except BaseException:
            if place is None:
                held.release()
            raise
        self._running[lane] = held
        self._sessions[lane] = session
        if pick.tally is not None:
            self._tallies[lane] = pick.tally
        if pick.shadow is not None:
            session.shadow = self._shadows.open(pick.shadow, options, pick.ids)
        self._empty.clear()
        self._metrics.stream_opened(options.protocol)
        return session

    async def drain(self, grace_s: float) -> None:
        """Take nothing new, let every stream say its finals and its reader read them, for at most `grace_s`; close."""
        self._admission.close()
        self._shadows.drop("closing")
        for session in list(self._sessions.values()):
            session.finish()
        if self._sessions:
            try:
                await asyncio.wait_for(self._empty.wait(), grace_s)
            except TimeoutError:
                log.warning("drain_cut_short", streams=len(self._sessions))
        self.close()

    def close(self) -> None:
        """Fail the streams that are left and end the thread, waiting for its present batch unless it hangs."""
        self._admission.close()
        self._shadows.drop("closing")
        self._fail_all(Unavailable("the server is shutting down; connect again later"))
        self._inbox.stop()
        self._watch.stop()
        if self._thread.is_alive() and not self._watch.hangs:
            self._thread.join(JOIN_S)

    @property
    def alive(self) -> bool:
        """Whether the thread runs and does not hang. One that died stays dead; one that hangs may come back."""
        return self.runs and not self._watch.hangs

    @property
    def runs(self) -> bool:
        """Whether the thread is there; once it is not, no restart brings it back."""
        return self._thread.is_alive() and not self._died

    @property
    def open_streams(self) -> int:
        return len(self._running)

    @property
    def recognizers(self) -> list[Recognizer]:
        """Those that streams are heard with now, each once."""
        return list({id(lane.recognizer): lane.recognizer for lane in self._running}.values())

    @property
    def lag_s(self) -> float:
        """How much later than real time the live stream that is worst off is worked through, at this moment."""
        now = self._clock()
        return max((lane.overdue_s(now) for lane in self._running if lane.live), default=0.0)

    # ------------------------------------------------------------------------------------------ sessions, on the loop

    def _session(self, name: str, options: Open, lane: Lane) -> Session:
        audio, model = options.audio, lane.recognizer
        return Session(
            Ready(name, model.name, model.language, audio, version=model.version),
            options,
            AudioFormat(audio.encoding, audio.sample_rate, audio.channels).bytes_per_second,
            lane,
            self._inbox,
            self._limits,
            self._clock,
            ended=self._ended,
            closed=self._closed,
        )

    def _deliver(self, outcome: Outcome) -> None:
        for lane, events in outcome.events.items():
            self._count(lane, events)
            if session := self._sessions.get(lane):
                session.deliver(events)
            else:
                self._shadows.deliver(lane, events)
        self._wake(outcome.roomy)

    def _count(self, lane: Lane, events: list[Event]) -> None:
        if tally := self._tallies.get(lane):
            for event in events:
                tally.said(event)

    def _wake(self, lanes: list[Lane]) -> None:
        for lane in lanes:
            if session := self._sessions.get(lane):
                session.wake()

    def _ended(self, session: Session) -> None:
        self._running.pop(session.lane).release()
        self._tallies.pop(session.lane, None)
        self._metrics.stream_closed(session.options.protocol)
        if session.error is not None:
            self._metrics.failed(session.error.code)
        self._wake(self._inbox.remove(session.lane))

    def _closed(self, session: Session) -> None:
        del self._sessions[session.lane]
        if not self._sessions:
            self._empty.set()

    def _fail_all(self, error: EarloopError) -> None:
        for session in list(self._sessions.values()):
            session.fail(error)

    @property
    def _pressed(self) -> bool:
        """Whether an upload would be turned away now: then there is no time for what nobody waits for."""
        return self.load.refuses(self._live, live=False) is not None

    @property
    def _live(self) -> int:
        return sum(lane.live for lane in self._running)

    # ------------------------------------------------------------------------------------------ the watch, on the loop

    def _turns(self) -> tuple[int, bool]:
        return self._batcher.turns, self._batcher.in_turn

    def _measure(self) -> None:
        self.load.sample(self.lag_s, EVERY_S)
        self._metrics.load(self.number, lag_s=self.load.lag_s, need=self.load.need(self._live))
        if self._shadows.any and self._pressed:
            self._shadows.drop("load")

    def _hung(self) -> None:
        """Streams must not wait for what may never come; `alive` is False from now on."""
        timeout_s = self._limits.hang_timeout_s
        log.error("engine_hangs", engine=self.number, seconds=timeout_s, streams=len(self._sessions))
        self._fail_all(Internal(f"the model has not answered for {timeout_s:g} s; tell the operator, and try again"))

    def _bury(self, error: EarloopError) -> None:
        self._watch.stop()
        self._fail_all(error)

    # ------------------------------------------------------------------------------------------------------ the thread

    def _run(self) -> None:
        try:
            while self._turn():
                pass
        except BaseException:  # noqa: BLE001 - the thread's end: what killed it is logged, its streams are told
            error = internal_error()
            self._died = True  # before the streams hear of it: whoever asks then is told the same
            self._tell_loop(lambda: self._bury(error))

    def _turn(self) -> bool:
        """One turn in a frame of its own: while the next one waits for work, nothing of this one is held."""
        outcome = self._batcher.turn()
        if outcome is None:
            return False
        if outcome:
            self._tell_loop(lambda: self._deliver(outcome))
        return True

    def _tell_loop(self, call: Callable[[], None]) -> None:
        assert self._loop is not None
        if not self._loop.is_closed():  # a loop that ended without `close` has no sessions left to tell
            self._loop.call_soon_threadsafe(call)
