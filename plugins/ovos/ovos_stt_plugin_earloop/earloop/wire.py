"""One connection of Earloop's native protocol (`/v1/stream`), without a thread of its own.

Whoever sends also reads, in between and without waiting, so that neither side's buffers fill. What breaks is
`Unreachable`, what takes too long `Late`; what the server says no to is `Busy` or `Refused`.
"""

from __future__ import annotations

import json
import select
import struct
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import websocket

from .failures import Busy, Failure, Fault, Late, Refused, Unreachable

if TYPE_CHECKING:
    from .settings import Settings

STALL_S = 3.0  # a connection on which a ping is unanswered for so long is dead, whatever the network says
ASK_BYTES = 1 << 14  # how often a ping asks what the server has taken
WINDOW_BYTES = 1 << 16  # audio on its way at once: a ping must not wait behind minutes of it
GOODBYE_S = 0.2
PASSING = frozenset({"unavailable", "timed_out"})  # the server's errors that may be over soon


class Connection:
    """Dials at once. `wait_s` bounds that and every sending."""

    def __init__(self, settings: Settings, wait_s: float) -> None:
        self._wait_s = wait_s
        self._socket = _dialled(settings, wait_s)
        self._sent = self._asked = self._taken = 0  # bytes of audio: sent, asked about, known to be taken
        self._open_since: float | None = None  # of the oldest question, as far as nothing was heard since

    @property
    def has_room(self) -> bool:
        return self._sent - self._taken < WINDOW_BYTES

    def say(self, kind: str, **fields: Any) -> None:
        self._send(json.dumps({"type": kind, **fields}), websocket.ABNF.OPCODE_TEXT)

    def send(self, audio: bytes) -> None:
        self._send(audio, websocket.ABNF.OPCODE_BINARY)
        self._sent += len(audio)
        if self._sent - self._asked >= ASK_BYTES:
            self.ask()

    def ask(self) -> None:
        """Have the server say that it has taken all up to here."""
        self._asked = self._sent
        self._open_since = self._open_since or time.monotonic()
        self.say("ping", id=self._sent)

    def hear(self, wait_s: float) -> dict[str, Any] | None:
        """The next message but a pong; None where none comes in time. Raises what the server says is wrong."""
        while self._arrives(wait_s) and (data := self._received(wait_s)) is not None:
            said = _message(data)
            if said["type"] != "pong":
                self._open_since = self._open_since and time.monotonic()
                return said
            self._taken = said["id"]
            self._open_since = time.monotonic() if self._taken < self._asked else None
        if self._open_since is not None and time.monotonic() - self._open_since > STALL_S:
            raise Unreachable(f"The server was silent for {STALL_S:g} s.")
        return None

    def close(self) -> None:
        """Say goodbye and do not wait for the answer."""
        with suppress(websocket.WebSocketException, OSError):  # gone already
            self._socket.settimeout(GOODBYE_S)
            self._socket.send(struct.pack("!H", websocket.STATUS_NORMAL), websocket.ABNF.OPCODE_CLOSE)
        self.drop()

    def drop(self) -> None:
        self._socket.shutdown()  # type: ignore[no-untyped-call] # newer versions have no types for it

    def _send(self, data: bytes | str, opcode: int) -> None:
        try:
            self._socket.settimeout(self._wait_s)
            self._socket.send(data, opcode)
        except (websocket.WebSocketException, OSError) as error:
            raise Unreachable(f"The connection broke: {error}") from error

    def _received(self, wait_s: float) -> bytes | None:
        """A message whole; None where its rest is still on its way: what came of it is kept."""
        try:
            self._socket.settimeout(max(wait_s, 0.001))
            opcode, data = self._socket.recv_data()
        except websocket.WebSocketTimeoutException:
            return None
        except (websocket.WebSocketException, OSError) as error:
            raise Unreachable(f"The connection broke: {error}") from error
        if opcode == websocket.ABNF.OPCODE_CLOSE:
            raise Unreachable("The server closed the connection.")
        return bytes(data)

    def _arrives(self, wait_s: float) -> bool:
        sock = self._socket.sock
        if sock is None or sock.fileno() < 0:
            raise Unreachable("The connection is closed.")
        if getattr(sock, "pending", lambda: 0)():
            return True  # TLS has read it already
        return bool(select.select([sock], [], [], wait_s)[0])


def _dialled(settings: Settings, wait_s: float) -> websocket.WebSocket:
    headers = [f"{name}: {value}" for name, value in settings.headers.items()]
    tls = {"ca_certs": settings.ca_file} if settings.ca_file else None
    try:
        return websocket.create_connection(
            settings.stream_url, timeout=wait_s, header=headers, suppress_origin=True, sslopt=tls
        )
    except websocket.WebSocketBadStatusException as error:
        raise _refusal(error.status_code, settings.base) from error
    except websocket.WebSocketTimeoutException as error:
        raise Late(f"{settings.base} did not answer within {wait_s:g} s.") from error
    except (websocket.WebSocketException, OSError) as error:
        raise Unreachable(f"{settings.base} cannot be reached: {error}") from error


def _refusal(status: int, address: str) -> Failure:
    if status in {429, 503}:
        return Busy(f"{address} has no place free (HTTP {status}).")
    if status in {401, 403}:
        return Refused(f"{address} asks for another key or contributor (HTTP {status}): see `key` and `contributor`.")
    if status >= 500:
        return Unreachable(f"{address} failed (HTTP {status}).")
    return Refused(f"{address} is no Earloop server, or a much older one (HTTP {status}).")


def _message(data: bytes) -> dict[str, Any]:
    try:
        said = json.loads(data)
        kind = said["type"]
    except (ValueError, KeyError, TypeError) as error:
        raise Refused(f"What came is not of Earloop's protocol: {data[:80]!r}") from error
    if kind != "error":
        return said  # type: ignore[no-any-return]
    code, message = str(said.get("code")), str(said.get("message"))
    if code in {"busy", "limit_reached"}:
        raise Busy(message)
    if code == "internal":
        raise Fault(f"{code}: {message}")
    if code in PASSING:
        raise Unreachable(f"{code}: {message}")
    raise Refused(f"{code}: {message}", str(said.get("field") or ""))
