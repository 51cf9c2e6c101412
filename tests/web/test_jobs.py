from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from stt_server.store import datasets, jobs, reports
from stt_server.store.models import Model, insert_model
from stt_server.store.reports import GateReport, page_key
from stt_server.store.rights import Scope
from stt_server.store.ring import now
from tests.web.keys import make_key

if TYPE_CHECKING:
    from stt_server.store.database import Database
    from tests.web.conftest import Server


async def ask(server: Server, http, **said: object) -> tuple[int, dict]:
    async with http.post(f"{server.url}/v1/jobs", json={"dataset": "words", **said}) as answer:
        return answer.status, await answer.json()


@pytest.fixture
async def words(server: Server) -> Server:
    """A server with a dataset of that name."""

    def make(database: Database) -> None:
        with database.write() as connection:
            datasets.create(connection, "words", "test", now())

    await server.services.store.run(make)
    return server


async def test_a_job_is_asked_for_listed_shown_cancelled_and_begun_again(words: Server, http):
    status, job = await ask(words, http, promote="gated", set={"schedule.epochs": 3})
    assert (status, job["status"], job["created_by"]) == (201, "waiting", "anonymous")
    assert (job["params"]["promote"], job["params"]["set"]) == ("gated", {"schedule.epochs": 3})
    async with http.get(f"{words.url}/v1/jobs?status=waiting&limit=5") as answer:
        assert [each["id"] for each in (await answer.json())["jobs"]] == [job["id"]]
    async with http.get(f"{words.url}/v1/jobs/{job['id']}") as answer:
        assert (await answer.json())["log"] == ""
    for word, then, after in (("cancel", "cancelled", 409), ("retry", "waiting", 409)):
        async with http.post(f"{words.url}/v1/jobs/{job['id']}/{word}") as answer:
            assert (answer.status, (await answer.json())["status"]) == (200, then)
        async with http.post(f"{words.url}/v1/jobs/{job['id']}/{word}") as answer:
            assert answer.status == after


@pytest.mark.parametrize(
    ("said", "status", "field"),
    [
        ({"dataset": "nothing"}, 404, "dataset"),
        ({"base": "no-such-model"}, 404, "model"),
        ({"recipe": "../../etc/passwd"}, 400, "recipe"),
        ({"set": {"data.train": "/etc"}}, 400, "set"),
        ({"colour": "red"}, 400, "colour"),
    ],
)
async def test_a_job_that_cannot_be_is_refused_by_name(words: Server, http, said: dict, status: int, field: str):
    answered, body = await ask(words, http, **said)
    assert (answered, body["error"]["field"]) == (status, field)


async def test_what_is_not_there_or_no_number_is_refused(server: Server, http):
    for path, status in (("/nothing", 404), ("/nothing/report", 404), ("?limit=0", 400), ("?status=lost", 400)):
        async with http.get(f"{server.url}/v1/jobs{path}") as answer:
            assert answer.status == status


async def test_who_curates_may_look_and_not_ask(words: Server, http):
    key = await make_key(words, Scope.CURATE)
    headers = {"Authorization": f"Bearer {key}"}
    async with http.get(f"{words.url}/v1/jobs", headers=headers) as answer:
        assert answer.status == 200
    async with http.post(f"{words.url}/v1/jobs", json={"dataset": "words"}, headers=headers) as answer:
        assert answer.status == 403


async def test_the_gates_page_is_shown_without_scripts_until_a_clip_of_it_is_withdrawn(words: Server, http):
    services = words.services
    _, asked = await ask(words, http)

    def finish(database: Database) -> None:
        with database.write() as connection:
            job = jobs.claim(connection, "ann", now(), 30)
            assert job is not None
            insert_model(
                connection,
                Model(
                    id="m1", name="a", version="1", language="en", sha256=bytes(32), created=now(), created_by="test"
                ),
            )
            services.objects.put(page_key("r1"), b"<html><p>better</p></html>")
            shown = {"verdict": "passed", "worst": [{"path": "/runs/x/clips/clip17.flac", "said": "la"}]}
            row = GateReport(
                id="r1",
                model_id="m1",
                base_id=None,
                job_id=job.id,
                created=now(),
                verdict="passed",
                report=shown,
                html_key=page_key("r1"),
            )
            reports.insert_report(connection, row)
            jobs.finish(connection, job, {"report_id": "r1"}, now())

    def forget(database: Database) -> int:
        with database.write() as connection:
            return reports.forget(connection, ["clip17"], now())

    await services.store.run(finish)
    page = f"{words.url}/v1/jobs/{asked['id']}/report"
    async with http.get(page) as answer:
        assert (answer.status, answer.content_type) == (200, "text/html")
        assert "sandbox" in answer.headers["Content-Security-Policy"]
        assert "script-src" not in answer.headers["Content-Security-Policy"]
        assert "better" in await answer.text()
    assert await services.store.run(forget) == 1
    assert await services.store.run(forget) == 0
    async with http.get(page) as answer:
        assert answer.status == 404

    def kept(database: Database) -> dict:
        with database.read() as connection:
            return reports.get(connection, "r1").report

    assert await services.store.run(kept) == {"verdict": "passed", "worst": []}
