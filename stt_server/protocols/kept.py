"""What a stream said last, numbered, so that it can be said again to a client whose connection broke.

No client says what has arrived before it resumes. So the last messages are kept, up to a bound that holds some minutes
of talk: what is older has long arrived, for a connection that takes nothing is cut off after `write_timeout_s`.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from stt_server.errors import NotFound

MESSAGES: Final = 512
BYTES: Final = 1 << 18


class Kept:
    """The last messages, with numbers that rise by one; `seq` is the last one's, 0 before the first."""

    __slots__ = ("_bytes", "_messages", "seq")

    def __init__(self) -> None:
        self.seq = 0
        self._messages: deque[str] = deque()
        self._bytes = 0

    def keep(self, message: str) -> str:
        """Keep the message that has the next number; the oldest go where the bound is passed."""
        self.seq += 1
        self._messages.append(message)
        self._bytes += len(message)
        while len(self._messages) > MESSAGES or (self._bytes > BYTES and len(self._messages) > 1):
            self._bytes -= len(self._messages.popleft())
        return message

    def after(self, seq: int) -> list[str]:
        """The messages with a greater number. Raises NotFound where one of them is not kept any more, or never was."""
        missed = self.seq - seq
        if missed < 0:
            raise NotFound(f"The stream has not said {seq} messages yet; open a new one.", field="seq")
        if missed > len(self._messages):
            raise NotFound(f"What was said after message {seq} is not kept any more; open a new stream.", field="seq")
        return list(self._messages)[len(self._messages) - missed :]
