"""Datasets over HTTP: against a real server with real clips."""

import csv
import io
import tarfile
import zipfile
from typing import Any

import aiohttp
import pytest

from stt_server.errors import NotFound
from stt_server.jobs import asking
from stt_server.store import clips, datasets, jobs
from stt_server.store.rights import Scope
from stt_server.store.ring import now
from tests.datasets.rows import agreed, gathered
from tests.store.giving import giver
from tests.web.conftest import Server, Start
from tests.web.keys import bearer, make_key

TEXTS = ["stop", "go on", "louder"]


async def ask(http: aiohttp.ClientSession, server: Server, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    async with http.request(method, f"{server.url}/v1/datasets{path}", json=body) as answer:
        return answer.status, await answer.json()


@pytest.fixture
async def kitchen(server: Server) -> list[str]:
    """Ids of the clips of a dataset."""
    store, objects = server.services.store, server.services.objects
    _, consent = giver(store)
    kept = [agreed(store, objects, consent, text, script=text) for text in TEXTS]
    gathered(store, "kitchen", *kept)
    return [each.id for each in kept]


async def test_a_dataset_is_made_and_shown_with_its_script_and_what_was_said_of_it(
    server: Server, http, kitchen: list[str]
):
    made = {"name": "hall", "description": "for the hall", "licence": "CC0-1.0"}
    empty = {"script": [], "clips": 0, "hours": 0.0, "snapshots": 0, "said": {}}
    status, told = await ask(http, server, "POST", "", made)
    ident = {"dataset_id": told["dataset_id"]}
    assert (status, told) == (201, ident | made | empty)
    assert await ask(http, server, "GET", "/hall") == (200, ident | made | empty)
    assert await ask(http, server, "GET", f"/{told['dataset_id']}") == (200, ident | made | empty)
    assert [each["name"] for each in (await ask(http, server, "GET", ""))[1]["datasets"]] == ["hall", "kitchen"]
    script = [["stop", 50], ["go on", 1]]
    assert (await ask(http, server, "PUT", "/kitchen/script", {"script": script}))[1]["script"] == script
    told = (await ask(http, server, "GET", "/kitchen"))[1]
    assert told["said"] == {"stop": 1, "go on": 1}  # "louder" is no sentence of the script, but somebody's words
    assert (await ask(http, server, "POST", "", made))[0] == 409


async def test_a_script_can_be_chosen_from_many_sentences_for_coverage(server: Server, http, kitchen: list[str]):
    body = {"cover": ["stop", "stop it now", "play jazz"], "count": 2}
    told = (await ask(http, server, "PUT", "/kitchen/script", body))[1]
    assert told["script"] == [["stop it now", 1], ["play jazz", 1]]


async def test_clips_are_put_in_and_taken_out_and_those_that_came_by_themselves_are_everyday(
    server: Server, http, kitchen: list[str]
):
    await ask(http, server, "POST", "", {"name": "hall"})
    body = {"add": [*kitchen, "gone"], "remove": [kitchen[0]]}
    assert await ask(http, server, "POST", "/hall/clips", body) == (200, {"added": 3, "removed": 1})
    agreed(server.services.store, server.services.objects, origin="stream")
    assert (await ask(http, server, "GET", "/everyday"))[1]["clips"] == 1


async def test_a_snapshot_is_made_listed_compared_and_exported_as_it_streams(server: Server, http, kitchen: list[str]):
    status, first = await ask(http, server, "POST", "/kitchen/snapshots", {"purpose": "training"})
    assert (status, first["number"], first["statistics"]["clips"]) == (201, 1, 3)
    await ask(http, server, "POST", "/kitchen/clips", {"remove": kitchen[:1]})
    _, second = await ask(http, server, "POST", "/kitchen/snapshots", {"purpose": "release"})
    assert (await ask(http, server, "GET", "/kitchen/snapshots"))[1]["snapshots"] == [second, first]
    told = (await ask(http, server, "GET", "/kitchen/diff?from=1&to=2"))[1]
    assert (told["removed"], told["counts"]["added"]) == (kitchen[:1], 0)
    async with http.get(f"{server.url}/v1/datasets/kitchen/snapshots/1/export") as answer:
        assert answer.headers["Content-Disposition"] == 'attachment; filename="kitchen-1-earloop.zip"'
        with zipfile.ZipFile(io.BytesIO(await answer.read())) as archive:
            assert archive.testzip() is None
            rows = list(csv.DictReader(archive.read("manifest.csv").decode().splitlines()))
            for row in rows:
                assert archive.read(row["path"])[:4] == b"fLaC"
    assert sorted(row["transcript"] for row in rows) == sorted(TEXTS)
    async with http.get(f"{server.url}/v1/datasets/kitchen/snapshots/2/export?format=webdataset&as=tar") as answer:
        with tarfile.open(fileobj=io.BytesIO(await answer.read())) as tar:
            assert {"LICENCE.txt", "snapshot.json"} < set(tar.getnames())


async def test_a_dataset_is_deleted_its_clips_stay_and_its_snapshots_can_be_traced(
    server: Server, http, kitchen: list[str]
):
    store = server.services.store
    assert (await ask(http, server, "POST", "/kitchen/snapshots", {}))[0] == 201
    job = await store.run(lambda database: asking.ask(database, {"dataset": "kitchen"}, "command"))
    status, told = await ask(http, server, "DELETE", "/kitchen")
    assert (status, job.id in told["error"]["message"]) == (409, True)
    with store.write() as connection:
        jobs.cancel(connection, job.id, now())
    ident = (await ask(http, server, "GET", "/kitchen"))[1]["dataset_id"]
    status, told = await ask(http, server, "DELETE", f"/{ident}")
    assert (status, told) == (200, {"dataset_id": ident, "name": "kitchen", "deleted": True})
    for path in ("/kitchen", f"/{ident}", "/kitchen/snapshots"):
        assert (await ask(http, server, "GET", path))[0] == 404
    assert (await ask(http, server, "DELETE", "/kitchen"))[0] == 404
    assert (await ask(http, server, "GET", ""))[1]["datasets"] == []
    async with http.get(f"{server.url}/v1/catalog/clips/{kitchen[0]}/lineage") as answer:
        (use,) = (await answer.json())["snapshots"]
    assert use["dataset"] == f"kitchen~{ident}", "what is made later may have the name"
    with store.read() as connection:
        assert clips.get(connection, kitchen[0]).id == kitchen[0]
        with pytest.raises(NotFound):
            clips.join_dataset(connection, kitchen[0], f"kitchen~{ident}", now())
    assert (await ask(http, server, "POST", "", {"name": "kitchen"}))[0] == 201
    assert (await ask(http, server, "GET", "/kitchen/snapshots"))[1]["snapshots"] == []


async def test_what_gathers_by_itself_cannot_be_deleted(server: Server, http):
    with server.services.store.write() as connection:
        datasets.create(connection, datasets.EVERYDAY, "server", now())
    assert (await ask(http, server, "DELETE", "/everyday"))[0] == 409


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/cellar", None, 404),
        ("GET", "/%00", None, 404),
        ("POST", "", {"name": "Kitchen"}, 400),
        ("POST", "", {"name": "a", "licence": "\0"}, 400),
        ("PUT", "/kitchen/script", {}, 400),
        ("PUT", "/kitchen/script", {"script": [["", 1]]}, 400),
        ("PUT", "/kitchen/script", {"script": [["a", 1]], "cover": ["a"]}, 400),
        ("PUT", "/cellar/script", {"script": []}, 404),
        ("POST", "/kitchen/snapshots", {"purpose": "fun"}, 400),
        ("POST", "/kitchen/snapshots", {"purpose": "recognition"}, 400),
        ("POST", "/cellar/snapshots", {}, 404),
        ("GET", "/kitchen/diff?from=1&to=x", None, 400),
        ("GET", "/kitchen/diff?from=1&to=99999999999", None, 400),
        ("GET", "/kitchen/diff?from=1&to=2", None, 404),
        ("GET", "/kitchen/snapshots/1/export", None, 404),
        ("GET", "/kitchen/snapshots/1/export?format=mp3", None, 400),
        ("GET", "/kitchen/snapshots/1/export?as=rar", None, 400),
    ],
)
async def test_what_cannot_be_is_refused_by_what_is_wrong(
    server: Server, http, kitchen: list[str], method: str, path: str, body: Any, status: int
):
    answered, told = await ask(http, server, method, path, body)
    assert (answered, bool(told["error"]["message"])) == (status, True)


async def test_a_contributor_may_look_at_datasets_and_change_nothing(start: Start, http):
    server = await start()
    key = await make_key(server, Scope.CONTRIBUTE)
    gathered(server.services.store, "kitchen")
    for method, path, status in (("GET", "/kitchen", 200), ("POST", "/kitchen/clips", 403), ("GET", "/x/diff", 403)):
        async with http.request(method, f"{server.url}/v1/datasets{path}", headers=bearer(key)) as answer:
            assert answer.status == status
