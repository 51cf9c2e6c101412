"""What a curator does: decide where taggers cannot agree, reopen what was decided, make gold, pass on suspicions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from stt_server.errors import Conflict, Forbidden
from stt_server.store import audit, clips, queue, verdicts, votes
from stt_server.tagging import expertise
from stt_server.tagging.ballot import fill_in
from stt_server.tagging.settling import settle, value_of

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from stt_server.store.clips import KeptClip
    from stt_server.store.database import Connection, Database
    from stt_server.store.rights import Verdict
    from stt_server.store.votes import KeptVote
    from stt_server.tagging.agreement import Rules

REOPENED_FROM: Final = 0.5  # a suspicion that sends a decided clip back to the queue


@dataclass(frozen=True, slots=True)
class Disputed:
    """A clip with the votes of its round."""

    clip: KeptClip
    votes: tuple[KeptVote, ...]


def conflicts(database: Database, after: str | None, limit: int) -> list[Disputed]:
    """Clips that wait for an expert, and those that taggers are torn about."""
    with database.read() as connection:
        found = votes.conflicts(connection, after=after, limit=limit)
        given = votes.of_clips(connection, found)
        return [Disputed(clip, tuple(given[clip.id])) for clip in found]


def decide(
    database: Database, person_id: str, clip_id: str, verdict: Verdict, text: str | None, now: datetime, rules: Rules
) -> KeptClip:
    """An expert's vote, which decides alone, unless the clip is the expert's own.

    Raises NotFound, BadInput, Forbidden for an own clip, Conflict for one that is decided: reopen it first.
    """
    with database.write() as connection:
        queue.lock_person(connection, person_id)
        clip = queue.lock_original(connection, clip_id)
        if clip.status == "decided":
            raise Conflict("This clip is decided; reopen it first.")
        if person_id in verdicts.givers(connection, clip.id):
            raise Forbidden("Nobody decides about clips of their own.")
        expertise.cast(connection, person_id, clip, verdict, fill_in(verdict, text, clip.hypothesis), now)
        queue.release(connection, clip.id)
        settle(connection, clip, now, rules, person_id)
        audit.note(connection, now, "clip_decided", person_id, clip.id, verdict=verdict.value)
        return clips.get(connection, clip_id)


def reopen(database: Database, actor: str, clip_id: str, now: datetime) -> KeptClip:
    """Judge a clip from the beginning, in a new round; gold ends with it. Raises NotFound, Conflict if it waits."""
    with database.write() as connection:
        clip = queue.lock_original(connection, clip_id)
        if clip.status == "waiting":
            raise Conflict("This clip waits to be judged already.")
        _begin_round(connection, clip, actor, now)
        return clips.get(connection, clip_id)


def suspect(database: Database, actor: str, suspicions: Iterable[tuple[str, float]], now: datetime) -> int:
    """Note how sure training is that labels are wrong (0 to 1), and judge the dubious anew; how many those are.

    Clips that are gone are passed over; a gold clip's label stands.
    """
    reopened = 0
    with database.write() as connection:
        for clip_id, sure in sorted(suspicions):
            if not clips.with_ids(connection, [clip_id]):
                continue
            clip = queue.lock_original(connection, clip_id)
            verdicts.set_suspect(connection, clip.id, sure)
            if clip.status == "decided" and not clip.gold and sure >= REOPENED_FROM:
                _begin_round(connection, clips.get(connection, clip.id), actor, now)
                reopened += 1
    return reopened


def set_gold(database: Database, actor: str, clip_id: str, now: datetime, *, gold: bool) -> None:
    """Let a decided clip measure taggers, or not any more. Raises NotFound, Conflict for one that is not decided."""
    with database.write() as connection:
        clip = queue.lock_clip(connection, clip_id)
        if clip.status != "decided" or clip.duplicate_of is not None:
            raise Conflict("Only a decided clip that is no duplicate can be gold.")
        verdicts.set_gold(connection, clip_id, gold=gold)
        audit.note(connection, now, "clip_gold" if gold else "clip_not_gold", actor, clip_id)


def _begin_round(connection: Connection, clip: KeptClip, actor: str, now: datetime) -> None:
    queue.release(connection, clip.id)
    verdicts.begin_round(connection, clip, value_of(clip))
    audit.note(connection, now, "clip_reopened", actor, clip.id, round=clip.round + 1)
