"""What the sections of a recipe are made of: keys that are all known, shares, and ranges that may move over the run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, PlainValidator


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


Share = Annotated[float, Field(ge=0, le=1)]
Range = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Moving:
    """A range that is `start` at the run's beginning and `end` at its end, and goes from one to the other evenly."""

    start: Range
    end: Range


Numbers = Range | Moving
SHAPE = (
    "write [low, high], or {from: [low, high], to: [low, high]} for a range that moves from the run's start to its end"
)


def range_at(numbers: Numbers, at: float) -> Range:
    """The range where a share `at` of the run is done, 0–1."""
    if not isinstance(numbers, Moving):
        return numbers
    (low, high), (last_low, last_high) = numbers.start, numbers.end
    return low + at * (last_low - low), high + at * (last_high - high)


def ends_of(numbers: Numbers) -> Range:
    """The smallest and the largest number that a range holds at any time."""
    if not isinstance(numbers, Moving):
        return numbers
    return min(numbers.start[0], numbers.end[0]), max(numbers.start[1], numbers.end[1])


def _read(value: Any) -> Numbers:
    """Raises ValueError with a sentence that says what to write."""
    if isinstance(value, Moving):
        return value
    if isinstance(value, dict):
        if set(value) != {"from", "to"}:
            raise ValueError(SHAPE)
        return Moving(_pair(value["from"]), _pair(value["to"]))
    return _pair(value)


def _pair(value: Any) -> Range:
    if not isinstance(value, Sequence) or isinstance(value, str) or len(value) != 2:
        raise ValueError(SHAPE)
    if not all(isinstance(number, int | float) and not isinstance(number, bool) for number in value):
        raise ValueError(SHAPE)
    low, high = float(value[0]), float(value[1])
    if not low <= high:
        raise ValueError(f"it runs from {low:g} down to {high:g}; write the smaller number first")
    return low, high


def _write(numbers: Numbers) -> Any:
    if isinstance(numbers, Moving):
        return {"from": list(numbers.start), "to": list(numbers.end)}
    return list(numbers)


MovingRange = Annotated[Numbers, PlainValidator(_read), PlainSerializer(_write)]
