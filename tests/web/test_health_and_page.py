import json
from dataclasses import replace

import pytest

from stt_server.web import page
from tests.web.conftest import Server, heard_until


async def test_a_server_that_runs_is_healthy_and_ready(server: Server, http):
    async with http.get(f"{server.url}/healthz") as answer:
        assert (answer.status, await answer.json()) == (200, {"status": "ok"})
    async with http.get(f"{server.url}/readyz") as answer:
        assert answer.status == 200
        said = await answer.json()
        assert (said["status"], said["model"], said["streams"]) == ("ready", "toy", 0)
        assert (said["version"], said["models"], said["revision"], said["alarm"]) == ("toy 1", ["toy"], 0, None)


async def test_a_model_that_did_not_load_is_an_alarm_and_the_server_stays_ready(server: Server, http):
    engines = server.services.engines
    engines.lineup = replace(engines.lineup, alarm="did not load: toy@2")
    async with http.get(f"{server.url}/readyz") as answer:
        assert (answer.status, (await answer.json())["alarm"]) == (200, "did not load: toy@2")


async def test_a_draining_server_is_healthy_but_not_ready(server: Server, http):
    await server.services.engines.drain(1)
    async with http.get(f"{server.url}/readyz") as answer:
        assert answer.status == 503


async def test_a_server_whose_inference_thread_died_asks_to_be_restarted(server: Server, http):
    async with server.socket("/v1/stream?hotwords=deadly") as socket:
        await socket.send(bytes(64_000))
        assert (await heard_until(socket, "error"))["code"] == "internal"
    for path in ("/healthz", "/readyz"):
        async with http.get(server.url + path) as answer:
            assert (answer.status, (await answer.json())["status"]) == (503, "dead")


async def test_metrics_are_prometheus_text_and_count_streams_by_protocol(server: Server, http):
    async with server.socket() as socket:
        await socket.send(bytes(32_000))
        await heard_until(socket, "ready")
        async with http.get(f"{server.url}/metrics") as answer:
            assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
            assert 'earloop_streams_open{protocol="native"} 1.0' in (await answer.text()).splitlines()


async def test_the_page_may_run_nothing_but_its_own_files(server: Server, http):
    async with http.get(server.url) as answer:
        page = await answer.text()
        policy = answer.headers["Content-Security-Policy"]
        assert answer.headers["Content-Type"].startswith("text/html")
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "<script>" not in page
    assert "style=" not in page


@pytest.mark.parametrize(
    ("name", "kind"), [("app.js", "javascript"), ("style.css", "text/css"), ("icon.svg", "image/svg")]
)
async def test_a_static_file_is_typed_and_asked_for_again_by_its_tag(server: Server, http, name, kind):
    async with http.get(f"{server.url}/static/{name}") as answer:
        assert answer.status == 200
        assert kind in answer.headers["Content-Type"]
        assert answer.headers["Cache-Control"] == "no-cache"
        tag = answer.headers["ETag"]
    async with http.get(f"{server.url}/static/{name}", headers={"If-None-Match": tag}) as answer:
        assert (answer.status, await answer.read()) == (304, b"")


@pytest.mark.parametrize(
    "path", ["/static/", "/static/none.js", "/static/../routes.py", "/static/%2e%2e/routes.py", "/nope"]
)
async def test_what_is_not_there_is_a_json_error(server: Server, http, path):
    import yarl

    async with http.get(yarl.URL(server.url + path, encoded=True)) as answer:
        assert answer.status == 404
        assert json.loads(await answer.text())["error"]["code"] == "not_found"


async def test_a_method_that_is_not_allowed_names_those_that_are(server: Server, http):
    async with http.delete(f"{server.url}/healthz") as answer:
        assert answer.status == 405
        assert "GET" in answer.headers["Allow"]
        assert (await answer.json())["error"]["code"] == "bad_input"


def test_every_file_of_the_page_has_a_type():
    assert {file.suffix for file in page.STATIC.iterdir()} <= set(page.TYPES)
