"""Gate reports: whether a candidate was shown to be better, with every figure. Rows are written once.

A report's page has audio of the worst new errors and texts of labels that look wrong, and the row has some of both.
So when a clip leaves, the pages of all models that learned from it or were tested on it are erased, and no row names it
any more. The figures stay.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import Text, and_, cast, insert, or_, select, update

from stt_server.errors import NotFound
from stt_server.store import erasures
from stt_server.store.tables import GATE_REPORTS, MODELS, SNAPSHOT_CLIPS

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from datetime import datetime

    from sqlalchemy import Connection, Row, Select

PREFIX: Final = "reports/"
PASSED: Final = "passed"
VERDICTS: Final = (PASSED, "refused", "undecided")
SHOWN: Final = "worst"  # the key of a report under which single utterances stand
BATCH: Final = 100  # clips looked for in one statement


@dataclass(frozen=True, slots=True, kw_only=True)
class GateReport:
    """A row of `gate_reports`."""

    id: str
    model_id: str
    base_id: str | None  # the model it was held against
    job_id: str | None
    created: datetime
    verdict: str
    report: dict[str, Any]  # as in its file
    html_key: str | None  # the object with the page


def page_key(report_id: str) -> str:
    """The object's key of a report's page."""
    return f"{PREFIX}{report_id}.html"


def insert_report(connection: Connection, report: GateReport) -> None:
    """Keep a new row; the object with its page must be there."""
    row = {each.name: getattr(report, each.name) for each in fields(GateReport)}
    connection.execute(insert(GATE_REPORTS).values(row))


def get(connection: Connection, report_id: str) -> GateReport:
    """Raises NotFound."""
    row = connection.execute(select(GATE_REPORTS).where(GATE_REPORTS.c.id == report_id)).one_or_none()
    if row is None:
        raise NotFound(f"There is no gate report {report_id[:40]!r}.", field="report")
    return _report(row)


def newest(connection: Connection, model_id: str) -> GateReport | None:
    """The last one of a model; None for one that no gate has judged."""
    query = select(GATE_REPORTS).where(GATE_REPORTS.c.model_id == model_id)
    row = connection.execute(query.order_by(GATE_REPORTS.c.created.desc(), GATE_REPORTS.c.id).limit(1)).one_or_none()
    return None if row is None else _report(row)


def listed(connection: Connection, limit: int = 50) -> list[GateReport]:
    """The newest first."""
    query = select(GATE_REPORTS).order_by(GATE_REPORTS.c.created.desc(), GATE_REPORTS.c.id)
    return [_report(row) for row in connection.execute(query.limit(limit))]


def forget(connection: Connection, clip_ids: Collection[str], now: datetime) -> int:
    """Take clips out of every report that may show them; says how many reports that were."""
    forgotten, asked = 0, sorted(clip_ids)
    for start in range(0, len(asked), BATCH):
        some = asked[start : start + BATCH]
        naming = or_(*(cast(GATE_REPORTS.c.report, Text).contains(ident, autoescape=True) for ident in some))
        learned = select(MODELS.c.id).where(MODELS.c.snapshot_id.in_(_snapshots(some)))
        shown = and_(GATE_REPORTS.c.html_key.is_not(None), GATE_REPORTS.c.model_id.in_(learned))
        for row in connection.execute(select(GATE_REPORTS).where(or_(naming, shown)).with_for_update()).all():
            _forget(connection, _report(row), frozenset(some), now)
            forgotten += 1
    return forgotten


def _snapshots(clip_ids: Sequence[str]) -> Select[tuple[str]]:
    return select(SNAPSHOT_CLIPS.c.snapshot_id).where(SNAPSHOT_CLIPS.c.clip_id.in_(clip_ids))


def _forget(connection: Connection, report: GateReport, clip_ids: frozenset[str], now: datetime) -> None:
    """An utterance names its clip somewhere in it: by its id, or as the name of its file."""
    shown = report.report.get(SHOWN, [])
    kept = [each for each in shown if not any(ident in json.dumps(each) for ident in clip_ids)]
    if report.html_key is not None:
        erasures.ask(connection, [report.html_key], now)
    values = {"report": {**report.report, SHOWN: kept}, "html_key": None}
    connection.execute(update(GATE_REPORTS).where(GATE_REPORTS.c.id == report.id).values(values))


def _report(row: Row[Any]) -> GateReport:
    return GateReport(**row._mapping)
