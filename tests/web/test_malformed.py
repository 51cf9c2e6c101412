"""What the log says of requests that are none."""

import asyncio
import logging

import pytest
from aiohttp import multipart

from tests.fuzz.rawsocket import connection, exchange
from tests.web.conftest import Server, Start

SECRET = b"elk_0123456789abcdef_secret"


@pytest.mark.parametrize(
    "sent",
    [
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX-API-Key : %s\r\n\r\n" % SECRET,
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX-API-Key: %s\0\r\n\r\n" % SECRET,
        b"GET /?key=%s HTTP/9.1\r\nHost: localhost\r\n\r\n" % SECRET,
    ],
)
async def test_a_malformed_request_is_answered_400_and_leaves_no_word_of_it_in_the_log(
    server: Server, caplog: pytest.LogCaptureFixture, sent: bytes
):
    caplog.set_level(logging.DEBUG)
    answer = await _exchanged(server.port, sent)
    assert b" 400 " in answer.partition(b"\r\n")[0]
    assert SECRET.decode() not in caplog.text
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert "request_failed" in caplog.text


async def test_a_body_nobody_asked_for_that_cannot_be_decoded_is_no_fault_of_ours(
    server: Server, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.DEBUG)
    head = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\n"
    answer = await _exchanged(server.port, head + b"abcd")
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert "request_failed" in caplog.text


async def test_an_expectation_that_is_no_text_is_the_clients_fault(server: Server, caplog: pytest.LogCaptureFixture):
    head = b"GET /nothing HTTP/1.1\r\nHost: localhost\r\nExpect: \xff\r\nConnection: close\r\n\r\n"
    assert await _exchanged(server.port, head)
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.mark.parametrize(
    "header", [b"X-API-Key: \xff", b"X-API-Key: el_x_\xff", b"Authorization: Basic \xff", b"Authorization: \xff \xff"]
)
async def test_a_key_that_is_no_text_is_a_wrong_key(start: Start, caplog: pytest.LogCaptureFixture, header: bytes):
    server = await start(host="0.0.0.0")
    head = b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n%s\r\n\r\n" % header
    assert (await _exchanged(server.port, head)).startswith(b"HTTP/1.1 401 ")
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


async def test_an_upgrade_to_what_is_no_text_is_refused(server: Server):
    head = b"GET /v1/stream HTTP/1.1\r\nHost: localhost\r\nUpgrade: \xff\xfe\r\nConnection: close\r\n\r\n"
    answer = await _exchanged(server.port, head)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"connect with an upgrade" in answer


async def test_different_damaged_headers_of_forms_are_not_remembered(server: Server):
    for number in range(3):
        part = b'--x\r\nContent-Disposition: form-data; name="a%d\r\n\r\n1\r\n--x--\r\n' % number
        head = (
            b"POST /v1/audio/transcriptions HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: %d\r\n"
        )
        kind = b"Content-Type: multipart/form-data; boundary=x\r\n\r\n"
        answer = await _exchanged(server.port, head % len(part) + kind + part)
        assert answer.startswith(b"HTTP/1.1 400 "), answer
    remembered = getattr(multipart, "__warningregistry__", {})
    assert not [key for key in remembered if "a0" in str(key)]


async def _exchanged(port: int, sent: bytes) -> bytes:
    def speak() -> bytes:
        with connection(port) as raw:
            return exchange(raw, sent)

    return await asyncio.to_thread(speak)
