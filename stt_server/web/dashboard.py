"""`/v1/dashboard`: the loop at a glance, as the page at `/dashboard` draws it."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web

from stt_server.errors import BadOption
from stt_server.store import jobs, models, overview, reports, routes, shadow_days
from stt_server.store.ring import now
from stt_server.store.routes import Kind
from stt_server.web.context import services_of

if TYPE_CHECKING:
    from datetime import date

    from stt_server.store.database import Connection, Database
    from stt_server.store.jobs import Job
    from stt_server.store.models import Model
    from stt_server.store.reports import GateReport
    from stt_server.store.routes import Change

DAYS: Final = 30
SHOWN_JOBS: Final = 10
SHOWN_CHANGES: Final = 20
SHOWN_MODELS: Final = 30  # the newest; those that have answered everybody come on top
SHOWN_LIVE: Final = 50
GREEDY: Final = "greedy"


async def show(request: web.Request) -> web.Response:
    """All of it, `days` of it day by day. Raises BadOption."""
    asked = request.query.get("days", str(DAYS))
    if not (asked.isascii() and asked.isdecimal() and 0 < int(asked[:4]) <= overview.MOST_DAYS):
        raise BadOption(f"days is a number from 1 to {overview.MOST_DAYS}.", field="days")
    return web.json_response(await services_of(request).store.run(_overview, int(asked)))


def _overview(database: Database, days: int) -> dict[str, Any]:
    today = now().date()
    with database.read() as connection:
        known = {model.id: model for model in models.listed(connection, removed=True)}
        made = overview.days(connection, today, days)
        queue = overview.queue(connection)
        changes = routes.changes(connection, SHOWN_CHANGES)
        live = _live(routes.changes_of(connection, Kind.LIVE), known)
        return {
            "live": live,
            "routes": [asdict(each) | {"model": _name(known, each.model_id)} for each in routes.every(connection)],
            "models": [_model(each) for each in _shown(known, live)],
            "changes": [_change(each, known) for each in changes],
            "days": [asdict(day) | {"day": day.day.isoformat()} for day in made],
            "queue": asdict(queue),
            "jobs": [_job(job) for job in jobs.listed(connection, limit=SHOWN_JOBS)],
            "report": _report(next(iter(reports.listed(connection, 1)), None), known),
            "shadow": _shadow(connection, made[0].day, known),
        }


def _live(changes: list[Change], known: dict[str, Model]) -> list[dict[str, Any]]:
    """The models that have answered everybody, oldest first; the last one does."""
    return [_change(each, known) for each in changes if each.model_id in known][-SHOWN_LIVE:]


def _shown(known: dict[str, Model], live: list[dict[str, Any]]) -> list[Model]:
    """The newest first. However many came since, the history of the live model needs the error rates of those in it."""
    answered = {change["model_id"] for change in live}
    return [model for place, model in enumerate(known.values()) if place < SHOWN_MODELS or model.id in answered]


def _model(model: Model) -> dict[str, Any]:
    names = "id name version language status job_id base_id"
    rates = {each["source"]: each["wer"] for each in _served(model) if each.get("wer")}
    told = {name: getattr(model, name) for name in names.split()}
    return told | {"ref": model.ref, "created": model.created.isoformat(), "wer": rates}


def _served(model: Model) -> list[dict[str, Any]]:
    """Its measured error rates with the language model, where it has one."""
    with_lm = [each for each in model.error_rates if each.get("decoder") != GREEDY]
    return with_lm or model.error_rates


def _change(change: Change, known: dict[str, Model]) -> dict[str, Any]:
    told = asdict(change) | {"moment": change.moment.isoformat(), "ungated": change.ungated}
    return told | {"model": _name(known, change.model_id), "previous": _name(known, change.previous_id)}


def _name(known: dict[str, Model], model_id: str | None) -> str | None:
    return known[model_id].ref if model_id in known else model_id


def _job(job: Job) -> dict[str, Any]:
    told = {
        name: getattr(job, name) for name in "id kind status stage progress attempt created_by error result".split()
    }
    finished = job.finished.isoformat() if job.finished else None
    return told | {"dataset": job.params.get("dataset"), "created": job.created.isoformat(), "finished": finished}


def _report(report: GateReport | None, known: dict[str, Model]) -> dict[str, Any] | None:
    """The last judgement, without single utterances: those are on its own page."""
    if report is None:
        return None
    shown = {name: report.report.get(name, []) for name in ("reasons", "sets")}
    names = {"model": _name(known, report.model_id), "base": _name(known, report.base_id)}
    named = {"id": report.id, "job_id": report.job_id, "created": report.created.isoformat()}
    return named | names | shown | {"verdict": report.verdict, "page": report.html_key is not None}


def _shadow(connection: Connection, since: date, known: dict[str, Model]) -> list[dict[str, Any]]:
    """Per day and pair of models, oldest first."""
    return [
        asdict(figures)
        | {"day": pair.day.isoformat(), "model": _name(known, pair.model_id), "live": _name(known, pair.live_id)}
        for pair, figures in shadow_days.since(connection, since).items()
    ]
