"""A clip's way through the queue, on SQLite and on PostgreSQL."""

from datetime import timedelta

import pytest

from stt_server.errors import BadInput, Conflict, Forbidden, NotFound
from stt_server.store import people
from stt_server.store.rights import Verdict
from tests.store import giving
from tests.tagging.conftest import HEARD, Queue


def test_two_people_who_agree_decide_a_clip(queue: Queue):
    clip = queue.clip()
    assert queue.vote("ann", queue.leased("ann")) == (clip, 1)
    assert queue.row(clip).status == "waiting"
    assert queue.says("bob", "Turn on the LIGHT!") == clip
    row = queue.row(clip)
    assert (row.status, row.verdict, row.text, row.decided) == ("decided", "right", HEARD, queue.now)
    assert queue.lease("cid") is None


def test_the_second_pass_is_blind(queue: Queue):
    queue.clip()
    first = queue.leased("ann")
    assert not first.blind
    queue.vote("ann", first)
    second = queue.leased("bob")
    assert second.blind
    with pytest.raises(BadInput, match="not shown"):
        queue.vote("bob", second, Verdict.RIGHT)
    assert queue.vote("bob", second, Verdict.CORRECTED, HEARD)


def test_on_conflict_others_are_asked_and_the_expert_in_the_end(queue: Queue):
    clip = queue.clip()
    for name, text in (("ann", "one"), ("bob", "two"), ("cid", "one")):
        queue.says(name, text)
        assert queue.row(clip).status == "waiting"
    queue.says("dee", "two")
    assert queue.row(clip).status == "parked"
    assert queue.lease("eve") is None
    row = queue.decide("eve", clip, Verdict.CORRECTED, "Three.")
    assert (row.status, row.verdict, row.text) == ("decided", "corrected", "three")


def test_a_clip_has_one_lease(queue: Queue):
    clip, other = queue.clip(), queue.clip("other")
    assert {queue.leased("ann").clip.id, queue.leased("bob").clip.id} == {clip, other}
    assert queue.lease("cid") is None


def test_who_has_a_clip_gets_it_again_and_longer(queue: Queue):
    queue.clip()
    queue.clip("other")
    task = queue.leased("ann")
    queue.pass_(minutes=4)
    again = queue.leased("ann")
    assert again.lease.id == task.lease.id
    assert again.lease.expires == queue.now + queue.terms.lasts


def test_an_expired_lease_goes_back_and_its_vote_is_refused(queue: Queue):
    queue.clip()
    late = queue.leased("ann")
    queue.pass_(minutes=6)
    taken = queue.leased("bob")
    assert taken.clip.id == late.clip.id
    for act in (queue.vote, queue.skip, queue.beat):
        with pytest.raises(Conflict, match="lease has ended"):
            act("ann", late)
    assert queue.vote("bob", taken)


def test_a_late_vote_counts_when_nobody_else_took_the_clip(queue: Queue):
    clip = queue.clip()
    late = queue.leased("ann")
    queue.pass_(hours=2)
    assert queue.vote("ann", late) == (clip, 1)


def test_a_beat_keeps_the_clip(queue: Queue):
    queue.clip()
    task = queue.leased("ann")
    for _ in range(5):
        queue.pass_(minutes=4)
        queue.beat("ann", task)
    assert queue.lease("bob") is None


def test_a_lease_of_somebody_else_is_no_lease(queue: Queue):
    queue.clip()
    task = queue.leased("ann")
    with pytest.raises(Conflict):
        queue.vote("bob", task)


def test_a_vote_sent_twice_counts_once(queue: Queue):
    clip = queue.clip()
    task = queue.leased("ann")
    assert queue.vote("ann", task) == queue.vote("ann", task) == (clip, 1)
    with pytest.raises(Conflict):
        queue.vote("ann", task, Verdict.NOISE)


def test_nobody_gets_a_clip_twice_nor_one_that_was_passed_over(queue: Queue):
    first, second = queue.clip(confidence=0.1), queue.clip(confidence=0.9)
    queue.says("ann")
    task = queue.leased("ann")
    assert {first, second} == {task.clip.id, *({first, second} - {task.clip.id})}
    queue.skip("ann", task)
    assert queue.lease("ann") is None
    assert queue.leased("bob").left == 1


def test_an_own_clip_comes_only_after_another_has_judged_it(queue: Queue):
    clip = queue.clip()
    assert queue.lease("giver") is None
    queue.says("ann")
    assert queue.says("giver") == clip
    assert queue.row(clip).status == "decided"


