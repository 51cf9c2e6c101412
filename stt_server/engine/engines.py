"""All engines of a server, as the web floor sees them: one door, one state."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from stt_server.engine.admission import Admission
from stt_server.engine.engine import Engine
from stt_server.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from stt_server.engine.admission import Place
    from stt_server.engine.interface import Recognizer
    from stt_server.engine.limits import Limits
    from stt_server.engine.load import Load
    from stt_server.engine.session import Session
    from stt_server.messages import Open
    from stt_server.metrics import Metrics


class Engines:
    """`count` engines over one recognizer. Admission is counted for all of them together."""

    def __init__(self, recognizer: Recognizer, limits: Limits, metrics: Metrics, *, count: int = 1) -> None:
        self.recognizer = recognizer
        self._metrics = metrics
        self._watchers: list[Callable[[Session], None]] = []
        self._admission = Admission(limits, metrics)
        self._engines = [
            Engine(recognizer, limits, metrics, admission=self._admission, number=number) for number in range(count)
        ]

    def start(self) -> None:
        for engine in self._engines:
            engine.start()

    def reserve(self, *, live: bool = True) -> Place:
        """A place for one stream, before anything is answered. Raises Busy or Unavailable. Release it in any case."""
        return self._admission.enter([engine.load for engine in self._alive()], live=live)

    def open(self, options: Open, place: Place | None = None) -> Session:
        """A stream on the engine with the fewest, of those that are not behind if there are any.

        Raises as `reserve`, and BadOption; see `Engine.open`.
        """
        session = min(self._alive(), key=_burden).open(options, place)
        for watcher in self._watchers:
            watcher(session)
        return session

    def watch(self, opened: Callable[[Session], None]) -> None:
        """Call it with every session that opens, in the context of whoever opens it."""
        self._watchers.append(opened)

    async def drain(self, grace_s: float) -> None:
        await asyncio.gather(*(engine.drain(grace_s) for engine in self._engines))

    def close(self) -> None:
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
    def name(self) -> str:
        return self.recognizer.name

    @property
    def language(self) -> str:
        return self.recognizer.language

    @property
    def models(self) -> tuple[str, ...]:
        """The names a client may ask for."""
        return (self.recognizer.name,)

    def _alive(self) -> list[Engine]:
        alive = [engine for engine in self._engines if engine.alive]
        if not alive:
            self._admission.check_open()
            self._metrics.refused("dead")
            raise Unavailable("no engine runs; restart the server")
        return alive


def _burden(engine: Engine) -> tuple[bool, int]:
    return engine.load.refuses(0, live=True) is not None, engine.open_streams
