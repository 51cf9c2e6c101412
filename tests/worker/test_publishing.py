"""The last stage with a real bundle and a gate's files as they are written: what becomes of each verdict."""

from __future__ import annotations

import json
import shutil
import threading
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from stt_server.catalog.importing import import_bundle, register_shipped
from stt_server.catalog.promotion import promote
from stt_server.collection.withdrawal import take_back
from stt_server.datasets.making import make_snapshot
from stt_server.errors import NotFound
from stt_server.jobs.asking import ask
from stt_server.jobs.params import read_params
from stt_server.settings import load_settings
from stt_server.store import clips, datasets, jobs, models, reports, routes, verdicts
from stt_server.store.database import open_database
from stt_server.store.objects import open_objects
from stt_server.store.rights import Purpose, Verdict
from stt_server.store.ring import now
from stt_server.store.withdrawal import Why
from tests.store import giving
from training.worker import publishing
from training.worker.diary import Diary
from training.worker.heart import Heart
from training.worker.material import NOTE
from training.worker.publishing import publish
from training.worker.wishes import Left, Wish
from training.worker.work import Work

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from stt_server.store.clips import KeptClip
    from stt_server.store.models import Model
    from stt_server.store.snapshots import Snapshot


class Ready:
    """A job whose bundle is trained and judged; `publish` is all that is left."""

    def __init__(self, work: Work, base: Model, snapshot: Snapshot, clip: KeptClip) -> None:
        self.work, self.base, self.snapshot, self.clip = work, base, snapshot, clip

    def judge(self, verdict: str, suspect: float = 0.0) -> None:
        folder = self.work.folder / "gate"
        folder.mkdir(parents=True)
        target = {"name": "target", "role": "target", "candidate_wer": 0.125}
        told = {"verdict": verdict, "reasons": ["It is so."], "sets": [target], "worst": []}
        (folder / "gate.json").write_text(json.dumps(told))
        (folder / "gate.html").write_text("<html>so</html>")
        (folder / "suspects.csv").write_text(f"clip,suspect,text,heard,path\n{self.clip.id},{suspect},la,lo,x.flac\n")

    def publish(self) -> dict[str, Any]:
        return publish(self.work, self.base, self.snapshot)

    def live(self) -> str:
        with self.work.database.read() as connection:
            route = routes.find(connection, routes.Kind.LIVE)
        assert route is not None
        return route.model_id


@contextmanager
def ready(data: Path, bundle: Path, **said: Any) -> Iterator[Ready]:
    settings, objects = load_settings(data=data), open_objects(data)
    with closing(open_database(data)) as database:
        base = register_shipped(database, bundle, str(bundle), "server")
        _, consent = giving.giver(database)
        clip = giving.clip(database, consent)
        with database.write() as connection:
            verdicts.set_decided(connection, clip.id, Verdict.RIGHT, "la la", now())
            datasets.gather(connection, now())
        snapshot = make_snapshot(database, "everyday", Purpose.TRAINING, "test")
        ask(database, {"dataset": "everyday", "name": "better", **said}, "command")
        with database.write() as connection:
            job = jobs.claim(connection, "ann", now(), 600)
        assert job is not None
        heart = Heart(database, job, Diary(), 600, threading.Event())
        work = Work(settings, database, objects, job, read_params(job.params), Diary(), heart)
        shutil.copytree(bundle, work.folder / "fit" / "bundle")
        yield Ready(work, base, snapshot, clip)


@pytest.mark.parametrize(
    ("verdict", "promote_", "status", "promoted"),
    [
        ("passed", "gated", "accepted", True),
        ("passed", "never", "candidate", False),
        ("refused", "gated", "refused", False),
        ("undecided", "gated", "candidate", False),
    ],
)
def test_only_a_passed_gate_lets_a_model_go_live_and_only_where_that_was_asked_for(
    tmp_path, tiny_bundle, verdict, promote_, status, promoted
):
    with ready(tmp_path, tiny_bundle, promote=promote_) as job:
        job.judge(verdict)
        result = job.publish()
        with job.work.database.read() as connection:
            model = models.get(connection, result["model_id"])
            report = reports.get(connection, result["report_id"])
        assert (result["verdict"], result["promoted"], result["wer"]) == (verdict, promoted, 0.125)
        assert (model.name, model.status, model.base_id) == ("better", status, job.base.id)
        assert (model.job_id, model.snapshot_id) == (job.work.job.id, job.snapshot.id)
        assert (report.model_id, report.base_id, report.job_id) == (model.id, job.base.id, job.work.job.id)
        assert job.work.objects.get(report.html_key or "") == b"<html>so</html>"
        assert (job.live() == model.id) == promoted


def test_published_twice_it_is_the_same_model_and_report(tmp_path, tiny_bundle):
    with ready(tmp_path, tiny_bundle) as job:
        job.judge("passed")
        assert job.publish() == job.publish()


def test_a_model_that_beat_one_that_is_live_no_more_waits_for_an_operator(tmp_path, tiny_bundle):
    with ready(tmp_path, tiny_bundle, promote="gated") as job:
        objects = job.work.objects
        other = import_bundle(job.work.database, objects, tiny_bundle, name="other", actor="command")
        promote(job.work.database, other.id, actor="command")
        job.judge("passed")
        result = job.publish()
        assert not result["promoted"]
        assert result["why_not"]
        assert job.live() == other.id


def test_a_label_that_looks_wrong_is_judged_anew(tmp_path, tiny_bundle):
    with ready(tmp_path, tiny_bundle) as job:
        job.judge("passed", suspect=0.97)
        assert job.publish()["reopened"] == 1
        with job.work.database.read() as connection:
            again = clips.get(connection, job.clip.id)
        assert (again.status, again.round) == ("waiting", 2)


def test_a_page_goes_when_a_clip_is_withdrawn_that_its_model_learned_from(tmp_path, tiny_bundle):
    with ready(tmp_path, tiny_bundle) as job:
        job.judge("passed")
        report_id = job.publish()["report_id"]
        take_back(job.work.database, job.work.objects, [job.clip.id], "command", Why.CURATOR)
        with job.work.database.read() as connection:
            report = reports.get(connection, report_id)
        assert (report.html_key, report.verdict) == (None, "passed")
        with pytest.raises(NotFound):
            job.work.objects.get(reports.page_key(report_id))


def test_of_a_clip_that_is_withdrawn_while_its_model_is_imported_neither_model_nor_page_is_left(
    tmp_path, tiny_bundle, monkeypatch
):
    with ready(tmp_path, tiny_bundle, promote="gated") as job:
        job.judge("passed")
        (job.work.folder / NOTE).write_text(json.dumps({"snapshots": {job.snapshot.id: [job.clip.id]}, "guards": []}))

        def withdrawn_meanwhile(*given: Any, **more: Any) -> Model:
            take_back(job.work.database, job.work.objects, [job.clip.id], "command", Why.CURATOR)
            return import_bundle(*given, **more)

        monkeypatch.setattr(publishing, "import_bundle", withdrawn_meanwhile)
        with pytest.raises(Left) as left:
            job.publish()
        assert left.value.wish is Wish.RESTART
        with job.work.database.read() as connection:
            made = [each for each in models.listed(connection, removed=True) if each.job_id == job.work.job.id]
            (page,) = [reports.newest(connection, each.id) for each in made]
        assert [each.status for each in made] == ["removed"]
        assert page is not None
        assert page.html_key is None, "the page may let the clip be heard"
        assert job.live() == job.base.id
