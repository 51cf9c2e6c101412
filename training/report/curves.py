"""Loss and word error rates over a run, from the lines it left in log.jsonl."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

from training.report.schema import Curves, Point

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MOST_POINTS = 500  # of a curve; more are thinned out


def read_curves(log: Path | None) -> Curves:
    """Where a run was begun anew, or resumed before a step that is in the log, the later lines count."""
    loss: list[Point] = []
    wer: dict[str, list[Point]] = {}
    for event in _events(log) if log and log.is_file() else ():
        if event.get("event") == "step":
            _add(loss, event["step"], event.get("loss"))
        elif event.get("event") == "validated":
            for name, value in event.get("wer", {}).items():
                _add(wer.setdefault(name, []), event["step"], value)
    return Curves(loss=_thinned(loss), wer={name: _thinned(points) for name, points in wer.items()})


def _events(log: Path) -> Iterator[dict[str, Any]]:
    """A line that a killed run left half written is passed over."""
    with log.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            try:
                event = json.loads(line)
            except json.JSONDecodeError:
                continue
            if isinstance(event, dict):
                yield event


def _add(points: list[Point], step: int, value: float | None) -> None:
    while points and points[-1].step >= step:
        points.pop()
    if value is not None and math.isfinite(value):
        points.append(Point(step=step, value=value))


def _thinned(points: list[Point]) -> list[Point]:
    every = -(-len(points) // MOST_POINTS) or 1
    return [*points[::every], points[-1]] if (len(points) - 1) % every else points[::every]
