import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime

import pytest
from sqlalchemy import insert

from stt_server.catalog.importing import register_shipped
from stt_server.catalog.promotion import promote, remove, rollback, unroute
from stt_server.collection.withdrawal import withdraw
from stt_server.errors import BadOption, Conflict, NotFound
from stt_server.store import models, people, routes
from stt_server.store.database import open_database
from stt_server.store.ids import new_id
from stt_server.store.tables import GATE_REPORTS
from stt_server.store.watching import current, wait_for_change
from tests.catalog.conftest import add


def report(database, model, base, verdict="passed"):
    ident = new_id()
    row = {"id": ident, "model_id": model.id, "base_id": base.id, "created": datetime.now(UTC)}
    with database.write() as connection:
        connection.execute(insert(GATE_REPORTS).values(row | {"verdict": verdict, "report": {}}))
    return ident


def live(database):
    return kinds(database)["live", ""]


def kinds(database):
    with database.read() as connection:
        return {(route.kind, route.key): route.model_id for route in routes.every(connection)}


@pytest.fixture
def three(database):
    """Three models, the first of which is live."""
    found = [add(database, version=str(number)) for number in (1, 2, 3)]
    promote(database, found[0].id, actor="command")
    return found


def test_an_operators_own_act_is_at_once_and_recorded_as_ungated(database, three):
    change = promote(database, "tiny@2", actor="command")
    assert change.ungated
    assert change.reason.startswith("ungated")
    assert (live(database), change.previous_id) == (three[1].id, three[0].id)
    with database.read() as connection:
        assert models.get(connection, "tiny@2").status == "accepted"
        assert routes.revision(connection) == change.id


def test_a_passed_report_is_found_and_recorded(database, three):
    passed = report(database, three[1], three[0])
    change = promote(database, three[1].id, actor="worker")
    assert (change.report_id, change.ungated) == (passed, False)


@pytest.mark.parametrize("verdict", ["refused", "undecided", None])
def test_without_a_passed_gate_a_worker_cannot_promote_but_a_reason_can(database, three, verdict):
    if verdict:
        report(database, three[1], three[0], verdict)
    with pytest.raises(Conflict, match="has passed no gate"):
        promote(database, three[1].id, actor="worker")
    assert live(database) == three[0].id
    assert promote(database, three[1].id, actor="0123abcd", reason="it hears the new lamps").ungated
    assert live(database) == three[1].id


def test_a_report_about_another_model_than_the_live_one_is_not_enough(database, three):
    report(database, three[1], three[0])
    report(database, three[2], three[0])
    promote(database, three[1].id, actor="worker")
    with pytest.raises(Conflict, match="another model than the live one"):
        promote(database, three[2].id, actor="worker")


def test_a_report_of_another_model_does_not_count(database, three):
    passed = report(database, three[1], three[0])
    with pytest.raises(Conflict):
        promote(database, three[2].id, actor="worker", report_id=passed)


def test_of_two_automatic_promotions_at_once_one_takes_over(database, three, data, database_url):
    for model in three[1:]:
        report(database, model, three[0])

    def attempt(model):
        with closing(open_database(data, database_url)) as own:
            try:
                return promote(own, model.id, actor="worker").id
            except Conflict:
                return None

    with ThreadPoolExecutor(2) as threads:
        done = [call.result(60) for call in [threads.submit(attempt, model) for model in three[1:]]]
    assert done.count(None) == 1
    with database.read() as connection:
        assert [change.model_id for change in routes.changes_of(connection, "live")] == [three[0].id, live(database)]


def test_many_promotions_at_once_leave_one_chain(database, three, data, database_url):
    def attempt(model):
        with closing(open_database(data, database_url)) as own:
            promote(own, model.id, actor="command")

    with ThreadPoolExecutor(4) as threads:
        for call in [threads.submit(attempt, three[number % 3]) for number in range(12)]:
            call.result(60)
    with database.read() as connection:
        done = routes.changes_of(connection, "live")
    assert [change.previous_id for change in done[1:]] == [change.model_id for change in done[:-1]]
    assert done[-1].model_id == live(database)


def test_promoting_what_is_live_changes_nothing(database, three):
    before = current(database)
    assert promote(database, three[0].id, actor="worker").id == before == current(database)


def test_rollback_goes_back_one_model_at_a_time(database, three):
    for model in three[1:]:
        promote(database, model.id, actor="command")
    assert rollback(database, actor="command", reason="worse").model_id == three[1].id
    assert rollback(database, actor="command").model_id == three[0].id
    with pytest.raises(Conflict, match="no earlier live model"):
        rollback(database, actor="command")
    promote(database, three[2].id, actor="command")
    assert rollback(database, actor="command").model_id == three[0].id


def test_rollback_passes_over_a_removed_model(database, three):
    for model in three[1:]:
        promote(database, model.id, actor="command")
    remove(database, three[1].id, actor="command")
    assert rollback(database, actor="command").model_id == three[0].id


def test_a_model_that_answers_anybody_cannot_be_removed_and_a_removed_one_answers_nobody(database, three):
    promote(database, three[1].id, actor="command", kind="language", key="de")
    for model, told in ((three[0], "live"), (three[1], "language de")):
        with pytest.raises(Conflict, match=told):
            remove(database, model.id, actor="command")
    remove(database, three[2].id, actor="command")
    with pytest.raises(Conflict, match="was removed"):
        promote(database, three[2].id, actor="command")
    with pytest.raises(NotFound, match="already"):
        remove(database, three[2].id, actor="command")


