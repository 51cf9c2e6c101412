"""The last stage: the bundle becomes a model, the gate's report a row and a page, doubtful labels go back to the queue.

The gate's verdict decides what the model is: refused, or a candidate. It goes live only where the job asks for that and
the gate has passed it, in the one transaction that any promotion is; should another model have become live meanwhile,
the report says nothing about that one, and the candidate waits for an operator.
"""

from __future__ import annotations

import csv
import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from stt_server.catalog.importing import import_bundle
from stt_server.catalog.promotion import promote, remove
from stt_server.errors import Conflict
from stt_server.store import reports
from stt_server.store.ids import new_id
from stt_server.store.models import Status
from stt_server.store.reports import PASSED, GateReport
from stt_server.store.ring import now
from stt_server.store.routes import Kind
from stt_server.tagging import curation
from training.worker.material import gone_since
from training.worker.wishes import Left, Wish
from training.worker.work import FIT, GATE

if TYPE_CHECKING:
    from stt_server.store.models import Model
    from stt_server.store.snapshots import Snapshot
    from training.worker.work import Work

ACTOR: Final = "worker"
GATED: Final = "gated"
LEAST: Final = 0.001  # a suspicion below is none


def publish(work: Work, base: Model, snapshot: Snapshot) -> dict[str, Any]:
    """What the job's row keeps: ids, verdict, the word error rate on the target, and whether the model is live.

    Raises Left where a clip was withdrawn meanwhile.
    """
    judged = json.loads((work.folder / GATE / "gate.json").read_text(encoding="utf-8"))
    refused = judged["verdict"] == "refused"
    model = import_bundle(
        work.database,
        work.objects,
        work.folder / FIT / "bundle",
        name=work.params.name or base.name,
        actor=ACTOR,
        status=Status.REFUSED if refused else Status.CANDIDATE,
        base_id=base.id,
        job_id=work.job.id,
        snapshot_id=snapshot.id,
        person_id=work.params.person,
    )
    report = _keep_report(work, model, base, judged)
    _check_unspoilt(work, model)
    work.diary.say(f"{model.ref}: {judged['verdict']}; {' '.join(judged['reasons'])}")
    reopened = _doubt(work)
    return {
        "dataset": snapshot.dataset,
        "snapshot": snapshot.number,
        "snapshot_id": snapshot.id,
        "base_id": base.id,
        "model_id": model.id,
        "model": model.ref,
        "report_id": report.id,
        "verdict": report.verdict,
        "wer": _target_wer(judged),
        "reopened": reopened,
        **_promoted(work, model, report),
    }


def _check_unspoilt(work: Work, model: Model) -> None:
    """A withdrawal names the models and clears the reports that there are; one that came before these were there, and
    after the stage had begun, could do neither. Raises Left.
    """
    gone = gone_since(work.database, work.folder)
    if not gone:
        return
    with work.database.write() as connection:
        reports.forget(connection, gone, now())
    with suppress(Conflict):  # it answers by now, imported by an earlier attempt: the withdrawal has named it
        remove(work.database, model.id, actor=ACTOR, reason="a clip that it learned from was withdrawn")
    raise Left(Wish.RESTART)


def _keep_report(work: Work, model: Model, base: Model, judged: dict[str, Any]) -> GateReport:
    """The page first, then the row that names it. A job that was cut off behind this has its report already."""
    with work.database.read() as connection:
        known = reports.newest(connection, model.id)
    if known is not None and known.job_id == work.job.id:
        return known
    ident = new_id()
    key = reports.page_key(ident)
    work.objects.put(key, (work.folder / GATE / "gate.html").read_bytes())
    report = GateReport(
        id=ident,
        model_id=model.id,
        base_id=base.id,
        job_id=work.job.id,
        created=now(),
        verdict=judged["verdict"],
        report=judged,
        html_key=key,
    )
    with work.database.write() as connection:
        reports.insert_report(connection, report)
    return report


def _promoted(work: Work, model: Model, report: GateReport) -> dict[str, Any]:
    if work.params.promote != GATED or report.verdict != PASSED:
        return {"promoted": False}
    person = work.params.person
    kind, key = (Kind.PERSON, person) if person else (Kind.LIVE, "")
    try:
        promote(work.database, model.id, actor=ACTOR, report_id=report.id, kind=kind, key=key)
    except Conflict as error:
        work.diary.say(f"not promoted: {error.message}")
        return {"promoted": False, "why_not": error.message}
    return {"promoted": True}


def _doubt(work: Work) -> int:
    """Labels that look wrong are judged anew by people; says how many clips that reopened."""
    path = work.folder / GATE / "suspects.csv"
    if not path.is_file():
        return 0
    with path.open(encoding="utf-8", newline="") as lines:
        doubted = [(row["clip"], float(row["suspect"])) for row in csv.DictReader(lines)]
    serious = [(clip, suspect) for clip, suspect in doubted if suspect >= LEAST]
    return curation.suspect(work.database, ACTOR, serious, now())


def _target_wer(judged: dict[str, Any]) -> float | None:
    found = [each["candidate_wer"] for each in judged["sets"] if each["role"] == "target"]
    return found[0] if found else None
