"""The operator's view of models and routes, over HTTP against a real server."""

import io
import shutil
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest
from sqlalchemy import insert

from stt_server.datasets.making import make_snapshot
from stt_server.store.ids import new_id
from stt_server.store.rights import Purpose, Scope
from stt_server.store.tables import GATE_REPORTS
from tests.catalog.conftest import add, rewrite
from tests.datasets.rows import agreed, gathered
from tests.store.giving import giver
from tests.web.conftest import Server, Start
from tests.web.keys import bearer, make_key


async def ask(http: aiohttp.ClientSession, server: Server, method: str, path: str, **more: Any) -> tuple[int, Any]:
    async with http.request(method, f"{server.url}/v1/catalog{path}", **more) as answer:
        return answer.status, await answer.json()


def zipped(folder: Path) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for path in folder.iterdir():
            archive.write(path, path.name)
    return packed.getvalue()


@pytest.fixture
def bundle(tmp_path: Path, tiny_bundle: Path) -> Path:
    return Path(shutil.copytree(tiny_bundle, tmp_path / "bundle"))


@pytest.fixture
async def two(server: Server, http) -> list[str]:
    """Ids of two models without bytes, the first of which is live."""
    made = [add(server.services.store, "kitchen", str(number)).id for number in (1, 2)]
    assert (await ask(http, server, "POST", f"/models/{made[0]}/promote", json={"reason": "the first"}))[0] == 200
    return made


async def test_a_zipped_bundle_becomes_a_candidate_that_can_be_promoted(server: Server, http, bundle: Path):
    status, made = await ask(http, server, "POST", "/models?name=kitchen", data=zipped(bundle))
    assert (status, made["name"], made["status"], made["routes"]) == (201, "kitchen", "candidate", [])
    assert (await ask(http, server, "POST", "/models?name=kitchen", data=zipped(bundle)))[1]["id"] == made["id"]
    told = await ask(http, server, "POST", "/models/kitchen/promote", json={"reason": "it hears us"})
    assert (told[0], told[1]["model_id"], told[1]["ungated"], told[1]["actor"]) == (200, made["id"], True, "anonymous")
    shown = (await ask(http, server, "GET", "/models/kitchen@1"))[1]
    assert (shown["status"], shown["routes"]) == ("accepted", [{"kind": "live", "key": "", "share": 1.0}])


async def test_what_is_no_bundle_is_refused_without_a_word_of_our_folders(server: Server, http, bundle: Path):
    rewrite(bundle, blank=3)
    for data, told in ((b"no zip", "neither a folder nor a zip"), (zipped(bundle), "`blank`")):
        status, said = await ask(http, server, "POST", "/models", data=data)
        assert (status, said["error"]["code"]) == (422, "bad_bundle")
        assert told in said["error"]["message"]
        assert "/tmp" not in said["error"]["message"]
    assert (await ask(http, server, "POST", "/models?name=A%20B", data=zipped(bundle)))[0] == 400


async def test_promotion_needs_a_passed_gate_or_a_reason(server: Server, http, two: list[str]):
    path = f"/models/{two[1]}/promote"
    status, said = await ask(http, server, "POST", path, json={})
    assert (status, said["error"]["code"]) == (409, "conflict")
    assert "has passed no gate" in said["error"]["message"]
    row = {"id": new_id(), "model_id": two[1], "base_id": two[0], "created": datetime.now(UTC)}
    with server.services.store.write() as connection:
        connection.execute(insert(GATE_REPORTS).values(row | {"verdict": "passed", "report": {}}))
    status, change = await ask(http, server, "POST", path, json={})
    assert (status, change["report_id"], change["ungated"]) == (200, row["id"], False)


async def test_rollback_and_history_tell_who_did_what_and_why(server: Server, http, two: list[str]):
    await ask(http, server, "POST", f"/models/{two[1]}/promote", json={"reason": "newer"})
    status, change = await ask(http, server, "POST", "/rollback", json={"reason": "deaf"})
    assert (status, change["model_id"], change["previous_id"]) == (200, two[0], two[1])
    found = (await ask(http, server, "GET", "/history"))[1]["changes"]
    assert [(each["action"], each["reason"]) for each in found[:2]] == [("rollback", "deaf"), ("promote", "newer")]
    assert len((await ask(http, server, "GET", "/history?limit=1"))[1]["changes"]) == 1
    for limit in ("0", "501", "x"):
        assert (await ask(http, server, "GET", f"/history?limit={limit}"))[0] == 400


