"""A real engine and sessions told anything in any order, by callers who stop reading, leave, or send faults.

The recognizer is the toy, whose gate holds the thread inside a batch for as long as the case likes. Whatever happens:
nothing is raised but kinds of EarloopError, queues keep their bounds, what a reader gets begins with Ready and ends
with Finished or Failed, and in the end every place is free, the thread gone and no task left.
"""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from stt_server.engine.admission import Admission
from stt_server.engine.limits import Limits
from stt_server.engine.session import PIECE_S
from stt_server.errors import BadAudio, Busy, Conflict, Internal, TimedOut, TooLarge, Unavailable
from stt_server.messages import Audio, Failed, Finish, Finished, Flush, Heard, Open, Ready
from stt_server.messages import Final as Utterance
from stt_server.metrics import Metrics
from tests.engine.toy import OneModel, Toy, loud, quiet
from tests.fuzz.budget import both_runs, play

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from stt_server.engine.session import Session
    from stt_server.messages import Event

    Way = Callable[[], Awaitable[None]]

END_S: Final = 60.0  # for a case to come to its end once nothing holds it
BOUNDS: Final = Limits(
    max_streams=3,
    max_uploads=2,
    max_stream_s=20.0,
    max_queue_s=1.0,
    max_engine_queue_s=3.0,
    max_queue_pieces=16,
    max_events=12,
    gather_s=0.0,
    max_lag_ms=10_000,
    send_timeout_s=0.02,
    write_timeout_s=0.05,
)
REFUSALS: Final = (Busy, Unavailable)
FATES: Final = (BadAudio, Conflict, Internal, TimedOut, TooLarge, Unavailable)
STEPS: Final = 25
COMMANDS: Final[list[Audio | Flush | Finish]] = [
    Audio(loud(1)),
    Audio(loud(3) + quiet(2)),
    Audio(quiet(20)),
    Audio(b""),
    Audio(b"\0"),
    Flush(),
    Finish(),
    Audio(b"BAD"),
]


@dataclass(eq=False)
class Caller:
    """One who opened a session: sends what it is told to, reads unless it is told not to."""

    session: Session
    reads: asyncio.Event = field(default_factory=asyncio.Event)
    events: list[Event] = field(default_factory=list)
    tasks: list[asyncio.Task[None]] = field(default_factory=list)
    absent: bool = False  # has left, or once did not read: who does that long enough is left alone

    def begin(self) -> None:
        self.reads.set()
        self.tasks.append(asyncio.create_task(self._read()))

    async def _read(self) -> None:
        async for event in self.session.events():
            self.events.append(event)
            await self.reads.wait()

    async def send(self, command: Audio | Flush | Finish) -> None:
        """As a client would: one thing after another; after an error nothing is certain."""
        with suppress(*FATES):
            await self.session.send(command)

    def check(self) -> None:
        assert len(self.session._events) <= BOUNDS.max_events + 1
        if (lane := self.session._lane) is not None:
            assert lane.seconds <= BOUNDS.max_queue_s + PIECE_S
            assert len(lane.pieces) <= BOUNDS.max_queue_pieces + 1
        assert all(isinstance(event, Ready) == (number == 0) for number, event in enumerate(self.events))
        assert not any(isinstance(event, Finished | Failed) for event in self.events[:-1])
        finals = [event.utterance for event in self.events if isinstance(event, Utterance)]
        assert finals == list(range(len(finals)))
        heard = [event.audio_s for event in self.events if isinstance(event, Heard)]
        assert heard == sorted(heard)

    def check_end(self) -> None:
        self.check()
        assert self.session.over
        assert self.absent or isinstance(self.events[-1], Finished | Failed)


class House:
    """One case: an engine, its callers, and dice that decide what happens."""

    def __init__(self, dice: random.Random) -> None:
        self._dice = dice
        self._toy = Toy()
        metrics = Metrics()
        self.admission = Admission(BOUNDS, metrics)
        self.engine = OneModel(self._toy, BOUNDS, metrics, admission=self.admission)
        self.callers: list[Caller] = []

    async def live(self) -> None:
        self.engine.start()
        try:
            for _ in range(STEPS):
                await self._dice.choice(self._ways())()
                await asyncio.sleep(self._dice.choice([0, 0, 0, 0.001, 0.03]))
                for caller in self.callers:
                    caller.check()
            await self._end()
        finally:
            self._toy.gate.set()
            self.engine.close()

    def _ways(self) -> list[Way]:
        ways: list[Way] = [self._open, self._hold, self._let_go]
        return [*ways, self._send, self._send, self._send, self._leave, self._look_away] if self.callers else ways

    async def _open(self) -> None:
        name = self._dice.choice(["", "", "", "poison", "fragile"])
        live, acknowledge = self._dice.random() < 0.7, self._dice.random() < 0.3
        asked = Open("fuzz", hotwords=(name,) if name else (), live=live, acknowledge=acknowledge)
        try:
            caller = Caller(self.engine.open(asked))
        except REFUSALS:
            return
        caller.begin()
        self.callers.append(caller)

    async def _send(self) -> None:
        caller = self._dice.choice(self.callers)
        command = self._dice.choice(COMMANDS if self._dice.random() < 0.3 else COMMANDS[:-2])
        sending = asyncio.create_task(caller.send(command))
        caller.tasks.append(sending)
        if self._dice.random() < 0.7:
            await sending

    async def _leave(self) -> None:
        if self._dice.random() < 0.4:
            caller = self._dice.choice(self.callers)
            caller.absent = True
            await caller.session.close()

    async def _look_away(self) -> None:
        caller = self._dice.choice(self.callers)
        if caller.reads.is_set():
            caller.absent = True
            caller.reads.clear()
        else:
            caller.reads.set()

    async def _hold(self) -> None:
        self._toy.gate.clear()

    async def _let_go(self) -> None:
        self._toy.gate.set()

    async def _end(self) -> None:
        """Everything goes on, the server drains; all must come to an end by itself."""
        self._toy.gate.set()
        for caller in self.callers:
            caller.reads.set()
        async with asyncio.timeout(END_S):
            await self.engine.drain(END_S)
            for caller in self.callers:
                await asyncio.gather(*caller.tasks)
        for caller in self.callers:
            caller.check_end()
        assert self.engine.open_streams == 0
        assert self.admission._taken == {True: 0, False: 0}
        assert not self.engine.alive
        assert asyncio.all_tasks() == {asyncio.current_task()}


@both_runs
def test_an_engine_told_anything_in_any_order_keeps_its_bounds_and_comes_to_an_end(nightly: bool):
    def case(seed: str) -> None:
        asyncio.run(House(random.Random(seed)).live())

    play("engines told anything", case, nightly=nightly)
