"""Logging in at a page: against a real server, with aiohttp's real cookies."""

import time
from datetime import UTC, datetime
from http.cookies import SimpleCookie

import aiohttp
import pytest

from stt_server.store import people
from stt_server.store.database import Database
from stt_server.store.rights import Scope
from stt_server.web import logins, sessions
from stt_server.web.sessions import COOKIE, CSRF_HEADER
from tests.web.conftest import Server, Start, until, wav
from tests.web.keys import bearer, make_key, revoke

ENDED_S = -1


async def log_in(http: aiohttp.ClientSession, server: Server, key: str) -> SimpleCookie:
    """The cookie of somebody with this key; the client's own jar does not keep those of an address."""
    async with http.post(f"{server.url}/v1/login", json={"key": key}) as answer:
        assert answer.status == 204, await answer.text()
        return answer.cookies


async def me(http: aiohttp.ClientSession, server: Server, cookie: SimpleCookie | None, **headers) -> dict:
    async with http.get(f"{server.url}/v1/me", cookies=cookie, headers=headers) as answer:
        assert answer.status == 200
        return await answer.json()


async def test_a_key_becomes_a_cookie_that_no_script_reads_and_no_other_site_sends(start: Start, http):
    server = await start()
    key = await make_key(server)
    cookie = (await log_in(http, server, key))[COOKIE]
    assert cookie["httponly"] is True
    assert (cookie["samesite"], cookie["path"], int(cookie["max-age"])) == ("Strict", "/", sessions.LASTS_S)
    assert key.split("_", 2)[2] not in cookie.value  # a secret may have "_", too


async def test_who_is_logged_in_is_known_by_the_key_and_may_what_the_key_may(start: Start, http):
    server = await start()
    cookie = await log_in(http, server, await make_key(server, Scope.MONITOR))
    told = await me(http, server, cookie)
    assert (told["name"], told["scopes"], told["open"], told["person"]) == ("test", ["monitor"], False, None)
    for path, status in (("/metrics", 200), ("/v1/models", 403)):
        async with http.get(server.url + path, cookies=cookie) as answer:
            assert answer.status == status


async def test_nobody_is_told_to_be_nobody_and_an_open_server_needs_no_login(start: Start, http):
    server = await start()
    assert (await me(http, server, None)) == {
        "person": None,
        "name": "anonymous",
        "scopes": sorted(Scope),
        "open": True,
        "csrf": None,
    }
    key = await make_key(server)
    nobody = await me(http, server, None)
    assert (nobody["scopes"], nobody["open"], nobody["csrf"]) == ([], False, None)
    assert (await me(http, server, None, **bearer(key)))["scopes"] == ["stream"]


async def test_what_changes_something_needs_the_token_that_only_our_page_learns(start: Start, http):
    server = await start()
    cookie, other = [await log_in(http, server, await make_key(server)) for _ in range(2)]
    token = (await me(http, server, cookie))["csrf"]
    theirs = (await me(http, server, other))["csrf"]
    for shown, status in ((None, 403), ("x", 403), (theirs, 403), (token, 200)):
        headers = {CSRF_HEADER: shown} if shown else {}
        async with http.post(f"{server.url}/stt", data=wav(), cookies=cookie, headers=headers) as answer:
            assert answer.status == status, shown


async def test_a_key_in_the_request_goes_before_the_cookie_and_needs_no_token(start: Start, http):
    server = await start()
    cookie = await log_in(http, server, await make_key(server, Scope.MONITOR))
    key = await make_key(server)
    async with http.post(f"{server.url}/stt", data=wav(), cookies=cookie, headers=bearer(key)) as answer:
        assert answer.status == 200
    assert (await me(http, server, cookie, **bearer(key)))["csrf"] is None


@pytest.mark.parametrize(
    "headers", [{"Sec-Fetch-Site": "same-site"}, {"Origin": "http://127.0.0.1:1"}, {"Origin": "https://app.example"}]
)
async def test_a_cookie_is_not_believed_from_a_page_of_another_port_or_site(start: Start, http, headers):
    server = await start(allowed_origins="https://app.example")
    cookie = await log_in(http, server, await make_key(server))
    async with http.get(f"{server.url}/v1/models", cookies=cookie, headers=headers) as answer:
        assert answer.status == 401
    with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
        await http.ws_connect(f"{server.url}/v1/stream", headers={**headers, "Cookie": cookie.output(header="")})
    assert caught.value.status in {401, 403}


async def test_a_page_of_ours_streams_by_its_cookie(start: Start, http):
    server = await start()
    cookie = await log_in(http, server, await make_key(server))
    headers = {"Cookie": f"{COOKIE}={cookie[COOKIE].value}", "Origin": server.url}
    async with http.ws_connect(f"{server.url}/v1/stream", headers=headers) as socket:
        await socket.send_str('{"type":"open"}')
        assert (await socket.receive_json())["type"] == "ready"


async def test_a_cookie_that_was_changed_anywhere_is_nobodys(start: Start, http):
    server = await start()
    cookie = await log_in(http, server, await make_key(server))
    parts = cookie[COOKIE].value.split(".")
    for at in range(len(parts)):
        changed = [
            part if at != place else part[:-1] + ("0" if part[-1] != "0" else "1") for place, part in enumerate(parts)
        ]
        for text in (".".join(changed), ".".join(parts[:at] + parts[at + 1 :])):
            async with http.get(f"{server.url}/v1/models", headers={"Cookie": f"{COOKIE}={text}"}) as answer:
                assert answer.status == 401, text


