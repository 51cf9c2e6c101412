"""Bytes to a server and bytes from it, below HTTP and WebSocket: here nothing is checked, so everything can be sent."""

from __future__ import annotations

import socket
import struct
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

WAIT_S: Final = 60.0
KEY: Final = "dGhlIHNhbXBsZSBub25jZQ=="  # of RFC 6455, 1.3


@contextmanager
def connection(port: int) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", port), timeout=WAIT_S) as raw:
        yield raw


def exchange(raw: socket.socket, data: bytes, *, and_leave: bool = False) -> bytes:
    """Send it all and read to the end; `and_leave` says at once that nothing more comes, for which nobody waits.

    A server may cut the connection at any point, and one that we leave need not answer.
    """
    with suppress(OSError):
        raw.sendall(data)
        if and_leave:
            raw.shutdown(socket.SHUT_WR)
    return read_to_end(raw)


def read_to_end(raw: socket.socket) -> bytes:
    """Raises TimeoutError for a server that neither answers nor closes."""
    parts = []
    try:
        while part := raw.recv(1 << 16):
            parts.append(part)
    except ConnectionError:
        pass
    return b"".join(parts)


def upgrade(path: str) -> bytes:
    lines = [f"GET {path} HTTP/1.1", "Host: localhost", "Upgrade: websocket", "Connection: Upgrade"]
    return "\r\n".join([*lines, f"Sec-WebSocket-Key: {KEY}", "Sec-WebSocket-Version: 13", "", ""]).encode()


def frame(
    opcode: int, payload: bytes, *, final: bool = True, reserved: int = 0, mask: bytes | None = b"\x01\x02\x03\x04"
) -> bytes:
    """A WebSocket frame (RFC 6455, 5.2), well formed or not."""
    first = (0x80 if final else 0) | reserved << 4 | opcode
    masked = 0x80 if mask else 0
    if len(payload) < 126:
        head = struct.pack("!BB", first, masked | len(payload))
    elif len(payload) < 1 << 16:
        head = struct.pack("!BBH", first, masked | 126, len(payload))
    else:
        head = struct.pack("!BBQ", first, masked | 127, len(payload))
    if mask is None:
        return head + payload
    return head + mask + bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))


def frames(data: bytes) -> list[tuple[int, bytes]]:
    """Opcode and payload of what a server sent; one cut at the end is left out. AssertionError for nonsense."""
    found = []
    while len(data) >= 2:
        first, second = data[0], data[1]
        assert not first & 0x70, "a server's frame with reserved bits"
        assert not second & 0x80, "a server's frame with a mask"
        size, at = second & 0x7F, 2
        if size >= 126:
            wide = 2 if size == 126 else 8
            size, at = int.from_bytes(data[2 : 2 + wide], "big"), 2 + wide
        if len(data) < at + size:
            break
        found.append((first & 0x0F, data[at : at + size]))
        data = data[at + size :]
    return found
