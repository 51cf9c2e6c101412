"""What a tagger does: take a clip, keep it while listening, judge it or pass it over, take the last judgement back.

Each function is one transaction of a database; none waits for anything else.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from stt_server.errors import Conflict, NotFound
from stt_server.store import queue, votes
from stt_server.store.rights import Verdict
from stt_server.store.votes import KeptVote
from stt_server.tagging.agreement import DEFAULT, Open, Rules
from stt_server.tagging.ballot import fill_in
from stt_server.tagging.gold import gold_is_due
from stt_server.tagging.settling import settle, standing

if TYPE_CHECKING:
    from datetime import datetime

    from stt_server.store.clips import KeptClip
    from stt_server.store.database import Connection, Database
    from stt_server.store.queue import Lease
    from stt_server.store.votes import Counts

UNDO: Final = timedelta(minutes=10)  # how long a decision may be undone by one of those who made it


@dataclass(frozen=True, slots=True)
class Terms:
    """What a server says of judging."""

    lasts: timedelta = timedelta(minutes=5)  # a lease, unless its holder says that he is still there
    rules: Rules = DEFAULT


@dataclass(frozen=True, slots=True)
class Task:
    """A clip to be judged. Blind: another has judged it, so what was heard is not shown."""

    lease: Lease
    clip: KeptClip
    blind: bool
    left: int


def lease(database: Database, person_id: str, now: datetime, terms: Terms) -> Task | None:
    """The clip that this person judges next; None where nothing is left. Who has one already gets that one again.

    Raises Forbidden for who has withdrawn, Busy.
    """
    with database.write() as connection:
        queue.lock_person(connection, person_id)
        taken = _again(connection, person_id, now, terms) or _another(connection, person_id, now, terms)
        if taken is None:
            return None
        clip = queue.lock_clip(connection, taken.clip_id)
        left = queue.left(connection, person_id, now)
        return Task(taken, clip, _is_blind(connection, clip, person_id), left)


def beat(database: Database, person_id: str, lease_id: str, now: datetime, terms: Terms) -> datetime:
    """Say that somebody is still listening; until when the lease runs now. Raises Conflict for one that has ended."""
    with database.write() as connection:
        queue.extend(connection, lease_id, person_id, now + terms.lasts)
    return now + terms.lasts


def vote(
    database: Database, person_id: str, lease_id: str, verdict: Verdict, text: str | None, now: datetime, terms: Terms
) -> tuple[str, int]:
    """Judge the leased clip; its id and how many this person judged today. The same vote sent again changes nothing.

    Raises Conflict for a lease that has ended, BadInput for an answer that says nothing, Forbidden for who has
    withdrawn.
    """
    with database.write() as connection:
        queue.lock_person(connection, person_id)
        before = votes.get(connection, lease_id)
        if before is not None and _is_same(before, person_id, verdict, text):
            return before.clip_id, votes.today(connection, person_id, now)
        held, clip = _held(connection, person_id, lease_id)
        _cast(connection, held, clip, verdict, text, now)
        if not clip.gold or verdict is Verdict.PRIVATE:
            settle(connection, clip, now, terms.rules, person_id)
        queue.release(connection, clip.id)
        return clip.id, votes.today(connection, person_id, now)


def skip(database: Database, person_id: str, lease_id: str, now: datetime) -> None:
    """Pass the leased clip over: others get it, this person does not again. Raises Conflict."""
    with database.write() as connection:
        queue.lock_person(connection, person_id)
        _, clip = _held(connection, person_id, lease_id)
        votes.skip(connection, clip.id, person_id, now)
        queue.release(connection, clip.id)


def undo(database: Database, person_id: str, now: datetime, terms: Terms) -> str:
    """Take this person's last vote back and lease its clip again, unless somebody else has it; the clip's id.

    Raises NotFound where there is no vote, Conflict where what was decided stands, also by the others' votes alone: the
    clip could not be judged again, so the vote stays.
    """
    with database.write() as connection:
        queue.lock_person(connection, person_id)
        last = votes.newest_of(connection, person_id)
        if last is None:
            raise NotFound("You have judged nothing yet that could be undone.")
        clip = queue.lock_clip(connection, last.clip_id)
        _check_undo(connection, clip, last, now)
        votes.delete_vote(connection, last.id)
        if not clip.gold and not isinstance(settle(connection, clip, now, terms.rules, person_id), Open):
            raise Conflict("Without your vote this clip would stand as it does; ask a curator to reopen it.")
        queue.take_clip(connection, clip.id, person_id, now, terms.lasts)
        return clip.id


def counts(database: Database, person_id: str, now: datetime) -> Counts:
    """How far judging is, in all and for this person."""
    with database.read() as connection:
        return votes.counts(connection, person_id, now)


def _again(connection: Connection, person_id: str, now: datetime, terms: Terms) -> Lease | None:
    """The lease that somebody has already, prolonged: a page was loaded again, or an undone clip comes back."""
    held = queue.held(connection, person_id, now)
    if held is not None:
        queue.extend(connection, held.id, person_id, now + terms.lasts)
    return held and queue.find(connection, held.id, person_id)


def _another(connection: Connection, person_id: str, now: datetime, terms: Terms) -> Lease | None:
    if not standing(connection, person_id).trusted:
        return queue.take(connection, person_id, now, terms.lasts, gold=True)
    gold = None
    if gold_is_due(*votes.tally(connection, person_id)):
        gold = queue.take(connection, person_id, now, terms.lasts, gold=True)
    return gold or queue.take(connection, person_id, now, terms.lasts)


def _is_same(before: KeptVote, person_id: str, verdict: Verdict, text: str | None) -> bool:
    """Whether somebody whose answer got lost on the way says it again."""
    same_text = verdict is not Verdict.CORRECTED or before.text == text
    return before.person_id == person_id and before.verdict is verdict and same_text


def _is_blind(connection: Connection, clip: KeptClip, person_id: str) -> bool:
    return any(each.person_id != person_id for each in votes.of_round(connection, clip))


def _held(connection: Connection, person_id: str, lease_id: str) -> tuple[Lease, KeptClip]:
    """The lease and its clip, locked. The lease is looked at again behind the lock: who had it may have lost it."""
    known = queue.find(connection, lease_id, person_id)
    if known is None:
        raise queue.ended()
    clip = queue.lock_clip(connection, known.clip_id)
    if queue.find(connection, lease_id, person_id) is None or not (clip.status == "waiting" or clip.gold):
        raise queue.ended()
    return known, clip


def _cast(
    connection: Connection, held: Lease, clip: KeptClip, verdict: Verdict, text: str | None, now: datetime
) -> None:
    given = votes.of_round(connection, clip)
    if any(each.person_id == held.person_id for each in given):
        raise Conflict("You have judged this clip already in this round.")
    ballot = fill_in(verdict, text, None if given else clip.hypothesis)
    seconds = (now - held.leased).total_seconds()
    row = KeptVote(
        id=held.id,
        clip_id=clip.id,
        person_id=held.person_id,
        round=clip.round,
        verdict=verdict,
        text=ballot.text,
        normal_text=ballot.normal_text,
        expert=False,
        seconds=max(0.0, seconds),
        created=now,
    )
    votes.insert_vote(connection, row)


def _check_undo(connection: Connection, clip: KeptClip, last: KeptVote, now: datetime) -> None:
    others = votes.of_round(connection, clip)
    if clip.round != last.round or any(each.expert for each in others):
        raise Conflict("An expert has had this clip since; your vote stands.")
    if clip.gold and clip.status != "decided":
        raise Conflict("This clip is quarantined; ask a curator to reopen it.")
    late = clip.decided is not None and now - max(clip.decided, last.created) > UNDO
    if late and not clip.gold:
        raise Conflict(f"This clip was decided more than {UNDO.seconds // 60} minutes ago; ask a curator to reopen it.")
