"""Who may come in: against a real server and its real database."""

import asyncio
import json
import logging
import sqlite3
import time
from contextlib import AsyncExitStack, closing
from datetime import timedelta
from pathlib import Path

import aiohttp
import pytest

from stt_server.services import open_services
from stt_server.settings import load_settings
from stt_server.store import ring
from stt_server.store.rights import Scope
from stt_server.web import logins
from stt_server.web.access import first_key
from stt_server.web.signing import Signer
from tests.pages import PARTS
from tests.web.conftest import SPEECH, Server, Start, closed, finals, heard, said, until, wav
from tests.web.keys import bearer, make_key, revoke, row_of, used_s

ENDED = timedelta(seconds=-1)
WITHDRAWAL = ("DELETE", "/v1/consent")
EXAMPLES = {
    "name": "app.js",
    "model": "toy",
    "clip": "ab12",
    "lease": "cd34",
    "dataset": "kitchen",
    "number": "1",
    "resource": "ab12",
    "run": "ef56",
    "job": "ab78",
    "ref": "toy",
    "kind": "language",
    "key": "de",
    "vocabulary": "home",
}


def documented() -> list[tuple[str, str, Scope | None]]:
    """Method, path and scope of every row of README's table."""
    part = next(part for part in PARTS if part.name == "routes")
    rows = [[cell.strip() for cell in line.split("|")[1:3]] for line in part.cut()[1].splitlines()[2:]]
    split = [(*route.strip("`").split(" "), scope) for route, scope in rows]
    return [(method, path, None if scope.startswith("none") else Scope(scope)) for method, path, scope in split]


async def status(http: aiohttp.ClientSession, server: Server, method: str, path: str, key: str | None) -> int:
    """What a request for this route with this key is answered."""
    url, headers = server.url + path.format(**EXAMPLES), bearer(key) if key else {}
    if path.endswith("/audio"):  # which asks for no key, but for a signed link
        until_s = str(int(time.time()) + 60)
        signature = Signer(server.services.secret).sign("audio", EXAMPLES["clip"], until_s)
        url += f"?until={until_s}&signature={signature}"
    if method != "WEBSOCKET":
        async with http.request(method, url, headers=headers) as answer:
            return answer.status
    try:
        async with http.ws_connect(url, headers=headers):
            return 101
    except aiohttp.WSServerHandshakeError as refused:
        return refused.status


BRINGS = {  # who may do this, too
    Scope.CONTRIBUTE: [Scope.CURATE, Scope.TRAIN],
    Scope.TAG: [Scope.CURATE],
    Scope.TRAIN: [Scope.CURATE],
}


async def test_every_route_asks_for_the_scope_that_the_readme_names(start: Start, http, monkeypatch):
    monkeypatch.setattr(logins, "AT_ONCE", 10_000)
    monkeypatch.setattr(ring, "SPACING_S", 0.0)  # hundreds of unknown keys, and each waits for a look of its own
    server = await start(collect=True)
    routes = sorted(documented(), key=lambda route: route[:2] == WITHDRAWAL)  # after it a person may not judge
    assert len(routes) >= 45
    good = {scope: await make_key(server, scope) for scope in Scope}
    dead = await make_key(server, Scope.ADMIN)
    await revoke(server, dead)
    bad = [
        dead,
        await make_key(server, Scope.ADMIN, lasts=ENDED),
        good[Scope.ADMIN][:-1],
        "el_0123456789abcdef_x",
        "sk-x",
    ]
    await server.services.keys.renewed()
    for method, path, needed in routes:
        for scope, key in good.items():
            answer = await status(http, server, method, path, key)
            refused = needed is not None and scope not in {needed, Scope.ADMIN, *BRINGS.get(needed, ())}
            assert (answer == 403) is refused, (method, path, scope, answer)
            assert answer != 401, (method, path, scope)
        answers = await asyncio.gather(*(status(http, server, method, path, key) for key in [None, *bad]))
        assert {answer == 401 for answer in answers} == {needed is not None}, (method, path, answers)


async def test_a_refusal_says_how_to_show_a_key_and_not_which_part_of_it_was_wrong(start: Start, http):
    server = await start()
    key = await make_key(server)
    async with http.get(f"{server.url}/v1/models") as answer:
        assert answer.status == 401
        assert answer.headers["WWW-Authenticate"] == 'Bearer realm="earloop"'
        assert "Authorization: Bearer KEY" in (await answer.json())["error"]["message"]
    bodies = []
    for wrong in (key[:-1], "el_0123456789abcdef_x"):
        async with http.get(f"{server.url}/v1/models", headers=bearer(wrong)) as answer:
            bodies.append((answer.status, await answer.text()))
    assert bodies[0] == bodies[1]
    assert bodies[0][0] == 401