def test_a_canary_and_a_shadow_have_a_share_and_end_when_their_model_is_live(database, three):
    promote(database, three[1].id, actor="k", reason="try it", kind="canary", share=0.1)
    promote(database, three[1].id, actor="k", kind="shadow", share=0.5)
    assert promote(database, three[1].id, actor="k", kind="canary", share=0.2).action == "route"
    with database.read() as connection:
        assert {route.share for route in routes.every(connection) if route.kind == "canary"} == {0.2}
        assert models.get(connection, three[1].id).status == "candidate"
    promote(database, three[1].id, actor="command")
    assert kinds(database) == {("live", ""): three[1].id}


def test_a_canary_needs_a_gate_or_a_reason(database, three):
    with pytest.raises(Conflict):
        promote(database, three[1].id, actor="worker", kind="canary", share=0.1)


def test_rollback_ends_a_canary_and_a_route_that_had_no_model_before(database, three):
    promote(database, three[1].id, actor="command", kind="canary", share=0.1)
    promote(database, three[2].id, actor="command", kind="canary", share=0.1)
    promote(database, three[2].id, actor="command", kind="name", key="kitchen")
    assert rollback(database, actor="server", reason="worse", kind="canary").model_id is None
    assert rollback(database, actor="command", kind="name", key="kitchen").previous_id == three[2].id
    assert kinds(database) == {("live", ""): three[0].id}
    with pytest.raises(NotFound):
        rollback(database, actor="command", kind="canary")


def test_a_route_ends_but_the_live_one(database, three):
    promote(database, three[1].id, actor="command", kind="language", key="de_AT")
    assert ("language", "de-at") in kinds(database)
    assert unroute(database, "language", "de-at", actor="command").action == "unroute"
    with pytest.raises(NotFound):
        unroute(database, "language", "de-at", actor="command")
    with pytest.raises(Conflict, match="must be live"):
        unroute(database, "live", actor="command")


@pytest.mark.parametrize(
    "route",
    [
        {"kind": "other"},
        {"kind": "live", "key": "x"},
        {"kind": "language"},
        {"kind": "live", "share": 0.5},
        {"kind": "canary", "share": 0.0},
        {"kind": "shadow", "share": 1.5},
        {"kind": "canary", "share": float("nan")},
        {"kind": "name", "key": "x" * 101},
        {"kind": "name", "key": "a\0"},
        {"kind": "live", "reason": "x" * 1001},
    ],
)
def test_a_route_that_is_none_is_refused(file, route):
    model = add(file)
    with pytest.raises(BadOption):
        promote(file, model.id, actor="command", **route)


def test_somebodys_own_model_answers_nobody_else(database, three):
    with database.write() as connection:
        person, _ = people.create(connection, datetime.now(UTC))
    own = add(database, "own", person_id=person.id)
    promote(database, own.id, actor="worker", reason="theirs", kind="person", key=person.id)
    for kind, key in (("live", ""), ("name", "own"), ("person", "somebody")):
        with pytest.raises(Conflict, match="own model"):
            promote(database, own.id, actor="command", kind=kind, key=key)


def test_who_withdraws_takes_their_own_model_along(database, three, objects):
    with database.write() as connection:
        person, _ = people.create(connection, datetime.now(UTC))
    objects.put("models/own.zip", b"bytes")
    own = add(database, "own", person_id=person.id, object_key="models/own.zip")
    promote(database, own.id, actor="worker", reason="theirs", kind="person", key=person.id)
    assert withdraw(database, objects, person.id, "test").left == 0
    assert kinds(database) == {("live", ""): three[0].id}
    assert list(objects.each("models/")) == []
    late = add(database, "late", person_id=person.id)
    with pytest.raises(Conflict, match="withdrew"):
        promote(database, late.id, actor="command", kind="person", key=person.id)


def test_a_model_that_is_not_there_is_named_with_those_written_alike(database, three):
    with pytest.raises(NotFound, match="did you mean tiny"):
        promote(database, "tinny", actor="command")


def test_a_change_is_seen_by_who_waits_in_another_process(database, three, data, database_url):
    with closing(open_database(data, database_url)) as other, ThreadPoolExecutor(1) as threads:
        known = current(other)
        waiting = threads.submit(wait_for_change, other, known, 60.0)
        change = promote(database, three[1].id, actor="command")
        assert waiting.result(60) == change.id


def test_a_change_before_the_wait_is_seen_at_once_and_none_ends_the_wait(database, three):
    began = time.monotonic()
    assert wait_for_change(database, 0, 60.0) == current(database)
    assert time.monotonic() - began < 30
    known = current(database)
    assert wait_for_change(database, known, 0.01) == known


def test_two_servers_that_start_at_once_make_one_row(database, data, database_url, tiny_bundle):
    def start(_):
        with closing(open_database(data, database_url)) as own:
            return register_shipped(own, tiny_bundle, "tiny", "server").id

    with ThreadPoolExecutor(4) as threads:
        assert len(set(threads.map(start, range(4)))) == 1
    with database.read() as connection:
        assert len(routes.changes(connection)) == len(models.listed(connection)) == 1
