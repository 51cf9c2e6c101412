"""Events that came and were not read yet: bounded; whoever is behind wants the newest partial of an utterance only."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

from stt_server.errors import EarloopError, TimedOut
from stt_server.messages import Partial

if TYPE_CHECKING:
    from stt_server.client.wire import Told

EVENTS = 4096


class Unread:
    """From the task that reads the connection to the one that iterates."""

    def __init__(self) -> None:
        self._events: deque[Told] = deque()
        self._news = asyncio.Event()
        self._fault: EarloopError | None = None
        self.ended = False

    def put(self, event: Told) -> None:
        """Raises TimedOut when nobody reads."""
        last = self._events[-1] if self._events else None
        if isinstance(event, Partial) and isinstance(last, Partial) and event.utterance == last.utterance:
            self._events[-1] = event
        elif len(self._events) < EVENTS:
            self._events.append(event)
        else:
            raise TimedOut(f"{EVENTS} events wait to be read; iterate while you send.")
        self._news.set()

    def end(self, fault: EarloopError) -> None:
        """Nothing more comes, because of `fault`; the first one counts. What has come can still be read."""
        self._fault = self._fault or fault
        self.ended = True
        self._news.set()

    async def take(self) -> Told:
        """The next event. Raises the fault once all before it was read."""
        while not self._events:
            if self._fault is not None:
                raise self._fault
            self._news.clear()
            await self._news.wait()
        return self._events.popleft()
