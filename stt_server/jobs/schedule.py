"""When training begins by the clock: `03:00` every day, `sun 03:00` every week, in UTC. Pure.

A moment counts for an hour: a server that was down then catches up within it, and one whose setting is new does not
begin at once for a moment that was in the morning.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from stt_server.errors import BadOption

DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
COUNTS_FOR: Final = timedelta(hours=1)
_SHAPE: Final = re.compile(rf"(?:({'|'.join(DAYS)}) )?([01]\d|2[0-3]):([0-5]\d)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Schedule:
    """A time of the day in UTC, on one day of the week or (`weekday` None) on each; Monday is 0."""

    weekday: int | None
    hour: int
    minute: int

    def last(self, now: datetime) -> datetime:
        """The newest of its moments that is not after `now`."""
        moment = now.astimezone(UTC).replace(hour=self.hour, minute=self.minute, second=0, microsecond=0)
        if moment > now:
            moment -= timedelta(days=1)
        if self.weekday is not None:
            moment -= timedelta(days=(moment.weekday() - self.weekday) % 7)
        return moment

    def is_due(self, now: datetime, begun: datetime | None) -> bool:
        """Whether a moment is here for which nothing was begun; `begun` is when something was, last."""
        moment = self.last(now)
        return now - moment < COUNTS_FOR and (begun is None or begun < moment)


def read_schedule(text: str) -> Schedule | None:
    """None for an empty text. Raises BadOption."""
    if not text.strip():
        return None
    found = _SHAPE.fullmatch(text.strip())
    if found is None:
        raise BadOption(
            f"Setting train_at takes a time of the day in UTC such as 03:00 or sun 03:00, not {text[:40]!r}.",
            field="train_at",
        )
    day, hour, minute = found.groups()
    return Schedule(DAYS.index(day.lower()) if day else None, int(hour), int(minute))
