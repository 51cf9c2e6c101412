"""What the inference thread does, turn by turn: take what came, move the ready streams one step, say what was heard.

    inbox ─ accept, stream by stream ─ choose ─ ONE advance for up to max_batch streams ─ take ─ Outcome

A stream's audio is taken from the inbox only while it has no full step, so the bound of its queue is the bound of all
its audio. While a batch runs, new audio piles up and is accepted in one go. Live streams go before uploads: an upload
advances when no live stream is ready, and once in `UPLOAD_SHARE` batches, so that a busy server still ends its uploads.

One stream costs a call of the model nearly as much as four. Two batches therefore begin at least `gather_s` apart, in
which the streams that become ready meanwhile join the second; a stream alone on the server never waits for it.

Streams of several models may be there at once, while one takes over from another: a batch holds those of one model, the
longest unserved first. Shadows, streams that nobody waits for, advance a few at a time when nothing else is ready; they
count neither as load nor in the metrics.

Nothing here knows asyncio: the thread hands an `Outcome` to the loop (`Engine`), once a turn.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Final

from stt_server import messages
from stt_server.errors import EarloopError, Internal
from stt_server.logs import EventLog
from stt_server.messages import Audio, Behind, Failed, Finished, Flush, Heard

if TYPE_CHECKING:
    from collections.abc import Callable

    from stt_server.engine.inbox import Inbox, Lane, Piece
    from stt_server.engine.limits import Limits
    from stt_server.engine.load import Load
    from stt_server.messages import Event
    from stt_server.metrics import Metrics

UPLOAD_SHARE: Final = 8
SHADOW_BATCH: Final = 4  # streams: how long one batch of shadows makes a live stream wait
TAKE_S: Final = 0.5  # audio accepted at once: bounds what one stream makes the others wait
NOTICE_EVERY_S: Final = 1.0

log = EventLog("engine")


@dataclass(slots=True)
class Outcome:
    """What a turn has for the event loop: events by stream, and streams whose sender may go on."""

    events: dict[Lane, list[Event]] = field(default_factory=dict)
    roomy: list[Lane] = field(default_factory=list)

    def say(self, lane: Lane, event: Event) -> None:
        self.events.setdefault(lane, []).append(event)

    def __bool__(self) -> bool:
        return bool(self.events or self.roomy)


class Batcher:
    """Belongs to one thread; `turn` is called there again and again."""

    def __init__(
        self,
        inbox: Inbox,
        limits: Limits,
        metrics: Metrics,
        load: Load,
        clock: Callable[[], float],
    ) -> None:
        self._inbox = inbox
        self._limits = limits
        self._metrics = metrics
        self._load = load
        self._clock = clock
        # Streams that may have something to do, the longest unserved first.
        self._live: dict[Lane, None] = {}
        self._uploads: dict[Lane, None] = {}
        self._shadows: dict[Lane, None] = {}
        self._passed_over = 0
        self._began = -limits.gather_s  # when the last batch did
        self._accepted_s = 0.0  # of audio in this turn
        self._outcome = Outcome()
        self.turns = 0  # ended so far
        self.in_turn = False  # at work, not waiting for it

    def turn(self) -> Outcome | None:
        """Wait for work, do one batch of it. None when the inbox was stopped."""
        gather_s = self._began + self._limits.gather_s - self._clock()
        news = self._inbox.news(wait=not (self._live or self._uploads or self._shadows), gather_s=gather_s)
        if news is None:
            return None
        self.in_turn, began = True, self._clock()
        for lane in news:
            self._row_of(lane)[lane] = None
        stack = self._choose()
        if stack:
            self._advance(stack)
        self._notice_lag()
        if not (stack and stack[0].shadow):  # work that is left undone under load is no load
            self._load.worked(self._clock() - began, self._accepted_s)
        self._accepted_s = 0.0
        self.turns, self.in_turn = self.turns + 1, False
        outcome, self._outcome = self._outcome, Outcome()
        outcome.roomy = self._inbox.roomy()
        return outcome

    # ---------------------------------------------------------------------------------------------- whose turn it is

    def _row_of(self, lane: Lane) -> dict[Lane, None]:
        if lane.shadow:
            return self._shadows
        return self._live if lane.live else self._uploads

    def _choose(self) -> list[Lane]:
        """The ready streams to advance now: live before uploads, but for the uploads' small share; shadows at last."""
        live = self._fed(self._live)
        if live and not (self._uploads and self._passed_over >= UPLOAD_SHARE):
            self._passed_over += bool(self._uploads)
            return self._serve(self._live, live)
        self._passed_over = 0
        if uploads := self._fed(self._uploads):
            return self._serve(self._uploads, uploads)
        if live:
            return self._serve(self._live, live)
        return self._serve(self._shadows, self._fed(self._shadows), SHADOW_BATCH)

    def _fed(self, lanes: dict[Lane, None]) -> list[Lane]:
        """Give each stream the audio it lacks for a step. Those that have one then are ready; the others drop out."""
        ready = [lane for lane in lanes if self._guarded(lane, self._feed)]
        lanes.clear()
        lanes.update(dict.fromkeys(ready))
        return ready

    def _serve(self, lanes: dict[Lane, None], ready: list[Lane], at_most: int | None = None) -> list[Lane]:
        """The first of them, and behind it those of the same model; the others are first in the next turn."""
        alike = (lane for lane in ready if lane.recognizer is ready[0].recognizer)
        stack = list(islice(alike, at_most or self._limits.max_batch))
        for lane in stack:  # to the end of the row
            del lanes[lane]
            lanes[lane] = None
        return stack

    # --------------------------------------------------------------------------------------------------- one stream

    def _guarded(self, lane: Lane, work: Callable[[Lane], bool]) -> bool:
        """Do a stream's own work; an error in it fails this stream and no other."""
        try:
            return not (lane.over or lane.removed) and work(lane)
        except Exception as error:  # noqa: BLE001 - one of the four places that catch
            self._fail(lane, error)
            return False

    def _feed(self, lane: Lane) -> bool:
        """Accept what is queued until a step is full; whether one is."""
        while not lane.recognizer.ready(lane.stream):
            self._settle(lane)
            group = self._inbox.take(lane, TAKE_S)
            if not group or lane.over:
                return False
            self._accept(lane, group)
        return True

    def _accept(self, lane: Lane, group: list[Piece]) -> None:
        lane.taken(group)
        last = group[-1]
        if isinstance(last.command, Audio):
            lane.owes_heard = last.acknowledge
            data = [piece.command.data for piece in group if isinstance(piece.command, Audio)]
            lane.recognizer.accept(lane.stream, b"".join(data))
            self._count(lane, sum(piece.seconds for piece in group))
        elif isinstance(last.command, Flush):
            lane.recognizer.flush(lane.stream)
        else:
            lane.recognizer.finish(lane.stream)

    def _count(self, lane: Lane, seconds: float) -> None:
        if not lane.shadow:
            self._accepted_s += seconds
            self._metrics.audio(seconds)

    def _step(self, lane: Lane) -> bool:
        """Advance one stream alone."""
        if lane.recognizer.ready(lane.stream):
            lane.recognizer.advance([lane.stream])
        return True

    def _harvest(self, lane: Lane) -> bool:
        """Take what a step brought, and what is owed when it was the last one."""
        if not lane.shadow:
            self._metrics.chunk(lane.lag_s(self._clock()))
        if lane.recognizer.ready(lane.stream):
            self._say_new(lane)
        else:
            self._settle(lane)
        return True

    def _settle(self, lane: Lane) -> None:
        """All that was accepted is worked through."""
        self._say_new(lane)
        if lane.owes_heard:
            self._outcome.say(lane, Heard(lane.stream.audio_s))
        lane.owes_heard = False
        lane.worked_through()

    def _say_new(self, lane: Lane) -> None:
        for event in lane.recognizer.take(lane.stream):
            self._outcome.say(lane, event)
            if isinstance(event, messages.Final) and not lane.shadow:
                self._metrics.final(lane.lag_s(self._clock()))
            elif isinstance(event, Finished):
                lane.over = True

    # ---------------------------------------------------------------------------------------------------- the batch

    def _advance(self, stack: list[Lane]) -> None:
        started = self._clock()
        if not stack[0].shadow:  # streams need not gather for longer because of one that nobody waits for
            self._began = started
        lag_s = max(lane.lag_s(started) for lane in stack)
        try:
            stack[0].recognizer.advance([lane.stream for lane in stack])
        except Exception as error:  # noqa: BLE001 - the same
            self._advance_alone(stack, error)
        if not stack[0].shadow:
            self._metrics.batch(len(stack), lag_s)
            self._metrics.step(self._clock() - started)
        for lane in stack:
            self._guarded(lane, self._harvest)

    def _advance_alone(self, stack: list[Lane], error: Exception) -> None:
        """A batch failed: ask each stream alone, so that only those at fault fail."""
        if len(stack) == 1:
            self._fail(stack[0], error)
            return
        log.exception("batch_failed", streams=len(stack))  # noqa: LOG004 - called by the handler
        for lane in stack:
            self._guarded(lane, self._step)

    def _fail(self, lane: Lane, error: Exception) -> None:
        """Called while `error` is handled. What we did not mean to raise is logged and told as an id."""
        if not isinstance(error, EarloopError):
            error = internal_error()
        # Its traceback would keep this turn's streams alive as long as a reader keeps the event.
        self._outcome.say(lane, Failed(error.with_traceback(None)))
        lane.over = True
        lane.worked_through()

    def _notice_lag(self) -> None:
        now = self._clock()
        for lane in self._live:
            lag_ms = round(1000 * lane.overdue_s(now))
            due = now - lane.told_at >= NOTICE_EVERY_S and not lane.over
            if due and lag_ms > self._limits.lag_notice_ms:
                lane.told_at = now
                self._outcome.say(lane, Behind(lag_ms))


def internal_error() -> Internal:
    """An error for the client with an id; the traceback of the exception being handled goes to the log under it."""
    error_id = uuid.uuid4().hex[:8]
    log.exception("internal_error", id=error_id)  # noqa: LOG004 - called by a handler
    return Internal(f"the server failed on this stream (error {error_id}); try again, and tell the operator the id")