def test_an_own_recording_that_is_judged_with_another_persons_is_an_own_clip(queue: Queue):
    _, consent = giving.giver(queue.database)
    original = giving.clip(queue.database, consent)
    queue.clip(duplicate_of=original.id)
    assert queue.lease("giver") is None
    assert queue.leased("ann").clip.id == original.id


def test_duplicates_are_judged_together(queue: Queue):
    clip = queue.clip()
    copy = queue.clip(duplicate_of=clip)
    assert queue.leased("ann").left == 0
    queue.says("ann")
    queue.says("bob")
    assert (queue.row(copy).status, queue.row(copy).text) == ("decided", HEARD)
    assert queue.lease("cid") is None


@pytest.mark.parametrize("verdict", [Verdict.RIGHT, Verdict.PRIVATE])
def test_a_duplicate_that_comes_after_the_decision_stands_as_its_clip_does(queue: Queue, verdict: Verdict):
    clip = queue.clip()
    queue.decide("eve", clip, verdict)
    copy, original = queue.row(queue.clip(duplicate_of=clip)), queue.row(clip)
    assert copy.duplicate_of == clip
    for name in ("status", "verdict", "text", "decided"):
        assert getattr(copy, name) == getattr(original, name)
    queue.reopen(clip)
    assert queue.row(copy.id).status == "waiting"


def test_a_duplicate_whose_clip_has_left_is_judged_by_itself(queue: Queue):
    assert queue.row(queue.clip(duplicate_of="gone")).duplicate_of is None


def test_what_is_private_is_quarantined_at_once(queue: Queue):
    clip = queue.clip()
    copy = queue.clip(duplicate_of=clip)
    queue.vote("ann", queue.leased("ann"), Verdict.PRIVATE)
    for each in (clip, copy):
        assert (queue.row(each).status, queue.row(each).verdict, queue.row(each).text) == (
            "quarantined",
            "private",
            None,
        )
    assert queue.lease("bob") is None
    assert queue.acts(clip) == ["clip_quarantined"]


def test_what_is_nearest_to_a_decision_comes_first(queue: Queue):
    queue.clip(confidence=0.0)
    judged = queue.clip(confidence=1.0, value=500.0)
    assert queue.says("ann") == judged
    assert queue.leased("bob").clip.id == judged


def test_expired_clips_are_not_asked_for(queue: Queue):
    queue.clip(expires=queue.now - timedelta(seconds=1))
    assert queue.lease("ann") is None


def test_a_clip_that_was_judged_once_is_asked_for_beyond_its_time(queue: Queue):
    clip = queue.clip(expires=queue.now + timedelta(hours=1))
    queue.says("ann")
    queue.pass_(hours=2)
    assert queue.says("bob") == clip
    assert queue.row(clip).status == "decided"


def test_whose_consent_has_run_out_is_heard_by_no_tagger_until_they_agree_again(queue: Queue):
    queue.consent = giving.agree(queue.database, queue.giver, expires=queue.now + timedelta(hours=1))
    clip, gold = queue.clip(), queue.gold()
    queue.pass_(hours=2)
    assert queue.lease("ann") is None
    giving.agree(queue.database, queue.giver)
    assert {queue.says("ann"), queue.says("ann")} == {clip, gold}


def test_who_withdrew_judges_nothing(queue: Queue):
    queue.clip()
    task = queue.leased("ann")
    with queue.database.write() as connection:
        people.set_withdrawn(connection, queue.person("ann"), queue.now)
    for act in (lambda: queue.lease("ann"), lambda: queue.vote("ann", task)):
        with pytest.raises(Forbidden, match="withdrawn"):
            act()


def test_undo_takes_the_last_vote_back_and_gives_the_clip_again(queue: Queue):
    clip = queue.clip()
    queue.says("ann", "wrong")
    assert queue.undo("ann") == clip
    assert queue.leased("ann").clip.id == clip
    assert not queue.leased("ann").blind
    queue.says("ann")
    queue.says("bob")
    assert queue.row(clip).text == HEARD


def test_who_undoes_with_another_clip_in_hand_gets_the_undone_one_first(queue: Queue):
    queue.clip()
    queue.clip("other")
    slipped = queue.says("ann", "wrong")
    in_hand = queue.leased("ann")
    assert in_hand.clip.id != slipped
    queue.pass_(seconds=1)
    assert queue.undo("ann") == slipped
    assert queue.says("ann") == slipped
    assert queue.leased("ann").lease.id == in_hand.lease.id


