"""Custom models, titled datasets and what keys used by model, in both databases."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from stt_server.errors import BadOption, Conflict, NotFound
from stt_server.store import custom_models, datasets, jobs, keys, usage
from stt_server.store.database import Connection, Database, open_database
from stt_server.store.jobs import Job
from stt_server.store.models import Model, Status, get, insert_model, set_status
from stt_server.store.objects import open_objects
from stt_server.store.rights import Scope
from stt_server.store.usage import Used
from tests.datasets.rows import agreed, gathered
from tests.store.giving import now

ANN, BOB = "0123456789abcdef", "fedcba9876543210"


@pytest.fixture
def database(tmp_path: Path, database_url: str) -> Iterator[Database]:
    with closing(open_database(tmp_path, database_url)) as opened:
        yield opened


def ran(connection: Connection, own: str, number: int, *, fails: bool = False) -> Job:
    """A run of a custom model that made the bundle `made<number>`, or failed."""
    job = jobs.submit(connection, jobs.TRAIN, {"dataset": "a", "custom_model": own}, ANN, now())
    claimed = jobs.claim(connection, "tester", now(), 60)
    assert claimed is not None
    if fails:
        jobs.fail(connection, claimed, "no memory", now())
        return job
    made = Model(
        id=f"made{number}",
        name="own",
        version=str(number),
        language="en",
        sha256=bytes(32),
        created=now() + timedelta(seconds=number),
        created_by="worker",
        job_id=job.id,
    )
    insert_model(connection, made)
    jobs.finish(connection, claimed, {"model_id": made.id, "wer": number / 10}, now())
    return job


def test_a_model_is_its_keys_own_and_is_found_by_id_or_name(database: Database):
    with database.write() as connection:
        one, _ = [custom_models.create(connection, "Proof", ANN, [], now()) for _ in range(2)]
        newer = custom_models.create(connection, "Proof", ANN, [], now() + timedelta(minutes=1))
        his = custom_models.create(connection, "Proof", BOB, [], now())
        assert custom_models.get(connection, one.id.upper(), ANN) == one
        assert custom_models.get(connection, "Proof", ANN) == newer
        assert custom_models.listed(connection, BOB) == [his]
        assert custom_models.count(connection, ANN) == 3
        for ref in (one.id, "proof", "x" * 300, "nul\0"[:3]):
            with pytest.raises(NotFound):
                custom_models.get(connection, ref, BOB)
        custom_models.remove(connection, one.id)
        assert custom_models.count(connection, ANN) == 2


def test_it_stands_where_its_last_run_and_the_last_that_was_done_leave_it(database: Database):
    with database.write() as connection:
        own = custom_models.create(connection, "Proof", ANN, [], now())

        def stands() -> tuple[str | None, float | None, str | None]:
            found = custom_models.standing(connection, custom_models.get(connection, own.id, ANN))
            return found.run.status if found.run else None, found.wer, custom_models.made_of(found)

        def begin(number: int, *, fails: bool = False) -> None:
            found = custom_models.standing(connection, custom_models.get(connection, own.id, ANN))
            made = custom_models.made_of(found)
            job = ran(connection, own.id, number, fails=fails)
            custom_models.begin_run(connection, own.id, job.id, None, made)

        assert stands() == (None, None, None)
        begin(1)
        assert stands() == ("done", 0.1, "made1")
        begin(2, fails=True)
        assert stands() == ("failed", 0.1, "made1")
        begin(3)
        assert stands() == ("done", 0.3, "made3")


def test_what_a_key_had_made_is_nobody_elses_base(database: Database):
    with database.write() as connection:
        own = custom_models.create(connection, "Proof", ANN, [], now())
        ran(connection, own.id, 1)
        insert_model(connection, replace(get(connection, "made1"), id="free", job_id=None))
        for ident in ("made1", "free"):
            assert not custom_models.is_general(connection, get(connection, ident))
            set_status(connection, ident, Status.ACCEPTED)
        assert custom_models.asked_for(connection, "made1") == own.id
        assert custom_models.asked_for(connection, "free") is None
        assert [custom_models.is_general(connection, get(connection, each)) for each in ("made1", "free")] == [
            False,
            True,
        ]


def test_it_learns_from_the_labelled_clips_of_all_its_datasets(database: Database, tmp_path: Path):
    objects = open_objects(tmp_path)
    one, two, waiting = (
        agreed(database, objects),
        agreed(database, objects),
        agreed(database, objects, status="waiting", verdict=None, text=None),
    )
    gathered(database, "first", one, two)
    gathered(database, "second", two, waiting)
    with database.write() as connection:
        ids = [datasets.get(connection, name).id for name in ("first", "second")]
        own = custom_models.create(connection, "Proof", ANN, ids[:1], now())
        custom_models.add_datasets(connection, own.id, ids * 2)
        own = custom_models.get(connection, own.id, ANN)
        assert set(own.datasets) == set(ids)
        assert sorted(custom_models.dataset_names(connection, own)) == ["first", "second"]
        assert custom_models.labelled(connection, own.datasets) == 2
        assert sorted(custom_models.clips_of(connection, own.datasets)) == sorted([one.id, two.id, waiting.id])
        assert custom_models.labelled(connection, []) == 0


def test_a_dataset_may_have_any_title_and_two_makers_the_same(database: Database):
    with database.write() as connection:
        hers = datasets.create_titled(connection, "The Proof!", ANN, now())
        his = datasets.create_titled(connection, "the proof", BOB, now())
        assert (hers.name, hers.description) == ("the-proof", "The Proof!")
        assert (his.name, his.description) == (f"the-proof-{BOB}", "the proof")
        assert datasets.find(connection, hers.id) == datasets.find(connection, "the-proof") == hers
        assert (datasets.made_by(connection, ANN), datasets.made_by(connection, "nobody")) == (1, 0)
        for by in (ANN, BOB):
            with pytest.raises(Conflict, match="dataset-id is"):
                datasets.create_titled(connection, "The Proof", by, now())
        for title in ("", "!?", "漢字"):
            with pytest.raises(BadOption, match="letter"):
                datasets.create_titled(connection, title, ANN, now())
        assert len(datasets.create_titled(connection, "x" * 100, ANN, now()).name) == datasets.LONGEST_PLAIN


def test_use_by_model_adds_up(database: Database):
    today = now().date()
    with database.write() as connection:
        ident = keys.create(connection, "a", [Scope.STREAM], now()).split("_")[1]
        for more in (Used(1.5, streams=1), Used(2.0), Used(0.0, uploads=2)):
            usage.add_models(connection, {(ident, today, "en-small"): more, (ident, today, "m" * 200): more})
        first, second = usage.by_model(connection, today, today)
        assert first == (ident, today, "en-small", Used(3.5, 1, 2))
        assert second[2] == "m" * usage.LONGEST_MODEL