async def test_a_login_ends_with_its_key_within_seconds(start: Start, http):
    server = await start()
    key = await make_key(server)
    cookie = await log_in(http, server, key)
    await revoke(server, key)
    await server.services.keys.renewed()
    assert (await me(http, server, cookie))["scopes"] == []


async def test_a_login_ends_by_itself_even_where_the_browser_keeps_the_cookie(start: Start, http, monkeypatch):
    server = await start()
    key = await make_key(server)
    monkeypatch.setattr(sessions, "LASTS_S", 1)
    cookie = await log_in(http, server, key)
    text, began = cookie[COOKIE].value, time.monotonic()
    assert (await me(http, server, None, Cookie=f"{COOKIE}={text}"))["scopes"] in (["stream"], [])
    await until(lambda: time.monotonic() - began > 2)
    assert (await me(http, server, None, Cookie=f"{COOKIE}={text}"))["scopes"] == []


async def test_logging_out_takes_the_cookie_back(start: Start, http):
    server = await start()
    cookie = await log_in(http, server, await make_key(server))
    async with http.post(f"{server.url}/v1/logout", cookies=cookie) as answer:
        assert answer.status == 204
        assert (answer.cookies[COOKIE].value, answer.cookies[COOKIE]["max-age"]) == ("", "0")


async def test_a_login_is_known_at_another_server_over_the_same_database(start: Start, http):
    one, other = await start(), await start()
    cookie = await log_in(http, one, await make_key(one))
    await other.services.keys.renewed()
    assert (await me(http, other, cookie))["scopes"] == ["stream"]


async def test_wrong_logins_are_counted_and_after_some_answered_with_429(start: Start, http, monkeypatch):
    monkeypatch.setattr(logins, "AT_ONCE", 2)
    monkeypatch.setattr(logins, "EVERY_S", 1000.0)  # a busy machine may take seconds between two requests
    server = await start()
    key = await make_key(server)
    answers = []
    for wrong in (key[:-1], "el_0123456789abcdef_x", "x"):
        async with http.post(f"{server.url}/v1/login", json={"key": wrong}) as answer:
            answers.append((answer.status, "Retry-After" in answer.headers, COOKIE in answer.cookies))
    assert answers == [(401, False, False), (401, False, False), (429, True, False)]
    await log_in(http, server, key)


@pytest.mark.parametrize(
    ("body", "status"),
    [(b"", 400), (b"{", 400), (b"[]", 400), (b'{"key":1}', 400), (b'{"key":"a","x":1}', 400), (b" " * 5000, 413)],
)
async def test_a_login_that_is_none_is_refused_by_what_is_wrong_with_it(server: Server, http, body, status):
    async with http.post(f"{server.url}/v1/login", data=body) as answer:
        assert answer.status == status


async def test_a_page_of_elsewhere_cannot_log_anybody_in(start: Start, http):
    server = await start()
    key = await make_key(server)
    async with http.post(
        f"{server.url}/v1/login", json={"key": key}, headers={"Origin": "https://evil.example"}
    ) as answer:
        assert answer.status == 403
        assert COOKIE not in answer.cookies


# ------------------------------------------------------------------------------------------ contributors by their token


async def make_person(server: Server) -> tuple[str, str]:
    """A contributor's id and token."""

    def create(database: Database) -> tuple[str, str]:
        with database.write() as connection:
            person, token = people.create(connection, datetime.now(UTC))
            return person.id, token

    return await server.services.store.run(create)


async def test_a_contributor_logs_in_by_the_token_from_the_moment_it_was_made_and_may_give_clips_alone(
    start: Start, http
):
    server = await start()
    await make_key(server)
    person, token = await make_person(server)
    cookie = await log_in(http, server, token)
    told = await me(http, server, cookie)
    assert (told["person"], told["scopes"], told["open"]) == (person, ["contribute"], False)
    assert told["csrf"]
    async with http.get(f"{server.url}/v1/models", cookies=cookie) as answer:
        assert answer.status == 403


async def test_on_an_open_server_a_contributor_who_logs_in_may_do_no_less_than_before(server: Server, http):
    person, token = await make_person(server)
    told = await me(http, server, await log_in(http, server, token))
    assert (told["person"], told["scopes"], told["open"]) == (person, sorted(Scope), True)


async def test_a_wrong_token_is_refused_and_counted(start: Start, http, monkeypatch):
    monkeypatch.setattr(logins, "AT_ONCE", 1)
    monkeypatch.setattr(logins, "EVERY_S", 1000.0)  # a busy machine may take seconds between two requests
    server = await start()
    _, token = await make_person(server)
    answers = []
    for wrong in (token[:-1], "elc_0123456789abcdef_x"):
        async with http.post(f"{server.url}/v1/login", json={"key": wrong}) as answer:
            answers.append(answer.status)
    assert answers == [401, 429]


async def test_what_a_contributor_streams_after_a_login_is_charged_to_no_key(server: Server, http):
    _, token = await make_person(server)
    cookie = await log_in(http, server, token)
    csrf = (await me(http, server, cookie))["csrf"]
    async with http.post(f"{server.url}/stt", data=wav(), cookies=cookie, headers={CSRF_HEADER: csrf}) as answer:
        assert (answer.status, await answer.text()) == (200, "la la la")
    await server.services.keys.renewed()
    assert server.counted("earloop_store_failures_total") == 0
