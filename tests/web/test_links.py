import time
from urllib.parse import parse_qsl, urlsplit

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from stt_server.errors import Forbidden
from stt_server.web.links import LASTS_S, check_link, link_to
from stt_server.web.signing import SIGNER, Signer


def request(path: str = "/", secret: bytes = b"x" * 32) -> web.Request:
    app = web.Application()
    app[SIGNER] = Signer(secret)
    return make_mocked_request("GET", path, app=app)


def test_a_link_leads_to_its_clip_for_a_quarter_of_an_hour(monkeypatch):
    before = int(time.time())
    link = link_to(request(), "abc")
    assert urlsplit(link).path == "/v1/clips/abc/audio"
    check_link(request(link), "abc")
    ends = int(dict(parse_qsl(urlsplit(link).query))["until"])
    assert before + LASTS_S <= ends <= time.time() + LASTS_S
    monkeypatch.setattr("stt_server.web.links.time.time", lambda: ends + 1.0)
    with pytest.raises(Forbidden, match="has ended"):
        check_link(request(link), "abc")


def test_a_link_is_good_for_one_clip_one_moment_and_one_server():
    link = link_to(request(), "abc")
    until = dict(parse_qsl(urlsplit(link).query))["until"]
    later = link.replace(until, str(int(until) + 1))
    for shown, clip, secret in ((link, "abd", b"x" * 32), (later, "abc", b"x" * 32), (link, "abc", b"y" * 32)):
        with pytest.raises(Forbidden, match="not one that this server made"):
            check_link(request(shown, secret), clip)


@pytest.mark.parametrize(
    "query", ["", "?until=1", "?signature=x", "?until=x&signature=%F0%9F", "?until=%00&signature="]
)
def test_what_is_no_link_is_refused(query: str):
    with pytest.raises(Forbidden):
        check_link(request(f"/v1/clips/abc/audio{query}"), "abc")


def test_what_is_signed_for_one_purpose_is_worth_nothing_for_another():
    signer = Signer(b"x" * 32)
    assert not signer.verify(signer.sign("audio", "a", "1"), "session", "a", "1")
    assert not signer.verify(signer.sign("audio", "a", "b"), "audio", "a\0b")
