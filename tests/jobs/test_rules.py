from datetime import UTC, datetime, timedelta

import pytest

from stt_server.errors import BadInput, BadOption, Internal, NotFound, Unavailable
from stt_server.jobs.params import read_params
from stt_server.jobs.retrying import LONGEST_S, failure_of, may_pass, wait_s
from stt_server.jobs.schedule import read_schedule

SATURDAY = datetime(2026, 11, 21, 3, 30, tzinfo=UTC)


def schedule(text: str):
    read = read_schedule(text)
    assert read is not None
    return read


# ------------------------------------------------------------------------------------------------------------- params


def test_what_is_not_said_of_a_job_is_the_live_model_and_a_new_snapshot():
    params = read_params({"dataset": "everyday"})
    assert (params.base, params.snapshot, params.promote, params.set) == (None, None, "never", {})
    assert read_params(params.model_dump()) == params


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ({}, "dataset"),
        ({"dataset": "../x"}, "dataset"),
        ({"dataset": "a", "promote": "always"}, "promote"),
        ({"dataset": "a", "snapshot": 0}, "snapshot"),
        ({"dataset": "a", "recipe": "/etc/passwd"}, "recipe"),
        ({"dataset": "a", "base": "../../model"}, "base"),
        ({"dataset": "a", "datasets": ["b"]}, "datasets"),
        ({"dataset": "a", "set": {"data.train.0.corpus": "/etc"}}, "set"),
        ({"dataset": "a", "set": {"start.model": "/tmp/x.pt"}}, "set"),
        ({"dataset": "a", "set": {"lm.sentences": ["/etc/passwd"]}}, "set"),
        ({"dataset": "a", "set": {"schedule.epochs": "3" * 1000}}, "set"),
    ],
)
def test_a_job_that_asks_for_the_impossible_or_for_a_file_is_refused_by_name(said: dict, field: str):
    with pytest.raises(BadOption) as refused:
        read_params(said)
    assert refused.value.field == field


def test_how_something_is_learned_may_be_set():
    assert read_params({"dataset": "a", "set": {"schedule.epochs": 3, "data.replay_share": 0.3}}).set


# ----------------------------------------------------------------------------------------------------------- retrying


def test_waits_grow_to_an_hour_and_no_further():
    waits = [wait_s(attempt, 0.5) for attempt in range(1, 8)]
    assert waits == sorted(waits)
    assert waits[0] == 30
    assert waits[-1] == LONGEST_S
    assert wait_s(1, 0.0) < 30 < wait_s(1, 0.99)


def test_only_what_may_pass_is_tried_again():
    assert may_pass(Unavailable("the database is away"))
    for error in (BadInput("no clips"), NotFound("no such dataset"), Internal("a bug")):
        assert not may_pass(error)


def test_a_childs_end_is_the_error_that_its_code_stands_for():
    assert isinstance(failure_of(2, "no"), BadInput)
    assert isinstance(failure_of(7, "no"), Unavailable)
    assert isinstance(failure_of(1, "no"), Internal)
    assert may_pass(failure_of(-9, "killed"))
    assert not may_pass(failure_of(2, "no"))


# ----------------------------------------------------------------------------------------------------------- schedule


def test_a_daily_moment_is_due_within_its_hour_and_once():
    daily = schedule("03:00")
    assert daily.is_due(SATURDAY, None)
    assert daily.is_due(SATURDAY, SATURDAY - timedelta(days=1))
    assert not daily.is_due(SATURDAY, SATURDAY - timedelta(minutes=29))
    assert not daily.is_due(SATURDAY + timedelta(hours=1), None)
    assert not daily.is_due(SATURDAY - timedelta(hours=1), None)


def test_a_weekly_moment_is_due_on_its_day_alone():
    assert schedule("sat 03:00").is_due(SATURDAY, None)
    assert not schedule("Sun 03:00").is_due(SATURDAY, None)
    assert schedule("sun 03:00").last(SATURDAY) == datetime(2026, 11, 15, 3, tzinfo=UTC)


def test_a_moment_around_midnight_belongs_to_the_day_before():
    assert schedule("fri 23:45").is_due(datetime(2026, 11, 21, 0, 15, tzinfo=UTC), None)


@pytest.mark.parametrize("text", ["25:00", "3", "someday 03:00", "03:00 sat"])
def test_what_is_no_time_is_refused(text: str):
    with pytest.raises(BadOption):
        read_schedule(text)


def test_no_schedule_is_none():
    assert read_schedule("") is None
