"""What whoever brought a recording says it says, in both databases."""

import pytest

from stt_server.errors import BadInput, Conflict, Forbidden, NotFound
from stt_server.store import people
from stt_server.store.clips import KeptClip
from stt_server.store.rights import Verdict
from stt_server.tagging.labelling import label
from tests.tagging.conftest import HEARD, Queue

WORDS = "The proof is in the pudding."


def labelled(queue: Queue, clip: str, text: str = WORDS, by: str | None = "giver") -> KeptClip:
    person = queue.person(by) if by else None
    return label(queue.database, clip, text, queue.now, person or "anonymous", person)


@pytest.mark.parametrize("by", ["giver", None])
def test_it_decides_alone_and_is_kept_as_it_was_written(queue: Queue, by: str | None):
    clip = queue.clip()
    found = labelled(queue, clip, by=by)
    assert (found.status, found.verdict, found.text, found.reference) == ("decided", "corrected", WORDS, WORDS)
    assert queue.lease("ann") is None
    assert queue.acts(clip) == ["clip_labelled"]
    found = labelled(queue, clip, f"{HEARD.capitalize()}!", by=by)
    assert (found.verdict, found.text) == ("right", f"{HEARD.capitalize()}!")


def test_who_was_asked_meanwhile_has_not_to_answer_and_cannot_undo_it(queue: Queue):
    clip = queue.clip()
    queue.says("ann")
    held = queue.leased("bob")
    labelled(queue, clip)
    with pytest.raises(Conflict):
        queue.vote("bob", held)
    with pytest.raises(Conflict, match="expert"):
        queue.undo("ann")
    assert queue.row(clip).text == WORDS


def test_what_training_doubts_goes_to_taggers_and_its_owner_may_say_it_again(queue: Queue):
    clip = queue.clip()
    labelled(queue, clip)
    assert queue.suspect((clip, 0.9)) == 1
    assert (queue.row(clip).status, queue.row(clip).reference) == ("waiting", WORDS)
    assert queue.leased("ann").clip.id == clip
    assert labelled(queue, clip, "it is").text == "it is"


def test_a_duplicate_is_labelled_with_its_original_which_alone_is_in_snapshots(queue: Queue):
    clip = queue.clip()
    copy = queue.clip(duplicate_of=clip)
    assert labelled(queue, copy).text == WORDS
    assert (queue.row(clip).status, queue.row(clip).text) == ("decided", WORDS)
    assert (queue.row(clip).reference, queue.row(copy).reference) == (None, WORDS)


def test_gold_private_clips_and_what_are_no_words_are_refused(queue: Queue):
    private = queue.clip()
    queue.vote("ann", queue.leased("ann"), Verdict.PRIVATE)
    with pytest.raises(Conflict, match="private"):
        labelled(queue, private)
    with pytest.raises(Conflict, match="measures"):
        labelled(queue, queue.gold())
    clip = queue.clip()
    for text in ("", "...", "漢字", "a\0b", "a" * 2001):
        with pytest.raises(BadInput):
            labelled(queue, clip, text)
    with pytest.raises(NotFound):
        labelled(queue, "gone")
    assert queue.row(clip).status == "waiting"


def test_who_has_withdrawn_says_nothing_more(queue: Queue):
    clip = queue.clip()
    with queue.database.write() as connection:
        people.set_withdrawn(connection, queue.giver.id, queue.now)
    with pytest.raises(Forbidden):
        labelled(queue, clip)