async def test_on_loopback_without_keys_everybody_is_the_operator(server: Server, http):
    for path in ("/metrics", "/v1/models"):
        async with http.get(server.url + path, headers=bearer("sk-whatever-the-library-wants")) as answer:
            assert answer.status == 200


async def test_the_first_key_closes_a_server_on_loopback(server: Server, http):
    await make_key(server)
    async with http.get(f"{server.url}/v1/models") as answer:
        assert answer.status == 401


async def test_a_server_whose_last_key_has_ended_does_not_open(start: Start, http):
    server = await start()
    await make_key(server, lasts=ENDED)
    async with http.get(f"{server.url}/v1/models") as answer:
        assert answer.status == 401


async def test_beyond_loopback_a_key_is_asked_for_even_if_there_is_none(start: Start, http):
    server = await start(host="0.0.0.0")
    async with http.get(f"{server.url}/v1/models") as answer:
        assert answer.status == 401
    async with http.get(f"{server.url}/healthz") as answer:
        assert answer.status == 200


async def test_an_open_server_takes_everybody_but_knows_who_shows_a_key(start: Start, http):
    server = await start(host="0.0.0.0", open=True)
    key = await make_key(server, Scope.STREAM)
    for shown, answered in ((None, 200), ("sk-x", 200), (key, 403)):
        async with http.get(f"{server.url}/metrics", headers=bearer(shown) if shown else {}) as answer:
            assert answer.status == answered


async def test_beyond_loopback_the_first_start_makes_an_admins_key_and_only_the_first(tmp_path: Path):
    from tests.engine.toy import Toy

    settings = load_settings(data=tmp_path, host="0.0.0.0")
    async with open_services(settings, Toy()) as services:
        key = await first_key(services)
        assert key is not None
        assert await first_key(services) is None
    async with open_services(settings, Toy()) as services:
        assert await first_key(services) is None


@pytest.mark.parametrize("settings", [{"host": "127.0.0.1"}, {"host": "0.0.0.0", "open": True}])
async def test_where_no_key_is_needed_none_is_made(tmp_path: Path, settings):
    from tests.engine.toy import Toy

    async with open_services(load_settings(data=tmp_path, **settings), Toy()) as services:
        assert await first_key(services) is None
        assert not services.keys.any


async def test_a_key_works_from_the_moment_it_was_made(start: Start, http):
    server = await start()
    await make_key(server)
    made = make_key(server)
    async with http.get(f"{server.url}/v1/models", headers=bearer(await made)) as answer:
        assert answer.status == 200


async def test_a_stream_takes_its_key_from_the_query_beside_its_options(start: Start):
    server = await start()
    key = await make_key(server)
    async with server.socket(f"/v1/stream?key={key}&sample_rate=16000") as socket:
        await socket.send(SPEECH)
        await socket.send('{"type":"finish"}')
        assert finals(await said(socket)) == ["la la la"]


async def test_a_vosk_client_takes_its_key_along_in_a_header(start: Start):
    server = await start()
    key = await make_key(server)
    async with server.socket("/", additional_headers={"X-API-Key": key}) as socket:
        await socket.send(bytes(3200))
        assert "partial" in await heard(socket)


async def test_two_different_keys_in_one_request_are_refused(start: Start, http):
    server = await start()
    one, other = await make_key(server), await make_key(server)
    async with http.get(f"{server.url}/v1/models?key={one}", headers=bearer(other)) as answer:
        assert answer.status == 400


async def test_revoking_a_key_ends_its_streams_and_nobody_elses(start: Start):
    server = await start()
    bad, good = await make_key(server), await make_key(server)
    async with server.socket(f"/v1/stream?key={bad}") as one, server.socket(f"/v1/stream?key={good}") as other:
        for socket in (one, other):
            await socket.send(bytes(32_000))
            assert (await heard(socket))["type"] == "ready"
        await revoke(server, bad)
        assert (await said(one))[-1]["code"] == "unauthorized"
        assert (await closed(one))[0] == 1008
        await other.send('{"type":"finish"}')
        assert (await said(other))[-1]["type"] == "finished"


async def test_a_revoked_key_is_refused_within_seconds(start: Start, http):
    server = await start()
    key = await make_key(server)
    await revoke(server, key)

    async def refused() -> bool:
        async with http.get(f"{server.url}/v1/models", headers=bearer(key)) as answer:
            return answer.status == 401

    async with asyncio.timeout(60):
        while not await refused():
            pass