def test_a_decision_can_be_undone_for_ten_minutes(queue: Queue):
    clip = queue.clip()
    queue.says("ann")
    queue.pass_(minutes=30)
    queue.says("bob")
    queue.pass_(minutes=9)
    assert queue.undo("ann") == clip
    assert (queue.row(clip).status, queue.row(clip).text) == ("waiting", None)
    assert queue.says("ann") == clip
    queue.pass_(minutes=11)
    with pytest.raises(Conflict, match="more than 10 minutes ago"):
        queue.undo("ann")


def test_a_private_verdict_can_be_undone(queue: Queue):
    clip = queue.clip()
    queue.vote("ann", queue.leased("ann"), Verdict.PRIVATE)
    queue.undo("ann")
    assert queue.row(clip).status == "waiting"


def test_what_an_expert_decided_is_not_undone(queue: Queue):
    clip = queue.clip()
    queue.says("ann")
    queue.decide("eve", clip)
    with pytest.raises(Conflict, match="An expert"):
        queue.undo("ann")


def test_what_others_decide_without_a_vote_is_not_undone_and_nobody_is_left_with_a_clip_that_is_done(queue: Queue):
    clip = queue.clip()
    queue.says("ann", "wrong")
    for name in ("bob", "cid", "dan", "eve"):
        queue.says(name)
    assert queue.row(clip).status == "decided"
    with pytest.raises(Conflict, match="Without your vote"):
        queue.undo("ann")
    assert queue.lease("ann") is None
    assert queue.row(clip).text == HEARD


def test_what_another_called_private_does_not_come_back_by_undoing(queue: Queue):
    clip = queue.clip()
    queue.says("ann")
    queue.vote("bob", queue.leased("bob"), Verdict.PRIVATE)
    with pytest.raises(Conflict, match="Without your vote"):
        queue.undo("ann")
    assert queue.lease("ann") is None
    assert queue.row(clip).status == "quarantined"


def test_there_may_be_nothing_to_undo(queue: Queue):
    with pytest.raises(NotFound, match="judged nothing"):
        queue.undo("ann")


def test_undoing_does_not_take_the_clip_from_who_has_it_now(queue: Queue):
    clip = queue.clip()
    queue.says("ann", "wrong")
    task = queue.leased("bob")
    queue.undo("ann")
    assert queue.lease("ann") is None
    assert queue.vote("bob", task, Verdict.CORRECTED, HEARD)[0] == clip


def test_about_one_clip_in_ten_is_gold_and_decides_nothing(queue: Queue):
    gold = {queue.gold(f"gold {'abcde'[number]}") for number in range(5)}
    for number in range(30):
        queue.clip(f"clip {number}")
    judged = [queue.vote("ann", queue.leased("ann"), Verdict.UNCLEAR)[0] for _ in range(20)]
    assert sum(clip in gold for clip in judged) == 2
    assert judged[0] in gold
    assert {queue.row(clip).status for clip in gold} == {"decided"}


def test_whose_answers_to_gold_are_wrong_does_not_count_until_they_are_better(queue: Queue):
    for letter in "abcdefghijklmno":
        queue.gold(f"gold {letter}")
    clip = queue.clip()
    _answer_gold(queue, "bad", "wrong", 5)
    only_gold = queue.leased("bad")
    assert only_gold.clip.gold
    queue.skip("bad", only_gold)
    _answer_gold(queue, "bad", None, 8)
    task = queue.leased("bad")
    assert task.clip.id == clip


def test_the_vote_of_a_distrusted_person_does_not_count(queue: Queue):
    for letter in "abcdef":
        queue.gold(f"gold {letter}")
    clip = queue.clip()
    _answer_gold(queue, "bad", None, 1)
    assert queue.says("bad", "wrong") == clip
    _answer_gold(queue, "bad", "wrong", 5)
    for name, status in (("ann", "waiting"), ("bob", "decided")):
        queue.take(name, clip)
        assert queue.says(name, "wrong") == clip
        assert queue.row(clip).status == status


def _answer_gold(queue: Queue, name: str, text: str | None, times: int) -> None:
    """Let somebody answer gold clips with this text, or rightly."""
    for _ in range(times):
        clip = queue.take(name).clip_id
        queue.says(name, text or queue.row(clip).hypothesis)
