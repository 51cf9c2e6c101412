"""From the votes of a clip to its row: the pure rules between two pieces of SQL, in the caller's transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stt_server.speech.text import normalize
from stt_server.store import audit, verdicts, votes
from stt_server.store.rights import Verdict
from stt_server.tagging import gold
from stt_server.tagging.agreement import NAMES_WORDS, Answer, Decided, Open, Parked, Quarantined, Rules, Vote, judge
from stt_server.tagging.ballot import heard_in
from stt_server.tagging.value import Heard, worth

if TYPE_CHECKING:
    from collections.abc import Container
    from datetime import datetime

    from stt_server.store.clips import KeptClip
    from stt_server.store.database import Connection
    from stt_server.store.votes import KeptVote
    from stt_server.tagging.agreement import Outcome


def settle(connection: Connection, clip: KeptClip, now: datetime, rules: Rules, actor: str) -> Outcome:
    """Bring a clip to where the votes of its round leave it. The caller has locked it."""
    given = votes.of_round(connection, clip)
    outcome = judge(
        map(as_vote, given),
        heard_in(clip.hypothesis),
        givers=verdicts.givers(connection, clip.id),
        distrusted=frozenset(each.person_id for each in given if not standing(connection, each.person_id).trusted),
        rules=rules,
    )
    match outcome:
        case Open(count):
            verdicts.set_open(connection, clip.id, value_of(clip, votes=count))
        case Parked():
            verdicts.set_open(connection, clip.id, value_of(clip, votes=len(given)), parked=True)
        case Quarantined():
            verdicts.set_decided(connection, clip.id, Verdict.PRIVATE, None, now, quarantined=True)
            audit.note(connection, now, "clip_quarantined", actor, clip.id)
        case Decided(verdict, text):
            verdicts.set_decided(connection, clip.id, verdict, text, now)
    return outcome


def value_of(clip: KeptClip, *, votes: int = 0, known: Container[str] | None = None) -> float:
    """How much a judgement of this clip is worth now."""
    greedy = None if clip.greedy is None else heard_in(clip.greedy)
    heard = Heard(heard_in(clip.hypothesis), greedy, clip.confidence, clip.suspect, clip.created)
    return worth(heard, votes=votes, known=known)


def standing(connection: Connection, person_id: str) -> gold.Standing:
    """How somebody does at gold clips."""
    answers = votes.gold_answers(connection, person_id, gold.LAST)
    return gold.standing([as_vote(vote).answer == _truth(verdict, text) for vote, verdict, text in answers])


def as_vote(vote: KeptVote) -> Vote:
    """A row as the rules take it."""
    return Vote(vote.person_id, vote.verdict, vote.normal_text, expert=vote.expert)


def _truth(verdict: str, text: str) -> Answer:
    """The answer that is right. A transcript that came with a clip may not be in normal form yet."""
    known = Verdict(verdict)
    return Answer(None, normalize(text, drop_unspellable=True)) if known in NAMES_WORDS else Answer(known, None)