async def test_wrong_keys_are_counted_and_after_some_answered_with_429(start: Start, http, monkeypatch):
    monkeypatch.setattr(logins, "AT_ONCE", 2)
    monkeypatch.setattr(logins, "EVERY_S", 1000.0)  # a busy machine may take seconds for three requests
    server = await start()
    key = await make_key(server)
    answers = []
    for _ in range(3):
        async with http.get(f"{server.url}/v1/models", headers=bearer(key[:-1])) as answer:
            answers.append((answer.status, int(answer.headers.get("Retry-After", 0))))
    assert answers[:2] == [(401, 0), (401, 0)]
    assert answers[2][0] == 429
    assert 900 < answers[2][1] <= 1000
    assert server.counted("earloop_refused_total{reason=wrong_key}") == 3
    async with http.get(f"{server.url}/v1/models", headers=bearer(key)) as answer:
        assert answer.status == 200


async def test_a_key_never_reaches_a_log(start: Start, http, caplog):
    caplog.set_level(logging.DEBUG)
    server = await start()
    key = await make_key(server)
    secret = key.split("_", 2)[2][:20]
    for shown in (key, key[:-1]):
        for request in (f"/v1/models?key={shown}", f"/nothing?api_key={shown}", f"/v1/stream?key={shown}"):
            async with http.get(server.url + request, headers=bearer(shown)) as answer:
                assert secret not in await answer.text()
                assert secret not in str(answer.headers)
    async with server.socket(f"/v1/stream?key={key}&sample_rate=1") as socket:
        assert secret not in str(await said(socket))
    ours = [record for record in caplog.records if record.name.startswith(("earloop", "aiohttp", "sqlalchemy"))]
    assert any(record.message == "wrong_key" for record in ours)
    assert [record for record in ours if secret in f"{record.getMessage()} {record.__dict__}"] == []


# --------------------------------------------------------------------------------------------------- limits and usage


async def test_streams_at_once_are_bound_per_key(start: Start, http):
    server = await start()
    key, other = await make_key(server, max_streams=1), await make_key(server)
    async with server.socket(f"/v1/stream?key={key}"):
        assert await status(http, server, "WEBSOCKET", "/v1/stream", key) == 429
        assert await status(http, server, "WEBSOCKET", "/", key) == 429
        assert await status(http, server, "WEBSOCKET", "/v1/stream", other) == 101

    async with asyncio.timeout(60):
        while await status(http, server, "WEBSOCKET", "/v1/stream", key) != 101:
            pass


async def test_a_key_with_one_stream_may_come_back_to_it_but_not_open_another_meanwhile(start: Start):
    server = await start()
    key = await make_key(server, max_streams=1)
    path = f"/v1/stream?key={key}"
    async with server.socket(path) as first:
        await first.send('{"type":"open","resumable":true}')
        token = (await heard(first))["resume"]
        first.transport.abort()
    async with server.socket(path) as another:
        await another.send('{"type":"open"}')
        assert (await said(another))[-1]["code"] == "limit_reached"
        assert (await closed(another))[0] == 1013
    async with server.socket(path) as back:
        await back.send(json.dumps({"type": "resume", "token": token, "seq": 1}))
        assert (await heard(back))["type"] == "resumed"
        await back.send(SPEECH)
        await back.send('{"type":"finish"}')
        assert finals(await said(back)) == ["la la la"]
    async with asyncio.timeout(60):
        while await used_s(server, key) < len(SPEECH) / 32_000:  # counted, though another connection opened it
            await server.services.keys.renewed()


async def test_a_key_that_may_come_back_to_its_stream_takes_no_places_meanwhile(start: Start):
    server = await start(max_streams=3)
    key, other = await make_key(server, max_streams=1), await make_key(server)
    async with AsyncExitStack() as held:
        mine = await held.enter_async_context(server.socket(f"/v1/stream?key={key}"))
        await mine.send('{"type":"open","resumable":true}')
        assert (await heard(mine))["type"] == "ready"
        for _ in range(5):
            await held.enter_async_context(server.socket(f"/v1/stream?key={key}"))
        for _ in range(2):
            theirs = await held.enter_async_context(server.socket(f"/v1/stream?key={other}"))
            await theirs.send('{"type":"open"}')
            assert (await heard(theirs))["type"] == "ready"


async def test_uploads_at_once_are_bound_per_key(start: Start, http):
    server = await start()
    key = await make_key(server, max_uploads=1)
    more = asyncio.Event()

    async def slowly():
        yield SPEECH[:6400]
        await more.wait()
        yield SPEECH[6400:]

    async def upload(data) -> tuple[int, str]:
        async with http.post(f"{server.url}/stt?sample_rate=16000", data=data, headers=bearer(key)) as answer:
            return answer.status, await answer.text()

    first = asyncio.create_task(upload(slowly()))
    await until(lambda: server.streams == 1)
    assert (await upload(SPEECH))[0] == 429
    more.set()
    assert await first == (200, "la la la")
    assert await upload(SPEECH) == (200, "la la la")


