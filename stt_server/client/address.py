"""Where a server is and how it is reached: its address, the key, whom to trust, how long to wait."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

from stt_server.errors import BadOption

if TYPE_CHECKING:
    from pathlib import Path

PATH = "/v1/stream"


@dataclass(frozen=True, slots=True)
class Deadlines:
    """How long to wait, in seconds. While audio goes out nobody may be speaking, so that no event need come: until
    `finish` the deadline of a read is the connection's keepalive, a ping that must be answered within as much.

    The connection of a stream that can be resumed is given up sooner: it is sent a ping each `stall_s` and must take
    audio and answer pings within `stall_s`. Twice that is below the ten seconds for which a server keeps the stream.
    """

    connect_s: float = 10.0
    send_s: float = 10.0  # for room among what is on its way
    finish_s: float = 30.0  # for each event after `finish`
    keepalive_s: float = 20.0
    stall_s: float = 3.0


DEADLINES = Deadlines()


@dataclass(frozen=True, slots=True)
class Server:
    """A server as `connect` was told it."""

    address: str
    deadlines: Deadlines
    key: str | None = None
    tls: ssl.SSLContext | None = None

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key}"} if self.key else {}


def stream_url(url: str) -> str:
    """The WebSocket address of a server's native protocol, from any usual way to name the server. Raises BadOption."""
    schemes = {"http": "ws", "ws": "ws", "https": "wss", "wss": "wss"}
    try:
        parts = urlsplit(url if "://" in url else f"ws://{url}")
        if not parts.hostname or parts.port == 0:  # asking for the port raises ValueError where it is no number
            raise ValueError
        return urlunsplit((schemes[parts.scheme], parts.netloc, parts.path.rstrip("/") or PATH, parts.query, ""))
    except (ValueError, KeyError) as error:
        sentence = f"{url!r} is no address of a server; give one such as http://127.0.0.1:2700."
        raise BadOption(sentence, field="url") from error


def trust(tls: ssl.SSLContext | Path | str | None, address: str) -> ssl.SSLContext | None:
    """How to check the server's certificate: as a context says, or against a certificate authority's file.

    None where the address has no TLS; without a word whom the machine trusts. Raises BadOption for a file that is none.
    """
    if not address.startswith("wss:"):
        return None
    if isinstance(tls, ssl.SSLContext):
        return tls
    try:
        return ssl.create_default_context(cafile=None if tls is None else str(tls))
    except OSError as error:  # also what is no certificate
        raise BadOption(f"{tls} is no file of certificates in PEM ({error}).", field="tls") from error
