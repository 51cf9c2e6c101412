"""`log.jsonl`: what a run showed while it learned, one JSON object a line, read again by its report."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from training.checkpoints import Progress


class RunLog:
    """Appends to the file; keeps nothing where there is none."""

    def __init__(self, path: Path | None) -> None:
        self.path = path

    def step(self, progress: Progress, loss: float, rate: float, share: float, speed: float, waiting: float) -> None:
        told = {"share": round(share, 4), "speed": speed, "waiting": waiting}
        self._keep("step", step=progress.step, loss=loss, rate=rate, **told)

    def validated(self, progress: Progress, wer: dict[str, float]) -> None:
        self._keep("validated", step=progress.step, wer=wer)

    def say(self, sentence: str) -> None:
        self._keep("said", sentence=sentence)

    def _keep(self, event: str, **keys: object) -> None:
        if self.path is None:
            return
        with self.path.open("a", encoding="utf-8") as lines:
            lines.write(json.dumps({"event": event, "at": round(time.time(), 3), **keys}) + "\n")
