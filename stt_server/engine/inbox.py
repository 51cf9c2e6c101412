"""The one bounded queue from the sessions to the batcher, with a lane for each stream.

The event loop puts and removes, the batcher's thread takes and waits; the lock is held for moments and never while
anything is computed. A stream's audio is bounded in seconds and in pieces, the whole queue in seconds. A lane that is
empty may always put one piece, so that streams that filled the queue cannot keep the others out: the queue holds at
most `max_engine_queue_s` and one piece for each stream more. Shadows' audio is not counted there, lest it take room
from those who wait for an answer; each has its own bound, and there are few.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from stt_server.messages import Audio, Finish, Flush

if TYPE_CHECKING:
    from stt_server.engine.interface import Recognizer, Stream
    from stt_server.engine.limits import Limits


@dataclass(frozen=True, slots=True)
class Piece:
    """A command on its way; long audio is cut into several, of which the last one is acknowledged where asked for."""

    command: Audio | Flush | Finish
    seconds: float
    arrived: float  # on the engine's clock
    acknowledge: bool = False


@dataclass(slots=True, eq=False)
class Lane:
    """One stream's place in the queue, and what the batcher notes about the stream.

    The recognizer is that which the stream was opened with, whatever the server has gone over to since: it is gone
    when the last lane that names it is. A shadow's stream is one that nobody waits for.
    """

    recognizer: Recognizer
    stream: Stream
    live: bool
    shadow: bool = False

    # Guarded by the inbox.
    pieces: deque[Piece] = field(default_factory=deque)
    seconds: float = 0.0
    removed: bool = False

    # The batcher's own.
    since: float | None = None  # arrival of the oldest audio that was taken and is not worked through
    due: float = float("-inf")  # when that audio, or that which is queued next, would come from a client in real time
    due_next: float = float("-inf")  # the same of the audio behind it
    owes_heard: bool = False
    told_at: float = float("-inf")  # of the last Behind
    over: bool = False  # Finished or Failed was said

    def lag_s(self, now: float) -> float:
        """How long the oldest audio that is not worked through has waited. A glimpse, from any thread."""
        since = self.since
        if since is None:
            try:
                since = self.pieces[0].arrived
            except IndexError:
                return 0.0
        return now - since

    def taken(self, group: list[Piece]) -> None:
        """These pieces are worked on from now on."""
        self.since = group[0].arrived
        self.due = max(self.since, self.due_next)
        for piece in group:
            self.due_next = max(piece.arrived, self.due_next) + piece.seconds

    def worked_through(self) -> None:
        """All that was taken is."""
        self.since = None
        self.due = self.due_next

    def overdue_s(self, now: float) -> float:
        """By how much the stream is later than real time; 0 for a client that is only ahead. From any thread.

        A client that sends faster than real time makes its own audio wait: that is no lag of the server's. So audio is
        due when it has come, but no sooner than the audio before it takes to be spoken.
        """
        waited_s = self.lag_s(now)
        return max(0.0, min(waited_s, now - self.due))


class Inbox:
    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._changed = threading.Condition()
        self._seconds = 0.0
        self._news: dict[Lane, None] = {}
        self._refused: dict[Lane, Piece] = {}
        self._stopped = False

    # ------------------------------------------------------------------------------------------ on the event loop

    def put(self, lane: Lane, piece: Piece) -> bool:
        """Queue a piece. False when there is no room: the lane will be among `roomy` once there is."""
        with self._changed:
            if not self._fits(lane, piece):
                self._refused[lane] = piece
                return False
            lane.pieces.append(piece)
            self._count(lane, piece.seconds)
            self._news[lane] = None
            self._changed.notify()
            return True

    def remove(self, lane: Lane) -> list[Lane]:
        """Forget a lane and all it holds, at once; the lanes that have room by that."""
        with self._changed:
            lane.removed = True
            lane.pieces.clear()
            self._count(lane, -lane.seconds)
            self._news.pop(lane, None)
            self._refused.pop(lane, None)
            return self._take_roomy()

    def stop(self) -> None:
        """Let the batcher end after its present turn."""
        with self._changed:
            self._stopped = True
            self._changed.notify()

    # ---------------------------------------------------------------------------------------- on the batcher's thread

    def news(self, *, wait: bool, gather_s: float = 0.0) -> list[Lane] | None:
        """Lanes that got something since the last call, in order; None once stopped.

        `wait` blocks until either, and then up to `gather_s` longer for others to come.
        """
        with self._changed:
            while wait and not self._news and not self._stopped:
                self._changed.wait()
            if wait and gather_s > 0:
                self._changed.wait_for(lambda: self._stopped, gather_s)
            if self._stopped:
                return None
            lanes = list(self._news)
            self._news.clear()
            return lanes

    def take(self, lane: Lane, at_most_s: float) -> list[Piece]:
        """The lane's next pieces that may be worked on together: audio up to a bound, or a single Flush or Finish.

        Audio that wants to be acknowledged ends the group, so that what is answered does not depend on timing.
        """
        group: list[Piece] = []
        total_s = 0.0
        with self._changed:
            while lane.pieces and total_s < at_most_s:
                piece = lane.pieces[0]
                if group and not isinstance(piece.command, Audio):
                    break
                group.append(lane.pieces.popleft())
                total_s += piece.seconds
                if piece.acknowledge or not isinstance(piece.command, Audio):
                    break
            self._count(lane, -total_s)
        return group

    def roomy(self) -> list[Lane]:
        """Lanes whose piece was refused and would fit now; each is named once."""
        with self._changed:
            return self._take_roomy() if self._refused else []

    # ------------------------------------------------------------------------------------------------ with the lock

    def _fits(self, lane: Lane, piece: Piece) -> bool:
        if not lane.pieces or isinstance(piece.command, Finish):  # Finish comes once and must not be lost
            return True
        return (
            len(lane.pieces) < self._limits.max_queue_pieces
            and lane.seconds + piece.seconds <= self._limits.max_queue_s
            and (lane.shadow or self._seconds + piece.seconds <= self._limits.max_engine_queue_s)
        )

    def _count(self, lane: Lane, seconds: float) -> None:
        lane.seconds = lane.seconds + seconds if lane.pieces else 0.0
        if lane.shadow:
            return
        self._seconds = max(0.0, self._seconds + seconds)  # rounding must not go below nothing

    def _take_roomy(self) -> list[Lane]:
        roomy = [lane for lane, piece in self._refused.items() if self._fits(lane, piece)]
        for lane in roomy:
            del self._refused[lane]
        return roomy
