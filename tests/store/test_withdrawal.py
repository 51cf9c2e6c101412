import random
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import select, update

from stt_server.store import audit
from stt_server.store.consents import Consent
from stt_server.store.database import Database, open_database
from stt_server.store.rights import Purpose
from stt_server.store.tables import CLIPS, SNAPSHOT_CLIPS
from stt_server.store.withdrawal import BATCH, Removed, Why, narrow, remove_clips, remove_some
from tests.store.giving import clip, counts, giver, judge, now, publish


@pytest.fixture
def database(tmp_path: Path, database_url: str):
    with closing(open_database(tmp_path, database_url)) as opened:
        yield opened


def test_a_clip_takes_all_that_was_said_of_it_along_and_leaves_a_tombstone(database: Database):
    _, given = giver(database)
    tagger, _ = giver(database)
    going, staying = clip(database, given), clip(database, given)
    for each in (going, staying):
        judge(database, each, tagger)
    snapshot = publish(database, going, staying)
    with database.write() as connection:
        removed = remove_clips(connection, [going.id, "gone"], "tester", Why.CURATOR)
        rows = {row.clip_id: row for row in connection.execute(select(SNAPSHOT_CLIPS))}
    assert removed == Removed(clips=1, votes=1, snapshots=frozenset({snapshot}))
    assert rows[going.id].text is None
    assert rows[going.id].withdrawn is not None
    assert (rows[staying.id].text, rows[staying.id].withdrawn) == ("la la", None)
    assert counts(database) == {
        "clips": 1,
        "votes": 1,
        "leases": 1,
        "skips": 1,
        "dataset_clips": 1,
        "snapshot_clips": 2,
        "erasures": 1,
    }


def test_more_clips_than_a_statement_takes_leave_at_once(database: Database):
    _, given = giver(database)
    first = clip(database, given)
    with database.write() as connection:
        row = dict(connection.execute(select(CLIPS).where(CLIPS.c.id == first.id)).one()._mapping)
        more = [row | {"id": f"c{n}", "object_key": f"k{n}", "sha256": n.to_bytes(32)} for n in range(BATCH + 2)]
        connection.execute(CLIPS.insert(), more)
        removed = remove_clips(connection, [first.id, *(each["id"] for each in more)], "tester", Why.EXPIRY)
    assert removed.clips == BATCH + 3
    assert counts(database)["erasures"] == BATCH + 3


def test_what_was_judged_with_a_clip_that_leaves_is_judged_with_the_next_of_its_kind(database: Database):
    _, given = giver(database)
    head, oldest, newest = (clip(database, given) for _ in range(3))
    with database.write() as connection:
        connection.execute(update(CLIPS).where(CLIPS.c.id.in_([oldest.id, newest.id])).values(duplicate_of=head.id))
        remove_clips(connection, [head.id], "tester", Why.CURATOR)
        rows = {row.id: row.duplicate_of for row in connection.execute(select(CLIPS))}
    assert rows == {oldest.id: None, newest.id: oldest.id}


def test_taking_the_release_back_keeps_clips_for_training_and_buries_them_in_what_was_released(database: Database):
    person, given = giver(database, Purpose.TRAINING, Purpose.RELEASE)
    other, others = giver(database, Purpose.TRAINING, Purpose.RELEASE)
    mine, theirs = clip(database, given), clip(database, others)
    public = publish(database, mine, theirs, purpose="release")
    publish(database, mine, theirs)
    with database.write() as connection:
        assert narrow(connection, person.id, frozenset({Purpose.TRAINING})) == 1
        assert narrow(connection, person.id, frozenset({Purpose.TRAINING})) == 0
        purposes = {row.id: row.purposes for row in connection.execute(select(CLIPS))}
        buried = connection.execute(select(SNAPSHOT_CLIPS).where(SNAPSHOT_CLIPS.c.withdrawn.is_not(None))).all()
    assert purposes == {mine.id: "training", theirs.id: "release training"}
    assert [(row.snapshot_id, row.clip_id) for row in buried] == [(public, mine.id)]
    assert other.id != person.id


def test_the_audit_log_says_how_many_and_why_and_refuses_what_could_be_speech(database: Database):
    person, given = giver(database)
    kept = clip(database, given)
    with database.write() as connection:
        remove_clips(connection, [kept.id], person.id, Why.OWNER, person.id)
        (entry,) = audit.of(connection, person.id)
        with pytest.raises(ValueError, match="numbers and single words"):
            audit.note(connection, now(), "clips_removed", "tester", "clips", said="turn on the light")
    assert (entry.action, entry.actor) == ("clips_removed", person.id)
    assert entry.details == {"why": "owner", "clips": 1, "votes": 0, "snapshots": 0}


def test_of_rows_that_left_nothing_is_in_the_file_however_its_pages_were_shared(tmp_path: Path):
    """`secure_delete` alone leaves copies of rows that moved from one page to another."""
    dice = random.Random(5)
    with closing(open_database(tmp_path)) as file:
        going, given = giver(file)
        staying, others = giver(file)
        first = clip(file, given)
        with file.read() as connection:
            row = dict(connection.execute(select(CLIPS).where(CLIPS.c.id == first.id)).one()._mapping)
        for _ in range(20):
            with file.write() as connection:
                connection.execute(CLIPS.insert(), [_like(row, dice, given, "zebrafish") for _ in range(80)])
                connection.execute(CLIPS.insert(), [_like(row, dice, others, "keepsake") for _ in range(40)])
        with file.write() as connection:
            while remove_some(connection, going.id, "tester").clips:
                pass
        assert file.scrub()
        found = b"".join(path.read_bytes() for path in tmp_path.iterdir() if path.is_file())
    assert staying.id.encode() in found
    assert b"keepsake" in found
    assert b"zebrafish" not in found


def _like(row: dict[str, object], dice: random.Random, consent: Consent, word: str) -> dict[str, object]:
    """Another clip, somewhere among the others."""
    ident, said = dice.randbytes(16).hex(), " ".join([word] * dice.randint(1, 8))
    whose = {"person_id": consent.person_id, "consent_id": consent.id, "hypothesis": said, "text": said}
    return row | whose | {"id": ident, "object_key": ident, "sha256": dice.randbytes(32)}
