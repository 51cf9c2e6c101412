"""What a browser may, and from where: what browsers send, sent by a client that can send anything."""

import aiohttp
import pytest

from stt_server.errors import BadOption
from stt_server.store.rights import Scope
from stt_server.web.route import WEBSOCKET
from stt_server.web.routes import ROUTES
from tests.web.conftest import Server, Start
from tests.web.keys import bearer, make_key

APP = "https://app.example"
EVIL = "https://evil.example"


async def asked(http, server: Server, headers: dict[str, str], method: str = "POST", path: str = "/stt") -> int:
    async with http.request(method, server.url + path, headers=headers) as answer:
        return answer.status


async def upgraded(http, server: Server, headers: dict[str, str], path: str = "/v1/stream") -> int:
    try:
        async with http.ws_connect(server.url + path, headers=headers):
            return 101
    except aiohttp.WSServerHandshakeError as refused:
        return refused.status


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:2700", "127.0.0.1", "127.9.9.9:80", "[::1]:2700", "localhost."]
)
async def test_on_loopback_the_server_goes_by_loopback_names(server: Server, http, host):
    assert await asked(http, server, {"Host": host}, "GET", "/readyz") == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:2700", "192.168.1.5", "localhost.evil.example", "nas", ""]
)
async def test_a_name_that_was_made_to_lead_to_loopback_is_refused_everywhere(server: Server, http, host):
    for path in ("/", "/healthz", "/static/app.js", "/v1/models", "/metrics", "/nothing"):
        assert await asked(http, server, {"Host": host}, "GET", path) == 403
    same_origin = {"Host": host, "Origin": f"http://{host}", "Sec-Fetch-Site": "same-origin"}
    assert await upgraded(http, server, same_origin) == 403
    assert await upgraded(http, server, same_origin, "/") == 403


async def test_the_operator_can_name_the_server(start: Start, http):
    server = await start(allowed_hosts="speech.example, other.example:2700")
    for host in ("speech.example", "Speech.Example:443", "other.example", "localhost"):
        assert await asked(http, server, {"Host": host}, "GET", "/readyz") == 200
    assert await asked(http, server, {"Host": "evil.example"}, "GET", "/readyz") == 403


async def test_with_keys_beyond_loopback_any_name_will_do_unless_some_are_named(start: Start, http):
    server = await start(host="0.0.0.0")
    assert await asked(http, server, {"Host": "any.example"}, "GET", "/readyz") == 200
    server = await start(host="0.0.0.0", allowed_hosts="speech.example")
    assert await asked(http, server, {"Host": "any.example"}, "GET", "/readyz") == 403
    assert await asked(http, server, {"Host": "speech.example"}, "GET", "/readyz") == 200
    assert await asked(http, server, {"Host": "127.0.0.1"}, "GET", "/readyz") == 200  # the health check in a container


@pytest.mark.parametrize(
    ("host", "status"), [("192.168.1.5:2700", 200), ("nas:2700", 200), ("[fd00::1]", 200), ("evil.example", 403)]
)
async def test_open_beyond_loopback_no_name_that_the_whole_world_can_give_is_taken(start: Start, http, host, status):
    server = await start(host="0.0.0.0", open=True)
    assert await asked(http, server, {"Host": host}, "GET", "/readyz") == status


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": EVIL},
        {"Origin": "null"},
        {"Origin": "http://localhost:1"},
        {"Origin": "http://127.0.0.1"},
        {"Origin": "http://["},
        {"Origin": ""},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": EVIL, "Sec-Fetch-Site": "same-origin"},
    ],
)
async def test_a_page_of_another_site_may_neither_post_nor_open_a_websocket(server: Server, http, headers):
    assert await asked(http, server, headers) == 403
    assert await asked(http, server, headers, "PUT") == 403
    assert await upgraded(http, server, headers) == 403
    assert await upgraded(http, server, headers, "/") == 403
    assert server.streams == 0


