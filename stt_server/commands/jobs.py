"""`earloop jobs submit|list|show|log|cancel|retry`: training jobs, from where the server runs. Works beside it."""

from __future__ import annotations

import json
from contextlib import closing
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import typer

from stt_server.errors import BadOption
from stt_server.jobs.asking import ask
from stt_server.jobs.showing import described
from stt_server.settings import load_settings
from stt_server.store import audit, datasets, jobs
from stt_server.store.database import open_database
from stt_server.store.ring import now

if TYPE_CHECKING:
    from stt_server.store.database import Database
    from stt_server.store.jobs import Job

app = typer.Typer()

FIGURES: Final = ("verdict", "model", "wer", "promoted")

Json = Annotated[bool, typer.Option("--json", help="print JSON")]
Id = Annotated[str, typer.Argument(metavar="ID", help="a job's id")]
Promote = Literal["never", "gated"]


@app.command()
def submit(
    dataset: Annotated[str, typer.Argument(help="the dataset to learn from")] = datasets.EVERYDAY,
    snapshot: Annotated[int | None, typer.Option(help="number of a snapshot; a new one by default")] = None,
    base: Annotated[str | None, typer.Option(help="model to go on from; the live one by default")] = None,
    recipe: Annotated[str | None, typer.Option(help="a shipped recipe; fine-tune by default")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="key=value, such as schedule.epochs=3")] = None,
    name: Annotated[str | None, typer.Option(help="of the model; its base's by default")] = None,
    promote: Annotated[Promote, typer.Option(help="gated: let it go live when it has passed the gate")] = "never",
    as_json: Json = False,
) -> None:
    """Ask for a training run; prints the job's id. A worker takes it: `earloop worker`."""
    said = {"dataset": dataset, "snapshot": snapshot, "base": base, "recipe": recipe, "name": name, "promote": promote}
    with closing(_database()) as database:
        job = ask(database, said | {"set": dict(map(_change, set_ or []))}, audit.COMMAND)
    typer.echo(json.dumps(described(job)) if as_json else job.id)


@app.command("list")
def list_jobs(
    status: Annotated[str | None, typer.Option(help=", ".join(jobs.STATUSES))] = None,
    limit: Annotated[int, typer.Option(min=1, max=jobs.MOST_LISTED, help="how many")] = 20,
    as_json: Json = False,
) -> None:
    """The newest jobs: id, when, status, dataset, stage and progress, what came of it."""
    with closing(_database()) as database, database.read() as connection:
        found = jobs.listed(connection, status, limit)
    if as_json:
        typer.echo(json.dumps([described(job) for job in found], ensure_ascii=False))
        return
    for job in found:
        typer.echo(_line(job))
    if not found:
        typer.echo("no job")


@app.command()
def show(job_id: Id, as_json: Json = False) -> None:
    """All that is known of a job but its log."""
    told = described(_get(job_id))
    if as_json:
        typer.echo(json.dumps(told, ensure_ascii=False))
        return
    for key, value in told.items():
        if value not in (None, "", {}):
            typer.echo(f"{key:12} {json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else value}")


@app.command()
def log(job_id: Id) -> None:
    """The last lines of a job."""
    typer.echo(_get(job_id).log or "nothing yet")


@app.command()
def cancel(job_id: Id) -> None:
    """End a job: one that waits at once, one that runs within seconds."""
    with closing(_database()) as database, database.write() as connection:
        job = jobs.cancel(connection, job_id, now())
    typer.echo("cancelled" if job.status == jobs.CANCELLED else "its worker will end it in seconds")


@app.command()
def retry(job_id: Id) -> None:
    """Begin a job again that failed or was cancelled; what it has learned is gone on with, where it is still there."""
    with closing(_database()) as database, database.write() as connection:
        jobs.retry(connection, job_id)
    typer.echo("waiting")


def _get(job_id: str) -> Job:
    with closing(_database()) as database, database.read() as connection:
        return jobs.get(connection, job_id)


def _change(text: str) -> tuple[str, Any]:
    """`key=value`; a value that is no JSON is a text. Raises BadOption."""
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise BadOption(f"{text!r} is no change; write key=value, such as schedule.epochs=3.", field="set")
    try:
        return key, json.loads(value)
    except ValueError:
        return key, value


def _line(job: Job) -> str:
    at = f"{job.stage} {job.progress:4.0%}" if job.status == jobs.RUNNING else ""
    figures = " ".join(f"{name} {job.result[name]}" for name in FIGURES if job.result.get(name) is not None)
    parts = [job.id, f"{job.created:%Y-%m-%d %H:%M}", f"{job.status:9}", job.params.get("dataset", ""), at]
    return "  ".join(part for part in (*parts, figures, job.error) if part)


def _database() -> Database:
    settings = load_settings()
    return open_database(settings.data, settings.database)
