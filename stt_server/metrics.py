"""What `/metrics` tells: one `Metrics` object per server, in a registry of its own, so that tests may have many.

Safe to call from the event loop and from the inference threads (prometheus_client locks each value). Times in seconds.
"""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, ProcessCollector, generate_latest

if TYPE_CHECKING:
    from collections.abc import Sequence

_LATENCY_S: Final = (0.005, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1.0, 2.0, 5.0, 10.0)
_STEP_S: Final = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0)
_BATCH: Final = (1, 2, 4, 8, 16, 32, 64, 128)
_THREADS: Final = Path("/proc/self/task")  # Linux: those of libraries too


class Metrics:
    """Every measured value of a server. Callers say what happened; names and buckets are decided here."""

    CONTENT_TYPE: ClassVar[str] = "text/plain; version=0.0.4; charset=utf-8"

    def __init__(self, version: str = "") -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        Gauge("earloop_tasks", "Tasks of the event loop that asks", registry=self.registry).set_function(_tasks)
        Gauge("earloop_threads", "Threads of the process", registry=self.registry).set_function(_threads)
        self._build = Info("earloop_build", "What runs here", registry=self.registry)
        self._build.info({"version": version})
        self.streams_over = 0  # of any protocol
        self._open = Gauge("earloop_streams_open", "Streams open now", ["protocol"], registry=self.registry)
        self._streams = self._counter("streams", "Streams opened", ["protocol"])
        self._parked = self._counter("streams_parked", "Streams whose connection broke and that waited for another")
        self._resumed = self._counter("streams_resumed", "Streams that a client went on with on another connection")
        self._expired = self._counter("streams_expired", "Parked streams that no client came for in time")
        self._utterances = self._counter("utterances", "Utterances that got a final")
        self._audio = self._counter("audio_seconds", "Audio recognised, in seconds")
        self._failures = self._counter("failures", "Streams and requests that failed, by error code", ["code"])
        self._refused = self._counter("refused", "Streams and requests refused at the door, by reason", ["reason"])
        self._store = self._counter("store_failures", "Times the database could not be read or written")
        self._kept = self._counter("clips_kept", "Clips kept of those who agreed, by origin", ["origin"])
        self._dropped = self._counter(
            "clips_dropped", "Utterances of those who agreed that are no clip, by reason", ["reason"]
        )
        self._swaps = self._counter("swaps", "Times the models that answer were replaced")
        self._swap_alarm = Gauge(
            "earloop_swap_alarm", "1 while a route leads to a model that did not load", registry=self.registry
        )
        self._revision = Gauge("earloop_catalog_revision", "The catalog's that is followed", registry=self.registry)
        self._models = Gauge("earloop_models", "Models that new streams may be heard by", registry=self.registry)
        self._retired = Gauge(
            "earloop_models_retired", "Models that only streams from before a swap still use", registry=self.registry
        )
        self._shadow = self._counter("shadow_sessions", "Streams that a candidate heard along to their end")
        self._shadow_dropped = self._counter("shadow_dropped", "Streams that it was to hear, by reason", ["reason"])
        self._canary_dropped = self._counter("canary_rollbacks", "Canaries that this server has taken back")
        self._waiting = Gauge("earloop_clips_waiting", "Utterances that wait for the recorder", registry=self.registry)
        self._chunk = self._histogram(
            "chunk_latency_seconds", "From the arrival of audio that filled a step to its events"
        )
        self._final = self._histogram(
            "final_latency_seconds", "From the arrival of the audio or command that ended an utterance to its final"
        )
        self._lag = self._histogram("queue_lag_seconds", "How long audio waited for its batch")
        self._behind = Gauge(
            "earloop_lag_seconds", "How far behind real time an engine is, smoothed", ["engine"], registry=self.registry
        )
        self._need = Gauge(
            "earloop_load", "Share of its time that an engine's live streams need", ["engine"], registry=self.registry
        )
        self._batch = self._histogram("batch_size", "Streams in one call of the acoustic model", _BATCH)
        self._step = self._histogram("step_seconds", "One call of the acoustic model with its decoding", _STEP_S)

    def _counter(self, name: str, help_text: str, labels: Sequence[str] = ()) -> Counter:
        return Counter(f"earloop_{name}", help_text, labels, registry=self.registry)

    def _histogram(self, name: str, help_text: str, buckets: Sequence[float] = _LATENCY_S) -> Histogram:
        return Histogram(f"earloop_{name}", help_text, buckets=buckets, registry=self.registry)

    def stream_opened(self, protocol: str) -> None:
        self._open.labels(protocol).inc()
        self._streams.labels(protocol).inc()

    def stream_closed(self, protocol: str) -> None:
        self._open.labels(protocol).dec()
        self.streams_over += 1

    def stream_parked(self) -> None:
        self._parked.inc()

    def stream_resumed(self) -> None:
        """Also one whose connection was still thought alive, so that it was never parked."""
        self._resumed.inc()

    def stream_expired(self) -> None:
        self._expired.inc()

    def refused(self, reason: str) -> None:
        self._refused.labels(reason).inc()

    def failed(self, code: str) -> None:
        """A stream or request ended in an error; `code` is the error's own (`EarloopError.code`)."""
        self._failures.labels(code).inc()

    def store_failed(self) -> None:
        self._store.inc()

    def clip_kept(self, origin: str) -> None:
        self._kept.labels(origin).inc()

    def clip_dropped(self, reason: str) -> None:
        """`reason` is the recorder's own word or the code of an error."""
        self._dropped.labels(reason).inc()

    def swapped(self) -> None:
        self._swaps.inc()

    def lineup(self, *, revision: int, models: int, alarm: bool) -> None:
        """New streams are heard by so many models, as the catalog says at this revision."""
        self._revision.set(revision)
        self._models.set(models)
        self._swap_alarm.set(alarm)

    def models_retired(self, count: int) -> None:
        self._retired.set(count)

    def shadow_ended(self) -> None:
        self._shadow.inc()

    def shadow_dropped(self, reason: str) -> None:
        self._shadow_dropped.labels(reason).inc()

    def canary_rolled_back(self) -> None:
        self._canary_dropped.inc()

    def clips_waiting(self, takes: int) -> None:
        self._waiting.set(takes)

    def audio(self, seconds: float) -> None:
        self._audio.inc(seconds)

    def chunk(self, latency_s: float) -> None:
        self._chunk.observe(latency_s)

    def final(self, latency_s: float) -> None:
        self._utterances.inc()
        self._final.observe(latency_s)

    def batch(self, size: int, lag_s: float) -> None:
        """One call of the acoustic model over `size` streams, the oldest of whose audio waited `lag_s`."""
        self._batch.observe(size)
        self._lag.observe(lag_s)

    def load(self, engine: int, *, lag_s: float, need: float) -> None:
        """What decides whether an engine takes more: see `engine/load.py`."""
        self._behind.labels(str(engine)).set(lag_s)
        self._need.labels(str(engine)).set(need)

    def step(self, seconds: float) -> None:
        """How long such a call took, decoding and retries included."""
        self._step.observe(seconds)

    def render(self) -> bytes:
        """The exposition text, to be served as `CONTENT_TYPE`."""
        return generate_latest(self.registry)


def _tasks() -> int:
    try:
        return len(asyncio.all_tasks())
    except RuntimeError:  # no event loop runs in this thread
        return 0


def _threads() -> int:
    return sum(1 for _ in _THREADS.iterdir()) if _THREADS.is_dir() else threading.active_count()