async def test_routes_are_made_listed_and_ended(server: Server, http, two: list[str]):
    body: dict[str, Any] = {"kind": "language", "key": "de", "reason": "German"}
    assert (await ask(http, server, "POST", f"/models/{two[1]}/promote", json=body))[0] == 200
    body = {"kind": "shadow", "share": 0.5}  # which answers nobody and needs no reason
    change = (await ask(http, server, "POST", f"/models/{two[1]}/promote", json=body))[1]
    told = (await ask(http, server, "GET", "/routes"))[1]
    assert told["revision"] == change["id"]
    assert [(each["kind"], each["key"], each["share"]) for each in told["routes"]] == [
        ("language", "de", 1.0),
        ("live", "", 1.0),
        ("shadow", "", 0.5),
    ]
    assert (await ask(http, server, "DELETE", "/routes/language/de"))[1]["action"] == "unroute"
    assert (await ask(http, server, "DELETE", "/routes/shadow"))[0] == 200
    assert (await ask(http, server, "DELETE", "/routes/shadow"))[0] == 404
    assert (await ask(http, server, "DELETE", "/routes/live"))[0] == 409


async def test_a_removed_model_has_no_bytes_and_is_listed_only_where_asked_for(server: Server, http, bundle: Path):
    made = (await ask(http, server, "POST", "/models", data=zipped(bundle)))[1]
    assert server.services.objects.size(f"models/{made['id']}.zip")
    status, gone = await ask(http, server, "DELETE", f"/models/{made['id']}?reason=old")
    assert (status, gone["status"], gone["size"]) == (200, "removed", 0)
    assert not list(server.services.objects.each("models/"))
    listed = (await ask(http, server, "GET", "/models"))[1]["models"]
    assert made["id"] not in {each["id"] for each in listed}
    listed = (await ask(http, server, "GET", "/models?removed=1"))[1]["models"]
    assert made["id"] in {each["id"] for each in listed}


async def test_what_is_live_cannot_be_removed(server: Server, http, two: list[str]):
    status, said = await ask(http, server, "DELETE", f"/models/{two[0]}")
    assert (status, said["error"]["message"]) == (
        409,
        "kitchen@1 still answers (live); give that to another model first.",
    )


async def test_lineage_leads_from_clip_to_model_and_back(server: Server, http, two: list[str]):
    store, objects = server.services.store, server.services.objects
    clip = agreed(store, objects, giver(store)[1], "stop")
    gathered(store, "kitchen", clip)
    snapshot = make_snapshot(store, "kitchen", Purpose.TRAINING, "test")
    learned = add(store, "kitchen", "3", snapshot_id=snapshot.id, base_id=two[0])
    told = (await ask(http, server, "GET", f"/clips/{clip.id}/lineage"))[1]
    assert [each["ref"] for each in told["models"]] == ["kitchen@3"]
    told = (await ask(http, server, "GET", f"/models/{quote(learned.title)}/lineage"))[1]
    assert (told["clips"], [each["id"] for each in told["tuned_from"]]) == ([clip.id], [two[0]])
    assert (await ask(http, server, "GET", "/clips/none/lineage"))[0] == 404


async def test_a_curator_may_look_and_an_admin_may_promote(start: Start, http):
    server = await start(open=False)
    made = add(server.services.store)
    curator, admin = await make_key(server, Scope.CURATE), await make_key(server, Scope.ADMIN)
    assert (await ask(http, server, "GET", "/models", headers=bearer(curator)))[0] == 200
    promote = ("POST", f"/models/{made.id}/promote")
    assert (await ask(http, server, *promote, json={"reason": "r"}, headers=bearer(curator)))[0] == 403
    status, change = await ask(http, server, *promote, json={"reason": "r"}, headers=bearer(admin))
    assert (status, change["actor"]) == (200, admin.split("_")[1])
