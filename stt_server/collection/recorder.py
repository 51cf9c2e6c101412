"""Takes to clips, in a thread of its own behind a queue with a bound.

    event loop ── offer ──► queue ──► thread: PCM, 16 kHz, quality, `keep` ──► object store, row

Recognition never waits for it: where the queue is full the take is dropped and counted, and the thread gives way to
all others that want the processor. A take that may not be kept, or that a store cannot take, is dropped and counted by
its reason; nothing is tried again, for the next utterance is on its way.
"""

from __future__ import annotations

import os
import sys
import threading
from collections import deque
from typing import TYPE_CHECKING, Final

from stt_server.collection.keeping import Draft, Rules, keep
from stt_server.collection.quality import quality_of
from stt_server.errors import EarloopError
from stt_server.logs import EventLog
from stt_server.speech.pcm import decode_pcm
from stt_server.speech.resample import resample
from stt_server.speech.vad import SAMPLE_RATE

if TYPE_CHECKING:
    from collections.abc import Callable

    from stt_server.collection.tap import Take
    from stt_server.metrics import Metrics
    from stt_server.speech.pcm import Samples
    from stt_server.store.clips import KeptClip
    from stt_server.store.database import Database
    from stt_server.store.objects import ObjectStore

MOST_TAKES: Final = 256
MOST_BYTES: Final = 64 << 20
CLOSE_S: Final = 10.0
NICENESS: Final = 10

log = EventLog("recorder")


class Recorder:
    """Made ready to run by `start`; `offer` may be called from any thread."""

    def __init__(
        self,
        database: Database,
        objects: ObjectStore,
        rules: Rules,
        metrics: Metrics,
        *,
        most_takes: int = MOST_TAKES,
        kept: Callable[[KeptClip], None] = lambda clip: None,
    ) -> None:
        self.rules = rules
        self._database, self._objects, self._metrics = database, objects, metrics
        self._most_takes = most_takes
        self._kept = kept
        self._takes: deque[Take] = deque()
        self._bytes = 0
        self._changed = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="earloop-recorder", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def offer(self, take: Take) -> bool:
        """Whether there was room for it."""
        with self._changed:
            full = len(self._takes) >= self._most_takes or self._bytes + take.held > MOST_BYTES
            if not (full or self._closing):
                self._takes.append(take)
                self._bytes += take.held
                self._changed.notify()
                return True
        self.lost("full")
        return False

    def lost(self, why: str) -> None:
        """Count an utterance that is no clip."""
        self._metrics.clip_dropped(why)

    def close(self) -> None:
        """Keep what waits, as far as that goes within `CLOSE_S`."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join(CLOSE_S)
        with self._changed:
            left = len(self._takes)
            self._takes.clear()
        for _ in range(left):
            self.lost("closing")
        if left:
            log.warning("clips_dropped_at_close", clips=left)

    def _run(self) -> None:
        _give_way()
        while (take := self._next()) is not None:
            self._metrics.clips_waiting(len(self._takes))
            try:
                self._keep(take)
            except EarloopError as error:
                self.lost(error.code)
                log.info("clip_not_kept", session=take.session, code=error.code, why=error.message)
            except Exception:  # a worker: one of the four places that catch
                self.lost("fault")
                log.exception("recorder_fault", session=take.session)

    def _next(self) -> Take | None:
        """The oldest take; None when there is none and there will be none."""
        with self._changed:
            while not self._takes:
                if self._closing:
                    return None
                self._changed.wait()
            take = self._takes.popleft()
            self._bytes -= take.held
            return take

    def _keep(self, take: Take) -> None:
        samples = samples_of(take)
        if why := self._fault(samples, take):
            self.lost(why)
            return
        draft = Draft(
            samples=samples,
            basis=take.basis,
            heard=take.heard,
            origin="stream",
            protocol=take.protocol,
            device=take.device,
            session=take.session,
        )
        clip = keep(self._database, self._objects, draft, self.rules)
        self._metrics.clip_kept(clip.origin)
        self._kept(clip)

    def _fault(self, samples: Samples, take: Take) -> str:
        """Why a take is not worth somebody's time; "" when it is. The cheap questions first."""
        rules = self.rules
        if len(samples) < rules.least_s * SAMPLE_RATE:
            return "short"
        if take.heard.confidence < rules.least_confidence:
            return "unsure"
        if rules.least_snr_db > 0 and quality_of(samples).snr_db < rules.least_snr_db:
            return "noisy"
        return ""


def samples_of(take: Take) -> Samples:
    """A take as 16 kHz mono samples (n,). Raises BadAudio."""
    raw = b"".join(take.pieces)[take.skip : take.skip + take.size]
    samples, _ = decode_pcm(take.form, raw)
    return resample(samples, take.form.sample_rate, SAMPLE_RATE)


def _give_way() -> None:
    """Let every other thread go first. Only Linux counts niceness by the thread."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
