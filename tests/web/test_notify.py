"""Jobs that end, told to a real HTTP server and a real mail server, that may fail at first."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
from aiohttp import web

from stt_server.errors import BadOption
from stt_server.settings import load_settings
from stt_server.store import datasets, jobs, verdicts
from stt_server.store.notices import Channel
from stt_server.store.rights import Verdict
from stt_server.store.ring import now
from stt_server.web.notify import Notifier, tellers_of
from tests.store import giving
from tests.web.conftest import PATIENCE_S, Server, Start
from tests.web.mailbox import mailbox

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from stt_server.store.database import Database
    from stt_server.store.jobs import Job

SECRET = "a secret of many letters"
SOON_S = 0.01


@dataclass
class Hook:
    """What was posted, and what is answered."""

    url: str = ""
    answers: list[int] = field(default_factory=list)  # statuses; 200 when they are used up
    posted: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    elsewhere: int = 0


@asynccontextmanager
async def hook(*answers: int) -> AsyncIterator[Hook]:
    it = Hook(answers=list(answers))

    async def take(request: web.Request) -> web.Response:
        it.posted.append((dict(request.headers), await request.read()))
        status = it.answers.pop(0) if it.answers else 200
        return web.Response(status=status, headers={"Location": "/elsewhere"} if status // 100 == 3 else {})

    async def elsewhere(_: web.Request) -> web.Response:
        it.elsewhere += 1
        return web.Response()

    app = web.Application()
    app.add_routes([web.post("/hook", take), web.route("*", "/elsewhere", elsewhere)])
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        it.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
        yield it
    finally:
        await runner.cleanup()


def end_a_job(database: Database, error: str = "") -> Job:
    with database.write() as connection:
        jobs.submit(connection, jobs.TRAIN, {"dataset": "everyday"}, "command", now())
        job = jobs.claim(connection, "ann", now(), 30)
        assert job is not None
        if error:
            jobs.fail(connection, job, error, now())
        else:
            jobs.finish(connection, job, {"verdict": "passed", "model": "tiny@2", "promoted": True}, now())
        return jobs.get(connection, job.id)


def notifier(server: Server, **settings: str) -> Notifier:
    return Notifier(server.services.store, tellers_of(load_settings(**settings)), first_s=SOON_S)


async def look_until(notifier: Notifier, count: int) -> int:
    """Look again and again until so much was told; how often it looked."""
    looks = told = 0
    async with asyncio.timeout(PATIENCE_S):
        while told < count:
            told += await notifier.look()
            looks += 1
    return looks


async def test_a_webhook_that_fails_twice_is_told_at_the_third_try_and_can_see_that_it_is_us(server: Server):
    job = await server.services.store.run(end_a_job)
    async with hook(500, 503) as it:
        ours = notifier(server, webhook_url=it.url, webhook_secret=SECRET)
        await look_until(ours, 1)
        assert len(it.posted) == 3
        assert await ours.look() == 0, "told once"
    deliveries = {headers["Earloop-Delivery"] for headers, _ in it.posted}
    assert len(deliveries) == 1
    headers, body = it.posted[-1]
    told = json.loads(body)
    assert (told["event"], told["job"]["id"], told["job"]["status"]) == ("job.ended", job.id, "done")
    assert "log" not in told["job"]
    moment, mac = (part.split("=")[1] for part in headers["Earloop-Signature"].split(","))
    assert mac == hmac.new(SECRET.encode(), f"{moment}.".encode() + body, hashlib.sha256).hexdigest()
    assert abs(time.time() - int(moment)) < PATIENCE_S * 3


async def test_a_webhook_that_sends_us_elsewhere_is_not_followed(server: Server):
    await server.services.store.run(end_a_job)
    async with hook(302, 307, 200) as it:
        await look_until(notifier(server, webhook_url=it.url, webhook_secret=SECRET), 1)
        assert (len(it.posted), it.elsewhere) == (3, 0)


async def test_nobody_listening_is_no_reason_to_stop_and_in_the_end_it_is_given_up(server: Server):
    await server.services.store.run(end_a_job)
    async with hook() as it:
        url = it.url
    ours = Notifier(
        server.services.store, tellers_of(load_settings(webhook_url=url, webhook_secret=SECRET)), first_s=1e-6
    )
    async with asyncio.timeout(PATIENCE_S):
        while await server.services.store.run(_pending):
            assert await ours.look() == 0


async def test_a_mail_server_that_is_busy_is_tried_again_and_gets_one_mail(server: Server):
    job = await server.services.store.run(end_a_job, "no clips to learn from")
    with mailbox(refusals=1) as box:
        ours = notifier(server, smtp_url=box.url, mail_from="earloop@example.org", mail_to="a@example.org, b@b.example")
        assert await look_until(ours, 1) >= 2
    ((sender, recipients, message),) = box.taken
    assert "earloop@example.org" in sender
    assert len(recipients) == 2
    assert message["Subject"] == "Earloop: training on everyday failed"
    assert {job.id, "no clips to learn from"} <= {job.id, *message.get_content().splitlines()}
    assert job.id in message.get_content()


async def test_a_running_server_tells_what_ends_and_begins_what_is_due(start: Start):
    async with hook() as it:
        settings = {"webhook_url": it.url, "webhook_secret": SECRET, "train_after_clips": 1}
        server = await start(**settings)
        job = await server.services.store.run(end_a_job)
        async with asyncio.timeout(PATIENCE_S):
            while not it.posted:  # noqa: ASYNC110 - a request sets no event
                await asyncio.sleep(0.02)
        assert json.loads(it.posted[0][1])["job"]["id"] == job.id
    await server.services.store.run(_validate_one)
    async with asyncio.timeout(PATIENCE_S * 3):
        while not (asked := await server.services.store.run(_waiting)):  # noqa: ASYNC110 - nor does a row
            await asyncio.sleep(0.05)
    assert [each.created_by for each in asked] == ["clips"]


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"webhook_url": "ftp://example.org", "webhook_secret": SECRET}, "webhook_url"),
        ({"webhook_url": "https://example.org/hook"}, "webhook_secret"),
        ({"webhook_url": "https://example.org/hook", "webhook_secret": "short"}, "webhook_secret"),
        ({"smtp_url": "mail.example.org", "mail_to": "a@example.org"}, "smtp_url"),
        ({"smtp_url": "smtp://mail:x", "mail_to": "a@example.org"}, "smtp_url"),
        ({"smtp_url": "smtp://mail", "mail_from": "a@example.org"}, "mail_to"),
        ({"smtp_url": "smtp://mail", "mail_from": "a@b", "mail_to": "nobody\nBcc: x@y"}, "mail_to"),
        ({"smtp_url": "smtp://mail", "mail_from": "nobody", "mail_to": "a@example.org"}, "mail_from"),
    ],
)
def test_settings_that_cannot_be_refuse_to_start(settings: dict, field: str):
    with pytest.raises(BadOption) as refused:
        tellers_of(load_settings(**settings))
    assert refused.value.field == field


def test_without_settings_nobody_is_told():
    assert tellers_of(load_settings()) == {}
    assert set(Channel) == {"webhook", "mail"}


def _pending(database: Database) -> bool:
    from sqlalchemy import func, select

    from stt_server.store.tables import NOTICES

    with database.read() as connection:
        known = connection.scalar(select(func.count()).select_from(NOTICES))
        return not known or bool(connection.scalar(select(func.count()).where(NOTICES.c.next_try.is_not(None))))


def _waiting(database: Database) -> list[Job]:
    with database.read() as connection:
        return jobs.listed(connection, jobs.WAITING)


def _validate_one(database: Database) -> None:
    _, consent = giving.giver(database)
    kept = giving.clip(database, consent)
    with database.write() as connection:
        verdicts.set_decided(connection, kept.id, Verdict.RIGHT, "la la", now())
        datasets.gather(connection, now())
