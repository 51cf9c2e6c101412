"""What was said to the server and is not yet known to have arrived: bounded, in order, sent again after a break.

    add ─► │ unsent │ ─ take ─► │ on its way │ ─ acknowledge ─► gone
                ▲                     │
                └────── rewind ───────┘         the connection broke; the server says how far it got

Audio and commands keep their order. The server counts bytes of audio and commands; so do we, from the stream's start.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from stt_server.errors import Internal


@dataclass(frozen=True, slots=True)
class Mark:
    """How far a stream got: bytes of audio, and commands among them."""

    audio: int = 0
    commands: int = 0

    def past(self, message: str | bytes) -> Mark:
        if isinstance(message, bytes):
            return Mark(self.audio + len(message), self.commands)
        return Mark(self.audio, self.commands + 1)


class Backlog:
    """Messages of at most `bound` bytes in all; one that is longer has it to itself."""

    def __init__(self, bound: int) -> None:
        self.bound = bound
        self._unsent: deque[str | bytes] = deque()
        self._sent: deque[str | bytes] = deque()
        self._size = 0
        self._arrived = Mark()
        self.sent = Mark()

    def has_room(self, message: str | bytes) -> bool:
        return not self._size or self._size + len(message) <= self.bound

    def add(self, message: str | bytes) -> None:
        self._unsent.append(message)
        self._size += len(message)

    @property
    def on_its_way(self) -> int:
        """Bytes of audio sent and not known to have arrived."""
        return self.sent.audio - self._arrived.audio

    def take(self) -> str | bytes | None:
        """The next message to send, from now on on its way."""
        if not self._unsent:
            return None
        message = self._unsent.popleft()
        self._sent.append(message)
        self.sent = self.sent.past(message)
        return message

    def acknowledge(self, mark: Mark) -> None:
        """All up to there has arrived; less than is known is no news. Raises Internal for more than was sent."""
        if mark.audio > self.sent.audio or mark.commands > self.sent.commands:
            raise Internal(f"The server says that {mark} arrived, but only {self.sent} was sent.")
        while self._sent and self._is_within(self._sent[0], mark):
            message = self._sent.popleft()
            self._size -= len(message)
            self._arrived = self._arrived.past(message)
        if self._sent and isinstance(self._sent[0], bytes) and mark.audio > self._arrived.audio:
            part = mark.audio - self._arrived.audio
            self._sent[0] = self._sent[0][part:]
            self._size -= part
            self._arrived = Mark(mark.audio, self._arrived.commands)

    def rewind(self, mark: Mark) -> None:
        """Of what was on its way all up to `mark` has arrived, and the rest is to be sent again."""
        self.acknowledge(mark)
        if self._arrived != mark:
            raise Internal(f"The server knows only of {mark}, but {self._arrived} had arrived already.")
        self._unsent.extendleft(reversed(self._sent))
        self._sent.clear()
        self.sent = mark

    def _is_within(self, message: str | bytes, mark: Mark) -> bool:
        end = self._arrived.past(message)
        return end.audio <= mark.audio and end.commands <= mark.commands
