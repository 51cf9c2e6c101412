"""Malformed HTTP and WebSocket frames at a real server, byte by byte, while one client behaves and keeps its words."""

from __future__ import annotations

import json
import random
import struct
import time
from typing import TYPE_CHECKING, Final

import pytest

from tests.fuzz.accidents import damaged
from tests.fuzz.budget import both_runs, play
from tests.fuzz.live import Live, live_server
from tests.fuzz.rawsocket import connection, exchange, frame, frames, read_to_end, upgrade
from tests.fuzz.witness import witnessed

if TYPE_CHECKING:
    from collections.abc import Iterator

GOODBYE: Final = frame(8, struct.pack("!H", 1000))
CLOSE_CODES: Final = {1000, 1001, 1002, 1003, 1007, 1008, 1009, 1011, 1013}
MORE_MB: Final = 150.0  # than when it began
PATIENCE_S: Final = 60.0
TEXTS: Final = [
    b'{"type":"open"}',
    b'{"type":"open","resumable":true}',
    b'{"type":"flush"}',
    b'{"type":"finish"}',
    b'{"type":"ping","id":1}',
    b'{"config":{"sample_rate":16000}}',
    b'{"eof":1}',
    b"\xff\xfe",
    b"{" * 2000,
    b"",
]
PATHS: Final = ["/v1/stream", "/v1/stream?sample_rate=8000", "/v1/stream?resumable=true", "/", "/v1/stream?x=%ff"]
FORM: Final = (
    b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\nRIFF\r\n'
    b'--x\r\nContent-Disposition: form-data; name="model"\r\n\r\nm\r\n--x--\r\n'
)
REQUESTS: Final = [
    b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET /static/app.js HTTP/1.1\r\nHost: localhost\r\nRange: bytes=0-5\r\n\r\n",
    b"POST /stt?lang=en HTTP/1.1\r\nHost: localhost\r\nContent-Length: 8\r\n\r\nRIFFabcd",
    b"POST /stt?rate=16000 HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n\0\0\0\0\r\n0\r\n\r\n",
    b"POST /v1/audio/transcriptions HTTP/1.1\r\nHost: localhost\r\n%s\r\nContent-Length: %d\r\n\r\n%s"
    % (b"Content-Type: multipart/form-data; boundary=x", len(FORM), FORM),
    b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\nAuthorization: Basic YTpi\r\n\r\n" * 3,
    b"OPTIONS /stt HTTP/1.1\r\nHost: localhost\r\nOrigin: http://x\r\nAccess-Control-Request-Method: PUT\r\n\r\n",
    upgrade("/v1/stream"),
]
LINES: Final = [
    b"Content-Length: 5",
    b"Content-Length: -1",
    b"Content-Length: 99999999999999999999",
    b"Content-Length: 5, 6",
    b"Transfer-Encoding: chunked",
    b"Transfer-Encoding : chunked",
    b"Transfer-Encoding: xchunked",
    b"Transfer-Encoding: chunked, identity",
    b"Content-Encoding: gzip",
    b"Expect: 100-continue",
    b"Expect: the unexpected",
    b"Connection: upgrade",
    b"Upgrade: websocket",
    b"Upgrade: h2c",
    b"Host: evil.example",
    b"Cookie: " + b"a=b; " * 500,
    b"X-Long: " + b"x" * 20_000,
    b" folded: line",
    b"No-Colon",
    b"Null: a\0b",
    b"Latin: \xe4\xff",
    b"Range: bytes=9-1",
    b"If-None-Match: " + b'"a", ' * 900,
]


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    data = tmp_path_factory.mktemp("attacked")
    (data / "earloop.toml").write_text("idle_timeout_s = 5\nresume_s = 1\nmax_body_mb = 1\n")
    with live_server(data) as server:
        before_mb = server.memory_mb
        yield server
        _settle(server)
        assert not server.faults(), "".join(server.log)[-6000:]
        assert server.memory_mb < before_mb + MORE_MB


def _settle(live: Live) -> None:
    """The places of all who came are free again."""
    deadline = time.monotonic() + PATIENCE_S
    while (said := _ready(live))["streams"]:
        assert time.monotonic() < deadline, said
        time.sleep(0.05)
    assert said["status"] == "ready"