async def test_uploads_per_minute_are_bound_per_key_and_say_when_to_return(start: Start, http):
    server = await start()
    key = await make_key(server, requests_per_minute=2)
    answers = []
    for _ in range(3):
        async with http.post(f"{server.url}/stt", data=wav(), headers=bearer(key)) as answer:
            answers.append((answer.status, int(answer.headers.get("Retry-After", 0))))
    assert answers[:2] == [(200, 0), (200, 0)]
    assert answers[2][0] == 429
    assert 50 <= answers[2][1] <= 60


async def test_what_is_given_is_bound_per_key_as_uploads_are(start: Start, http):
    server = await start()
    key = await make_key(server, Scope.CONTRIBUTE, requests_per_minute=2)
    answers = []
    for _ in range(3):
        form = aiohttp.FormData({"statement": "my own voice", "licence": "CC0-1.0"})
        form.add_field("audio", wav(), filename="a.wav")
        async with http.post(f"{server.url}/v1/clips?check=only", data=form, headers=bearer(key)) as answer:
            answers.append((answer.status == 429, "Retry-After" in answer.headers))
    assert answers == [(False, False), (False, False), (True, True)]


async def test_audio_is_counted_by_key_for_streams_and_uploads(start: Start, http):
    server = await start()
    key = await make_key(server)
    async with server.socket(f"/v1/stream?key={key}") as socket:
        await socket.send(SPEECH)
        await socket.send('{"type":"finish"}')
        finished = (await said(socket))[-1]
    async with http.post(f"{server.url}/stt", data=wav(), headers=bearer(key)) as answer:
        assert answer.status == 200
    expected = finished["audio_s"] + len(SPEECH) / 32_000
    async with asyncio.timeout(60):
        while await used_s(server, key) < expected - 0.05:
            await server.services.keys.renewed()
    assert await used_s(server, key) == pytest.approx(expected, abs=0.05)
    assert (await row_of(server, key)).last_used is not None


async def test_what_was_heard_last_is_counted_before_the_server_leaves(tmp_path: Path):
    from tests.web.conftest import _server

    async with _server(tmp_path, None, {}) as server:
        key = await make_key(server)
        async with server.socket(f"/v1/stream?key={key}") as socket:
            await socket.send(bytes(64_000))
            await socket.send('{"type":"finish"}')
            await said(socket)
    with closing(sqlite3.connect(tmp_path / "earloop.db")) as connection:
        assert connection.execute("SELECT audio_s FROM key_usage").fetchall() == [(2.0,)]


async def test_a_key_without_audio_left_for_today_is_cut_off_and_refused(start: Start, http):
    server = await start()
    key = await make_key(server, audio_s_per_day=2)
    async with server.socket(f"/v1/stream?key={key}") as socket:
        await socket.send(bytes(96_000))
        assert (await said(socket))[-1]["code"] == "limit_reached"
        assert (await closed(socket))[0] == 1013
    async with http.post(f"{server.url}/stt", data=wav(), headers=bearer(key)) as answer:
        assert answer.status == 429
        assert 0 < int(answer.headers["Retry-After"]) <= 86_400


async def test_a_database_that_cannot_be_written_disturbs_nobody_and_what_was_used_is_written_later(
    start: Start, tmp_path: Path, caplog
):
    server = await start()
    key = await make_key(server)
    with closing(sqlite3.connect(tmp_path / "earloop.db", isolation_level=None)) as other:
        other.execute("CREATE TRIGGER full BEFORE INSERT ON key_usage BEGIN SELECT RAISE(ABORT, 'disk is full'); END")
        for _ in range(2):
            async with server.socket(f"/v1/stream?key={key}") as socket:
                await socket.send(bytes(32_000))
                await socket.send('{"type":"finish"}')
                assert (await said(socket))[-1]["type"] == "finished"
            await server.services.keys.renewed()
        await until(lambda: server.counted("earloop_store_failures_total") >= 2)
        assert len([record for record in caplog.records if record.message == "store_unavailable"]) == 1
        other.execute("DROP TRIGGER full")
    async with asyncio.timeout(60):
        while await used_s(server, key) < 2.0:
            await server.services.keys.renewed()
    assert await used_s(server, key) == 2.0


@pytest.mark.slow
async def test_a_locked_database_disturbs_nobody(start: Start, tmp_path: Path, http):
    server = await start()
    key = await make_key(server)
    with closing(sqlite3.connect(tmp_path / "earloop.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        async with http.post(f"{server.url}/stt", data=wav(), headers=bearer(key)) as answer:
            assert (answer.status, await answer.text()) == (200, "la la la")
        await until(lambda: server.counted("earloop_store_failures_total") >= 1)
        async with http.post(f"{server.url}/stt", data=wav(), headers=bearer(key)) as answer:
            assert answer.status == 200
        other.execute("ROLLBACK")
    async with asyncio.timeout(60):
        while await used_s(server, key) == 0:
            await server.services.keys.renewed()
