"""What curators do, on SQLite and on PostgreSQL."""

import pytest

from stt_server.errors import BadInput, Conflict, Forbidden, NotFound
from stt_server.store.rights import Verdict
from stt_server.tagging import curation
from stt_server.tagging.appraisal import Appraisal
from tests.tagging.conftest import HEARD, Queue


def conflicts(queue: Queue, after: str | None = None, limit: int = 50) -> list[str]:
    return [each.clip.id for each in curation.conflicts(queue.database, after, limit)]


def test_an_expert_decides_alone_and_ends_the_lease(queue: Queue):
    clip = queue.clip()
    task = queue.leased("ann")
    assert queue.decide("eve", clip).verdict == "right"
    with pytest.raises(Conflict):
        queue.vote("ann", task)
    assert queue.acts(clip) == ["clip_decided"]


def test_nobody_is_the_expert_on_their_own_clip(queue: Queue):
    clip = queue.clip()
    with pytest.raises(Forbidden, match="clips of their own"):
        queue.decide("giver", clip)


def test_what_is_decided_is_reopened_before_it_is_decided_anew(queue: Queue):
    clip = queue.clip()
    queue.decide("eve", clip)
    with pytest.raises(Conflict, match="reopen it first"):
        queue.decide("eve", clip, Verdict.NOISE)
    queue.reopen(clip)
    row = queue.decide("eve", clip, Verdict.NOISE)
    assert (row.verdict, row.text, row.round) == ("noise", "", 2)


def test_an_expert_who_voted_before_votes_once(queue: Queue):
    clip = queue.clip()
    queue.says("eve", "wrong")
    assert queue.decide("eve", clip).text == HEARD


def test_reopening_begins_a_round_in_which_all_may_judge_again(queue: Queue):
    clip = queue.clip()
    queue.says("ann", "wrong")
    queue.says("bob", "wrong")
    row = queue.reopen(clip)
    assert (row.status, row.verdict, row.text, row.decided, row.round, row.expires) == (
        "waiting",
        None,
        None,
        None,
        2,
        None,
    )
    assert not queue.leased("ann").blind
    queue.says("ann")
    queue.says("bob")
    assert (queue.row(clip).text, queue.row(clip).round) == (HEARD, 2)
    with pytest.raises(Conflict, match="waits"):
        queue.reopen(queue.clip())
    with pytest.raises(NotFound):
        queue.reopen("nothing")


def test_a_vote_of_an_earlier_round_is_not_undone(queue: Queue):
    clip = queue.clip()
    queue.says("ann")
    queue.says("bob")
    queue.reopen(clip)
    with pytest.raises(Conflict):
        queue.undo("ann")


def test_a_duplicate_is_reopened_with_its_clip(queue: Queue):
    clip = queue.clip()
    copy = queue.clip(duplicate_of=clip)
    queue.decide("eve", clip)
    queue.suspect((copy, 0.9))
    assert {queue.row(each).status for each in (clip, copy)} == {"waiting"}
    assert queue.leased("ann").clip.id == clip


def test_what_training_suspects_comes_first_and_is_answered_by_a_decision(queue: Queue):
    queue.clip(confidence=0.0)
    sure, doubtful = queue.clip(confidence=1.0), queue.clip(confidence=1.0)
    for clip in (sure, doubtful):
        queue.decide("eve", clip)
    assert queue.suspect((sure, 0.2), (doubtful, 0.9), ("gone", 1.0)) == 1
    assert queue.row(sure).status == "decided"
    Appraisal().step(queue.database, queue.now)
    assert queue.leased("ann").clip.id == doubtful
    queue.decide("eve", doubtful)
    assert queue.row(doubtful).suspect == 0.0


def test_gold_is_decided_and_stays_so(queue: Queue):
    clip = queue.clip()
    with pytest.raises(Conflict, match="decided"):
        queue.set_gold(clip)
    queue.decide("eve", clip)
    queue.set_gold(clip)
    assert queue.suspect((clip, 1.0)) == 0
    assert queue.leased("ann").clip.id == clip
    assert queue.row(clip).status == "decided"
    queue.reopen(clip)
    assert not queue.row(clip).gold


def test_conflicts_are_what_two_and_more_have_not_settled(queue: Queue):
    torn, parked, fine = (queue.clip(value=500.0 - number) for number in range(3))
    for name in ("ann", "bob"):
        while (given := queue.lease(name)) is not None:
            text = HEARD if given.clip.id == fine else f"heard by {name}"
            queue.vote(name, given, Verdict.CORRECTED, text)
    while (task := queue.leased("cid")).clip.id != parked:
        queue.skip("cid", task)
    queue.vote("cid", task, Verdict.CORRECTED, "heard by cid")  # of five at most three could agree now
    assert queue.row(parked).status == "parked"
    assert conflicts(queue) == sorted([torn, parked])
    assert conflicts(queue, after=min(torn, parked), limit=1) == [max(torn, parked)]


def test_an_expert_must_say_something(queue: Queue):
    with pytest.raises(BadInput, match="no words"):
        queue.decide("eve", queue.clip(), Verdict.CORRECTED, "")


def test_waiting_clips_are_valued_anew_by_what_was_agreed_on(queue: Queue):
    decided = queue.clip("turn on the light")
    old, novel = queue.clip("turn on the light"), queue.clip("boil the kettle")
    queue.decide("eve", decided)
    assert Appraisal().step(queue.database, queue.now) == 2
    assert queue.row(novel).value > queue.row(old).value
    assert queue.leased("ann").clip.id == novel


def test_an_appraisal_goes_through_a_long_queue_and_takes_what_is_new_first(queue: Queue, monkeypatch):
    monkeypatch.setattr("stt_server.tagging.appraisal.STRETCH", 2)
    for _ in range(5):
        queue.clip()
    queue.pass_(seconds=1)
    appraisal = Appraisal()
    valued = [appraisal.step(queue.database, queue.now) for _ in range(3)]
    assert valued == [2, 2, 1]
    queue.pass_(seconds=1)
    appraisal.step(queue.database, queue.now)
    new = queue.clip(said="boil the kettle", created=queue.now)
    appraisal.step(queue.database, queue.now)
    assert queue.row(new).value != 0.0
