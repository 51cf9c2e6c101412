from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from stt_server.errors import BadOption, Conflict
from stt_server.store import consents, people
from stt_server.store.consents import Way
from stt_server.store.database import Database, open_database
from stt_server.store.rights import Purpose, parse_purposes
from stt_server.store.withdrawal import Why, remove_clips
from tests.store.giving import clip, giver, now

HOUR = timedelta(hours=1)


@pytest.fixture
def database(tmp_path: Path, database_url: str):
    with closing(open_database(tmp_path, database_url)) as opened:
        yield opened


def test_consent_says_what_when_how_and_to_which_words(database: Database):
    person, given = giver(database, Purpose.TRAINING)
    with database.read() as connection:
        found = consents.current(connection, person.id, now())
        assert consents.words(connection, given.id) == "the words"
    assert found == given
    assert found is not None
    assert (found.version, found.purposes, found.way) == ("1", frozenset({Purpose.TRAINING}), "api")


def test_a_newer_consent_takes_the_older_ones_place_and_leaves_it_to_be_read(database: Database):
    person, first = giver(database, Purpose.TRAINING)
    with database.write() as connection:
        second = consents.give(connection, person.id, "2", "other words", [Purpose.RECOGNITION], Way.PAGE, now())
        assert consents.current(connection, person.id, now()) == second
        assert [each.id for each in consents.history(connection, person.id)] == [first.id, second.id]
        assert consents.history(connection, person.id)[0].ended is not None
        assert consents.words(connection, first.id) == "the words"
    assert not second.keeps_clips(now())


def test_consent_ends_by_the_clock(database: Database):
    with database.write() as connection:
        person, _ = people.create(connection, now())
        ends = now() + HOUR
        given = consents.give(connection, person.id, "1", "words", [Purpose.TRAINING], Way.API, now(), ends)
        assert consents.living(connection, now()) == {person.id: given}
        assert consents.living(connection, ends) == {}
        assert consents.current(connection, person.id, ends) is None
    assert given.keeps_clips(now())
    assert not given.keeps_clips(ends)


def test_a_clip_is_not_kept_by_a_consent_that_has_ended(database: Database):
    person, given = giver(database)
    with database.write() as connection:
        consents.end(connection, person.id, now())
    with pytest.raises(Conflict, match="consent behind this clip has ended"):
        clip(database, given)


def test_who_withdrew_can_agree_again_but_not_before_all_is_gone(database: Database):
    person, given = giver(database)
    kept = clip(database, given)
    with database.write() as connection:
        people.set_withdrawn(connection, person.id, now())
    with pytest.raises(Conflict, match="not through, yet"), database.write() as connection:
        consents.give(connection, person.id, "1", "words", [Purpose.TRAINING], Way.PAGE, now())
    with database.write() as connection:
        remove_clips(connection, [kept.id], "server", Why.WITHDRAWAL)
        again = consents.give(connection, person.id, "1", "words", [Purpose.TRAINING], Way.PAGE, now())
        assert people.get(connection, person.id).withdrawn is None
    assert clip(database, again).consent_id == again.id


def test_who_withdraws_while_agreeing_is_not_taken_for_somebody_who_never_did(database: Database):
    person, given = giver(database)
    clip(database, given)

    def agree() -> None:
        with database.write() as connection:
            consents.give(connection, person.id, "1", "words", [Purpose.TRAINING], Way.PAGE, now())

    with ThreadPoolExecutor(1) as threads:
        with database.write() as connection:
            people.set_withdrawn(connection, person.id, now())
            agreeing = threads.submit(agree)
            with pytest.raises(TimeoutError):
                agreeing.result(timeout=0.5)  # it waits for what this transaction says
        with pytest.raises(Conflict, match="not through, yet"):
            agreeing.result(timeout=60)
    with database.read() as connection:
        assert people.get(connection, person.id).withdrawn is not None


def test_who_agrees_to_a_release_agrees_to_training():
    assert parse_purposes(["release"]) == {Purpose.RELEASE, Purpose.TRAINING}
    assert parse_purposes(["recognition"]) == {Purpose.RECOGNITION}


@pytest.mark.parametrize("names", [[], ["all"], ["training", "Release"]])
def test_a_purpose_that_there_is_not_is_refused(names: list[str]):
    with pytest.raises(BadOption, match="recognition, training, release"):
        parse_purposes(names)
