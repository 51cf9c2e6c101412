"""`/v1/jobs`: training jobs. Curators may look; asking for them and ending them is for admins."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web
from pydantic import BaseModel, ConfigDict

from stt_server.errors import BadOption, NotFound
from stt_server.jobs.asking import ask
from stt_server.jobs.showing import described
from stt_server.store import jobs, reports
from stt_server.store.jobs import MOST_LISTED, STATUSES
from stt_server.store.ring import now
from stt_server.web.context import identity_of, services_of
from stt_server.web.payloads import read_json

if TYPE_CHECKING:
    from stt_server.store.database import Database
    from stt_server.store.jobs import Job

LISTED: Final = 50
BOUND_BYTES: Final = 64 << 10
# A report is one file: its own styles, and audio that is written into it. No script, nothing from elsewhere.
POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; media-src data:; sandbox"


class NewJob(BaseModel):
    """What `jobs.params` checks; an unknown key is refused there, by name."""

    model_config = ConfigDict(extra="allow")


async def listed(request: web.Request) -> web.Response:
    """The newest jobs, those of one `status` where it is named. Raises BadOption."""
    status, limit = request.query.get("status"), request.query.get("limit", str(LISTED))
    if status is not None and status not in STATUSES:
        raise BadOption(f"status takes {', '.join(STATUSES)}.", field="status")
    if not (limit.isascii() and limit.isdecimal() and len(limit) < 10 and 1 <= int(limit) <= MOST_LISTED):
        raise BadOption(f"limit takes a whole number from 1 to {MOST_LISTED}.", field="limit")
    found = await services_of(request).store.run(_listed, status, int(limit))
    return web.json_response({"jobs": [described(job) for job in found]})


async def create(request: web.Request) -> web.Response:
    """Ask for a training run. Raises BadInput, NotFound for what it names, Busy where too many wait."""
    said = (await read_json(request, NewJob, BOUND_BYTES)).model_dump()
    job = await services_of(request).store.run(ask, said, identity_of(request).id)
    return web.json_response(described(job), status=201)


async def show(request: web.Request) -> web.Response:
    """One of them, with its log. Raises NotFound."""
    job = await services_of(request).store.run(_get, _id(request))
    return web.json_response(described(job) | {"log": job.log})


async def cancel(request: web.Request) -> web.Response:
    """End it. Raises NotFound, Conflict where it has ended."""
    return web.json_response(described(await services_of(request).store.run(_cancel, _id(request))))


async def retry(request: web.Request) -> web.Response:
    """Begin it again. Raises NotFound, Conflict where it has not failed."""
    return web.json_response(described(await services_of(request).store.run(_retry, _id(request))))


async def report(request: web.Request) -> web.Response:
    """The page of its gate. Raises NotFound where there is none, or a clip that it showed was withdrawn."""
    services = services_of(request)
    key = await services.store.run(_page_key, _id(request))
    page = await asyncio.to_thread(services.objects.get, key)
    headers: dict[str, Any] = {"Content-Security-Policy": POLICY}
    return web.Response(body=page, content_type="text/html", charset="utf-8", headers=headers)


def _id(request: web.Request) -> str:
    return request.match_info["job"]


def _listed(database: Database, status: str | None, limit: int) -> list[Job]:
    with database.read() as connection:
        return jobs.listed(connection, status, limit)


def _get(database: Database, job_id: str) -> Job:
    with database.read() as connection:
        return jobs.get(connection, job_id)


def _cancel(database: Database, job_id: str) -> Job:
    with database.write() as connection:
        return jobs.cancel(connection, job_id, now())


def _retry(database: Database, job_id: str) -> Job:
    with database.write() as connection:
        return jobs.retry(connection, job_id)


def _page_key(database: Database, job_id: str) -> str:
    with database.read() as connection:
        report_id = jobs.get(connection, job_id).result.get("report_id")
        if report_id is None:
            raise NotFound(f"Job {job_id} has no gate report.", field="job")
        key = reports.get(connection, report_id).html_key
    if key is None:
        raise NotFound("The page of this report was erased: somebody took back a clip that it showed.", field="job")
    return key
