"""What the log says of requests that are none."""

import asyncio
import logging

import pytest

from tests.fuzz.rawsocket import connection, exchange
from tests.web.conftest import Server

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


async def _exchanged(port: int, sent: bytes) -> bytes:
    def speak() -> bytes:
        with connection(port) as raw:
            return exchange(raw, sent)

    return await asyncio.to_thread(speak)
