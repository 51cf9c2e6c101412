import base64

import pytest
from aiohttp.test_utils import make_mocked_request

from stt_server.errors import BadInput
from stt_server.store.keys import Credential
from stt_server.web.credentials import credential_of, without_key

ID, SECRET = "0123456789abcdef", "s_e-cret" * 5
KEY = f"el_{ID}_{SECRET}"
OTHER = f"el_{ID[::-1]}_{SECRET}"


def basic(user: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


def shown(headers: dict[str, str] | None = None, query: str = "", *, ours_only: bool = False) -> Credential | None:
    return credential_of(make_mocked_request("GET", f"/{query}", headers=headers), ours_only=ours_only)


@pytest.mark.parametrize(
    ("headers", "query"),
    [
        ({"X-API-Key": KEY}, ""),
        ({"x-api-key": f" {KEY} "}, ""),
        ({"Authorization": f"Bearer {KEY}"}, ""),
        ({"Authorization": f"bearer  {KEY}"}, ""),
        ({"Authorization": f"Token {KEY}"}, ""),
        (basic(ID, SECRET), ""),
        (basic(SECRET, ID), ""),
        (basic(f"el_{ID}", SECRET), ""),
        (basic(SECRET, f"el_{ID}"), ""),
        (basic(KEY, ""), ""),
        (basic("", KEY), ""),
        (basic("me", KEY), ""),
        (basic(KEY, KEY), ""),
        ({"Sec-WebSocket-Protocol": f"token, {KEY}"}, ""),
        ({"Sec-WebSocket-Protocol": f"chat,bearer,{KEY}"}, ""),
        ({"Sec-WebSocket-Protocol": f"realtime, openai-insecure-api-key.{KEY}, openai-beta.realtime-v1"}, ""),
        ({}, f"?key={KEY}"),
        ({}, f"?sample_rate=8000&api_key={KEY}"),
        ({"Authorization": f"Bearer {KEY}", "X-API-Key": KEY}, f"?key={KEY}"),
    ],
)
def test_a_key_is_found_wherever_a_client_can_put_it(headers, query):
    assert shown(headers, query) == Credential(ID, SECRET)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-API-Key": ""},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer  "},
        {"Sec-WebSocket-Protocol": "token"},
        {"Sec-WebSocket-Protocol": "chat, superchat"},
    ],
)
def test_no_key_is_none(headers):
    assert shown(headers) is None


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": "Bearer sk-proj-abc"},
        {"Authorization": "Digest username=me"},
        {"Authorization": "Basic %%%"},
        {"Authorization": "Basic \xff"},
        {"Authorization": "Basic " + base64.b64encode(b"\xff\xfe").decode()},
        basic("me", "my password"),
    ],
)
def test_what_is_no_key_of_ours_is_nobodys_and_may_be_overlooked(headers):
    found = shown(headers)
    assert found is not None
    assert found.id == ""
    assert shown(headers, ours_only=True) is None


@pytest.mark.parametrize(
    ("headers", "query"),
    [
        ({"X-API-Key": KEY, "Authorization": f"Bearer {OTHER}"}, ""),
        ({"X-API-Key": KEY}, f"?key={OTHER}"),
        ({}, f"?key={KEY}&key={OTHER}"),
        (basic(KEY, OTHER), ""),
        ({"X-API-Key": KEY, "Authorization": "Bearer sk-foreign"}, ""),
    ],
)
def test_two_different_keys_are_refused(headers, query):
    with pytest.raises(BadInput, match="two different keys") as caught:
        shown(headers, query)
    assert SECRET not in str(caught.value)


def test_a_credential_does_not_print_its_secret():
    assert SECRET not in f"{Credential(ID, SECRET)} {Credential(ID, SECRET)!r}"


def test_the_options_of_a_stream_come_without_the_key():
    request = make_mocked_request("GET", f"/v1/stream?sample_rate=8000&key={KEY}&hotwords=a&api_key={KEY}&hotwords=b")
    assert without_key(request) == [("sample_rate", "8000"), ("hotwords", "a"), ("hotwords", "b")]