def _ready(live: Live) -> dict[str, object]:
    with connection(live.port) as raw:
        answer = exchange(raw, b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    said: dict[str, object] = json.loads(answer.partition(b"\r\n\r\n")[2])
    return said


@both_runs
def test_any_frames_end_in_a_proper_close_and_disturb_nobody(live: Live, nightly: bool):
    def case(seed: str) -> None:
        dice = random.Random(seed)
        with connection(live.port) as raw:
            raw.sendall(upgrade(dice.choice(PATHS)))
            sent = b"".join(_some_frame(dice) for _ in range(dice.randint(1, 8)))
            if dice.random() < 0.4:
                sent = damaged(sent, dice)
            if dice.random() < 0.2:
                raw.sendall(sent)
                return  # gone without a word
            waits = dice.random() < 0.3
            _check_frames(exchange(raw, sent + GOODBYE, and_leave=not waits), in_full=waits)

    with witnessed(live):
        play("websocket frames", case, nightly=nightly)
    _settle(live)


def _some_frame(dice: random.Random) -> bytes:
    opcode = dice.choice([1, 1, 2, 2, 2, 0, 8, 9, 10, dice.randrange(16)])
    payload = dice.choice(TEXTS) if opcode == 1 else dice.randbytes(dice.choice([0, 1, 2, 125, 126, 640, 70_000]))
    if opcode >= 8 and dice.random() < 0.7:
        payload = payload[:125]
    mask = None if dice.random() < 0.05 else dice.randbytes(4)
    reserved = dice.randrange(8) if dice.random() < 0.1 else 0
    made = frame(opcode, payload, final=dice.random() < 0.85, reserved=reserved, mask=mask)
    if dice.random() < 0.05:  # says that it is longer than any message may be
        made = (
            bytes([made[0], 0xFF])
            + struct.pack("!Q", dice.choice([1 << 20, 1 << 21, 1 << 40, (1 << 64) - 1]))
            + made[2:]
        )
    return made


def _check_frames(answer: bytes, *, in_full: bool) -> None:
    """The upgrade, then frames a server may send: text in JSON, pongs, and one close at the end.

    Whoever leaves may miss some of it, whoever waits for all may not miss the close.
    """
    head, _, rest = answer.partition(b"\r\n\r\n")
    if not in_full and not head:
        return
    assert head.startswith((b"HTTP/1.1 101 ", b"HTTP/1.1 4", b"HTTP/1.1 503 ")), head
    if not head.startswith(b"HTTP/1.1 101 "):
        return
    for opcode, payload in (found := frames(rest)):
        assert opcode in (1, 8, 9, 10)
        if opcode == 1:
            json.loads(payload)
    closes = [payload for opcode, payload in found if opcode == 8]
    assert len(closes) == 1 if in_full else len(closes) <= 1
    if closes and closes[0]:
        assert struct.unpack("!H", closes[0][:2])[0] in CLOSE_CODES
        closes[0][2:].decode()


@both_runs
def test_any_bytes_for_a_request_are_answered_or_cut_and_disturb_nobody(live: Live, nightly: bool):
    def case(seed: str) -> None:
        dice = random.Random(seed)
        sent = _some_request(dice)
        with connection(live.port) as raw:
            if dice.random() < 0.1:
                raw.sendall(sent)
                return
            answer = exchange(raw, sent, and_leave=True)
        assert not answer or answer.startswith(b"HTTP/"), answer[:100]
        assert b" 500 Internal" not in answer or b"expect" in sent.lower()  # aiohttp breaks on one that is no text
        assert b"Traceback" not in answer

    with witnessed(live):
        play("malformed requests", case, nightly=nightly)
    _settle(live)


def _some_request(dice: random.Random) -> bytes:
    sent = dice.choice(REQUESTS)
    for _ in range(dice.randrange(3)):
        head, line, rest = sent.partition(b"\r\n")
        sent = head + line + dice.choice(LINES) + b"\r\n" + rest
    if dice.random() < 0.6:
        sent = damaged(sent, dice)
    return sent + dice.choice([b"", b"", b"\r\n\r\n", b"0\r\n\r\n", b"GET / HTTP/1.1\r\n", dice.randbytes(300)])


SMUGGLED: Final = b"GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n"
AMBIGUOUS: Final = {
    "two lengths": b"Content-Length: 0\r\nContent-Length: %d" % len(SMUGGLED),
    "a list of lengths": b"Content-Length: 0, %d" % len(SMUGGLED),
    "a signed length": b"Content-Length: +0",
    "a length with a blank": b"Content-Length: 0 0",
    "a length and chunks": b"Content-Length: %d\r\nTransfer-Encoding: chunked" % (len(SMUGGLED) + 5),
    "chunks not last": b"Transfer-Encoding: chunked, identity",
    "chunks by another name": b"Transfer-Encoding: xchunked",
    "chunks behind a tab": b"Transfer-Encoding:\x0bchunked",
    "a blank before the colon": b"Transfer-Encoding : chunked",
    "a folded header": b"Transfer-Encoding:\r\n chunked",
    "a bare line feed": b"X: y\nTransfer-Encoding: chunked",
    "a null": b"Content-Length: 0\0",
}


@pytest.mark.parametrize("shape", AMBIGUOUS)
def test_a_request_of_unclear_length_hides_no_second_one(live: Live, shape: str):
    head = b"POST /stt?format=16K_PCM16 HTTP/1.1\r\nHost: localhost\r\n" + AMBIGUOUS[shape]
    with connection(live.port) as raw:
        answer = exchange(raw, head + b"\r\n\r\n0\r\n\r\n" + SMUGGLED)
    assert answer.startswith((b"HTTP/1.0 400 ", b"HTTP/1.1 400 ")), answer[:200]
    assert answer.count(b"HTTP/1.") == 1


def test_what_is_no_http_at_all_is_answered_or_cut(live: Live):
    for sent in (
        b"\0" * 100,
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET /\r\n\r\n",
        b"\r\n" * 50,
    ):
        with connection(live.port) as raw:
            answer = exchange(raw, sent, and_leave=True)
        assert not answer or answer.startswith((b"HTTP/1.0 400 ", b"HTTP/1.1 400 ")), (sent, answer[:100])


def test_one_who_sends_half_a_header_is_cut_off(live: Live):
    with connection(live.port) as raw:
        raw.sendall(b"GET /healthz HTTP/1.1\r\nHost: local")
        began = time.monotonic()
        read_to_end(raw)
    assert time.monotonic() - began < PATIENCE_S
