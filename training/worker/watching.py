"""What a training says of itself in its `log.jsonl`, read as it grows, into the job's diary."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from training.worker.diary import Diary

# With these words a training begins the stages that follow the learning.
BEGINS = {"against torch:": "export", ": WER ": "evaluate"}


class LogReader:
    """`read` takes what was written since; a training that goes on appends to the file of the one before."""

    def __init__(self, path: Path, diary: Diary) -> None:
        self._path, self._diary = path, diary
        self._at = path.stat().st_size if path.is_file() else 0
        self._stage = "fit"

    def read(self) -> None:
        if not self._path.is_file():
            return
        with self._path.open("rb") as file:
            file.seek(self._at)
            whole, newline, _ = file.read().rpartition(b"\n")
        self._at += len(whole) + len(newline)
        for line in whole.splitlines():
            self._take(json.loads(line))

    def _take(self, event: dict[str, Any]) -> None:
        if event["event"] == "step":
            self._diary.go(event["share"])
            self._diary.say(f"step {event['step']}, loss {event['loss']:.3f}, {event['share']:.1%}")
        elif event["event"] == "validated":
            rates = ", ".join(f"{source} {rate:.1%}" for source, rate in event["wer"].items())
            self._diary.say(f"step {event['step']}, WER {rates}")
        elif event["event"] == "said":
            self._follow(event["sentence"])
            self._diary.say(event["sentence"])

    def _follow(self, sentence: str) -> None:
        for words, stage in BEGINS.items():
            if words in sentence and stage != self._stage:
                self._stage = stage
                self._diary.begin(stage)
