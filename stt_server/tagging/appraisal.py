"""The values of waiting clips, computed anew now and then: what words are novel changes with what is agreed on.

A clip is kept with a first guess at its value. `Appraisal.step` does a bounded piece of work: the clips that came since
the last step, and a stretch of all others, so that a queue of any length is gone through in the end.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from stt_server.store import verdicts, votes
from stt_server.tagging.settling import value_of

if TYPE_CHECKING:
    from datetime import datetime

    from stt_server.store.clips import KeptClip
    from stt_server.store.database import Connection, Database

STRETCH: Final = 300  # clips; about a tenth of a second of one writing transaction


@dataclass(slots=True)
class Appraisal:
    """How far it has come."""

    _since: datetime | None = None
    _after: str = ""

    def step(self, database: Database, now: datetime) -> int:
        """Value some clips; how many."""
        with database.write() as connection:
            fresh = verdicts.waiting_from(connection, "", STRETCH, self._since) if self._since else []
            others = verdicts.waiting_from(connection, self._after, STRETCH)
            self._since = now
            self._after = others[-1].id if len(others) == STRETCH else ""
            return _value(connection, {clip.id: clip for clip in [*fresh, *others]})


def _value(connection: Connection, found: dict[str, KeptClip]) -> int:
    known = verdicts.agreed_words(connection)
    given = votes.of_clips(connection, found.values())
    values = {ident: value_of(clip, votes=len(given[ident]), known=known) for ident, clip in found.items()}
    verdicts.set_values(connection, values)
    return len(values)
