"""All engines of a server, as the web floor sees them: one door, one state, one line-up of models."""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import replace
from typing import TYPE_CHECKING

from stt_server.engine.admission import Admission
from stt_server.engine.engine import Engine
from stt_server.engine.lineup import Caller
from stt_server.errors import Unavailable
from stt_server.threads import pool

if TYPE_CHECKING:
    from collections.abc import Callable

    from stt_server.engine.admission import Place
    from stt_server.engine.interface import Recognizer
    from stt_server.engine.limits import Limits
    from stt_server.engine.lineup import Lineup
    from stt_server.engine.load import Load
    from stt_server.engine.session import Session
    from stt_server.engine.shadow import Shadow
    from stt_server.messages import Open
    from stt_server.metrics import Metrics


class Engines:
    """`count` engines over one line-up of models. Admission is counted for all of them together.

    A line-up is replaced by assigning another one to `lineup`: sessions that are open keep what they opened with.
    """

    def __init__(self, lineup: Lineup, limits: Limits, metrics: Metrics, *, count: int = 1) -> None:
        self.lineup = lineup
        self.compared: Callable[[Shadow], None] = lambda shadow: None  # told of shadows that heard everything
        self.spoke: Callable[[str], None] = lambda person: None  # told of contributors who have a model of their own
        self._caller: Callable[[], Caller] = Caller
        self._complete: Callable[[Open], Open] = lambda options: options
        self._metrics = metrics
        self._watchers: list[Callable[[Session], None]] = []
        self._admission = Admission(limits, metrics)
        self._maker = pool(1, "earloop-make-ready")
        self._engines = [
            Engine(limits, metrics, admission=self._admission, number=number, compared=self._tell)
            for number in range(count)
        ]

    def start(self) -> None:
        for engine in self._engines:
            engine.start()

    def reserve(self, *, live: bool = True) -> Place:
        """A place for one stream, before anything is answered. Raises Busy or Unavailable. Release it in any case."""
        return self._admission.enter([engine.load for engine in self._alive()], live=live)

    async def make_ready(self, options: Open) -> None:
        """Have what a stream will ask for ready when it opens: a large grammar takes tens of milliseconds, the language
        model of a decoder that nobody used yet longer, in which nobody else's audio would move. The recognizer keeps
        what was made last; one thread makes it, in turn.

        Raises BadOption as `open` would, and what completing the options raises.
        """
        options = self._complete(options)  # first: a stream that asks for nothing may have a default vocabulary
        if not (options.decoder or options.grammar or options.hotwords or options.hints):
            return
        recognizer = self.lineup.pick("", options, self._caller()).recognizer
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._maker, recognizer.open, replace(options, model=None))

    def open(self, options: Open, place: Place | None = None) -> Session:
        """A stream on the engine with the fewest, of those that are not behind if there are any.

        The line-up says which model hears it. Raises as `reserve`, BadOption, see `Engine.open`, and what completing
        the options raises.
        """
        options = self._complete(options)
        name = uuid.uuid4().hex[:12]
        engine = min(self._alive(), key=_burden)
        pick = self.lineup.pick(name, options, self._caller())
        session = engine.open(name, replace(options, model=None), pick, place)
        if pick.speaker:
            self.spoke(pick.speaker)
        for watcher in self._watchers:
            watcher(session)
        return session

    def identify(self, caller: Callable[[], Caller]) -> None:
        """Ask it who opens a stream, in the context of whoever opens it."""
        self._caller = caller

    def complete(self, completed: Callable[[Open], Open]) -> None:
        """Have it put what is kept in place of what options only name, in the context of whoever opens a stream."""
        self._complete = completed

    def watch(self, opened: Callable[[Session], None]) -> None:
        """Call it with every session that opens, in the context of whoever opens it."""
        self._watchers.append(opened)

    async def drain(self, grace_s: float) -> None:
        await asyncio.gather(*(engine.drain(grace_s) for engine in self._engines))

    def close(self) -> None:
        self._maker.shutdown(wait=False, cancel_futures=True)
        for engine in self._engines:
            engine.close()

    @property
    def ready(self) -> bool:
        """Whether new streams are welcome and every engine runs."""
        return self._admission.open and self.alive

    @property
    def alive(self) -> bool:
        """Whether every engine runs and none hangs."""
        return all(engine.alive for engine in self._engines)

    @property
    def runs(self) -> bool:
        """Whether any engine's thread is still there; one that hangs is, and may come back."""
        return any(engine.runs for engine in self._engines)

    @property
    def open_streams(self) -> int:
        return sum(engine.open_streams for engine in self._engines)

    @property
    def lag_s(self) -> float:
        return max(engine.lag_s for engine in self._engines)

    @property
    def loads(self) -> tuple[Load, ...]:
        """What decides, engine by engine, whether more may come."""
        return tuple(engine.load for engine in self._engines)

    @property
    def busy(self) -> set[str]:
        """By id, the models of the line-up that streams are heard with now."""
        used = [model for engine in self._engines for model in engine.recognizers]
        return {ident for ident, model in self.lineup.models.items() if any(model is each for each in used)}

    @property
    def recognizer(self) -> Recognizer:
        """The live model; what hears a session, the session knows."""
        return self.lineup.live

    @property
    def name(self) -> str:
        return self.recognizer.name

    @property
    def language(self) -> str:
        return self.recognizer.language

    @property
    def models(self) -> tuple[str, ...]:
        """The names a client may ask for."""
        return self.lineup.names

    def has_language(self, language: str) -> bool:
        """Whether a model is there for those who say that they speak it, beside the live one."""
        return self.lineup.has_language(language)

    @property
    def personal(self) -> bool:
        """Whether it matters for the choice of a model who speaks."""
        return self.lineup.personal

    def _tell(self, shadow: Shadow) -> None:
        self.compared(shadow)

    def _alive(self) -> list[Engine]:
        alive = [engine for engine in self._engines if engine.alive]
        if not alive:
            self._admission.check_open()
            self._metrics.refused("dead")
            raise Unavailable("no engine runs; restart the server")
        return alive


def _burden(engine: Engine) -> tuple[bool, int]:
    return engine.load.refuses(0, live=True) is not None, engine.open_streams
