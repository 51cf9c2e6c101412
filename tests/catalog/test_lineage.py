from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import insert

from stt_server.catalog.lineage import heirs_of, of_clip, of_model, told
from stt_server.catalog.promotion import promote, remove
from stt_server.collection.withdrawal import withdraw
from stt_server.datasets.making import make_snapshot
from stt_server.errors import NotFound
from stt_server.store.ids import new_id
from stt_server.store.rights import Purpose
from stt_server.store.tables import JOBS
from tests.catalog.conftest import add
from tests.datasets.rows import agreed, gathered
from tests.store.giving import giver


def run_over(database, snapshot, created=None):
    """A training job that is done, as a worker leaves it."""
    ident = new_id()
    row: dict[str, Any] = {
        "id": ident,
        "kind": "train",
        "status": "done",
        "params": {},
        "created": created or datetime.now(UTC),
    }
    row |= {"created_by": "test", "attempt": 1, "max_attempts": 1, "cancel": False, "stage": "publish"}
    row |= {"progress": 1.0, "log": "", "error": "", "result": {"snapshot_id": snapshot.id}}
    with database.write() as connection:
        connection.execute(insert(JOBS).values(row))
    return ident


@pytest.fixture
def story(database, objects):
    """A clip of somebody in a snapshot, a model that learned from it, one tuned from that, and a stranger."""
    person, consent = giver(database)
    clip = agreed(database, objects, consent, "stop", model="tiny 1")
    gathered(database, "kitchen", clip)
    snapshot = make_snapshot(database, "kitchen", Purpose.TRAINING, "test")
    job = run_over(database, snapshot)
    base = add(database, version="1")
    learned = add(database, version="2", base_id=base.id, job_id=job, snapshot_id=snapshot.id)
    tuned = add(database, version="3", base_id=learned.id)
    return person.id, clip, snapshot, job, base, learned, tuned


def read(database, work, *given):
    with database.read() as connection:
        return work(connection, *given)


def test_from_a_clip_to_every_model_that_learned_from_it_and_when_it_answered(database, story):
    _, clip, snapshot, job, base, learned, tuned = story
    promote(database, base.id, actor="command")
    promote(database, learned.id, actor="command")
    promote(database, tuned.id, actor="command")
    found = read(database, of_clip, clip.id)
    assert [(use.dataset, use.number, use.snapshot_id) for use in found.snapshots] == [("kitchen", 1, snapshot.id)]
    assert [run.job_id for run in found.runs] == [job]
    assert [model.ref for model in found.models] == ["tiny@2", "tiny@3"]
    (before,), (now,) = (model.answered for model in found.models)
    assert (before.kind, before.until, now.until) == ("live", now.since, None)


def test_from_a_response_back_to_the_clips(database, story):
    _, clip, snapshot, job, base, learned, tuned = story
    found = read(database, of_model, tuned.title)  # as `Ready.model` says it
    assert [model.id for model in found.tuned_from] == [learned.id, base.id]
    assert [use.snapshot_id for use in found.snapshots] == [snapshot.id]
    assert [run.job_id for run in found.runs] == [job]
    assert read(database, of_model, "tiny@2").clips == (clip.id,)
    assert [model.ref for model in read(database, of_model, base.id).heirs] == ["tiny@2", "tiny@3"]
    assert told(found)["model"]["ref"] == "tiny@3"


def test_a_model_counts_the_kept_clips_that_it_heard(database, story):
    _, clip, _, _, base, *_ = story
    assert read(database, of_clip, clip.id).heard_by == base.title
    assert read(database, of_model, base.id).model.heard == 1


def test_a_withdrawal_names_the_models_that_learned(database, objects, story):
    person, clip, *_ = story
    report = withdraw(database, objects, person, "test")
    assert report.models == ("tiny@2", "tiny@3")
    later = read(database, of_clip, clip.id)
    assert (later.heard_by, later.snapshots[0].withdrawn is not None) == (None, True)
    assert [model.ref for model in later.models] == ["tiny@2", "tiny@3"]


def test_a_run_after_a_withdrawal_has_not_learned_from_the_clip(database, objects, story):
    person, clip, snapshot, *_ = story
    withdraw(database, objects, person, "test")
    job = run_over(database, snapshot, datetime.now(UTC) + timedelta(seconds=1))
    add(database, version="4", job_id=job, snapshot_id=snapshot.id)
    found = read(database, of_clip, clip.id)
    assert job not in {run.job_id for run in found.runs}
    assert [model.ref for model in found.models] == ["tiny@2", "tiny@3"]


def test_a_removed_model_still_has_its_lineage(database, story):
    _, clip, _, _, _, learned, _ = story
    remove(database, learned.id, actor="command")
    assert [model.status for model in read(database, of_clip, clip.id).models] == ["removed", "candidate"]
    assert read(database, of_model, learned.title).clips == (clip.id,)


def test_what_nothing_knows_is_said_so(database, story):
    with pytest.raises(NotFound, match="no snapshot ever had it"):
        read(database, of_clip, "nothing")
    with pytest.raises(NotFound):
        read(database, of_model, "nothing 1")
    assert read(database, heirs_of, []) == []