async def test_the_servers_own_page_and_programs_may(server: Server, http):
    own = server.url
    for headers in ({"Origin": own}, {"Origin": own, "Sec-Fetch-Site": "same-origin"}, {"Sec-Fetch-Site": "none"}, {}):
        assert (
            await asked(http, server, headers, path="/v1/audio/transcriptions") == 400
        )  # no form: the handler said so
        assert await upgraded(http, server, headers) == 101


async def test_behind_a_proxy_that_speaks_tls_the_page_is_still_the_servers_own(start: Start, http):
    server = await start(allowed_hosts="speech.example")
    assert await upgraded(http, server, {"Host": "speech.example", "Origin": "https://speech.example"}) == 101


async def test_a_link_from_another_site_to_the_page_works(server: Server, http):
    assert await asked(http, server, {"Sec-Fetch-Site": "cross-site"}, "GET", "/") == 200


async def test_an_allowed_site_may_ask_and_read_the_answer_errors_too(start: Start, http):
    server = await start(allowed_origins=f"{APP}, http://localhost:5173/")
    key = await make_key(server, Scope.MONITOR)
    for origin in (APP, "http://localhost:5173"):
        assert await upgraded(http, server, {"Origin": origin, **bearer(key)}) == 403  # for its scope
        for headers, status in (({}, 401), (bearer(key), 403)):
            async with http.post(
                f"{server.url}/v1/audio/transcriptions", headers={"Origin": origin, **headers}
            ) as answer:
                assert answer.status == status
                assert answer.headers["Access-Control-Allow-Origin"] == origin
                assert "Origin" in answer.headers["Vary"]
                assert "Access-Control-Allow-Credentials" not in answer.headers
    async with http.post(f"{server.url}/stt", headers={"Origin": EVIL, **bearer(key)}) as answer:
        assert answer.status == 403
        assert "Access-Control-Allow-Origin" not in answer.headers


async def test_a_browser_that_asks_first_is_told_without_a_key(start: Start, http):
    server = await start(allowed_origins=APP)
    await make_key(server)
    question = {
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,x-stainless-os",
    }
    async with http.options(f"{server.url}/v1/audio/transcriptions", headers={"Origin": APP, **question}) as answer:
        assert answer.status == 204
        assert answer.headers["Access-Control-Allow-Origin"] == APP
        assert "POST" in answer.headers["Access-Control-Allow-Methods"]
        assert answer.headers["Access-Control-Allow-Headers"] == "authorization,x-stainless-os"
    async with http.options(f"{server.url}/v1/audio/transcriptions", headers={"Origin": EVIL, **question}) as answer:
        assert answer.status == 403


async def test_a_browser_that_asks_first_may_do_all_that_a_route_takes(start: Start, http):
    server = await start(allowed_origins=APP)
    question = {"Origin": APP, "Access-Control-Request-Method": "PATCH"}
    async with http.options(f"{server.url}/v1/keys/me", headers=question) as answer:
        allowed = set(answer.headers["Access-Control-Allow-Methods"].split(", "))
    assert allowed == {route.method for route in ROUTES} - {WEBSOCKET}


@pytest.mark.parametrize("origins", ["app.example", "https://", "https://app.example/path", "*", "https://["])
async def test_an_origin_that_is_none_refuses_to_start(start: Start, origins):
    with pytest.raises(BadOption, match=r"allowed_origins cannot hold .*such as https://app\.example"):
        await start(allowed_origins=origins)


@pytest.mark.parametrize("path", ["/", "/static/app.js", "/v1/models", "/nothing", "/stt", "/healthz", "/metrics"])
async def test_every_answer_has_the_headers_that_keep_a_browser_in_its_bounds(server: Server, http, path):
    async with http.get(server.url + path) as answer:
        headers = answer.headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Cross-Origin-Opener-Policy"] == headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert "unsafe" not in headers["Content-Security-Policy"]
    assert "Strict-Transport-Security" not in headers
