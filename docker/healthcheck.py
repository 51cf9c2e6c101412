"""Ask the server in this container whether it lives: exit code 0 for a 200 of /healthz, else 1 and a sentence.

The standard library alone, so that a check every few seconds costs little. Tried first as plain HTTP, then as TLS; the
certificate is made out to another name than this loopback address and therefore not looked at.
"""

from __future__ import annotations

import http.client
import os
import ssl
import sys
from typing import Final

HOST: Final = "127.0.0.1"
PATIENCE_S: Final = 3.0


def status(port: int) -> int:
    """The HTTP status of /healthz. Raises OSError or HTTPException where nothing answers."""
    try:
        return _status(http.client.HTTPConnection(HOST, port, timeout=PATIENCE_S))
    except (http.client.HTTPException, ConnectionResetError):
        return _status(http.client.HTTPSConnection(HOST, port, timeout=PATIENCE_S, context=_any_certificate()))


def _status(connection: http.client.HTTPConnection) -> int:
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status
    finally:
        connection.close()


def _any_certificate() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def main() -> str | None:
    """What is wrong, or None."""
    port = int(os.environ.get("EARLOOP_PORT", "2700"))
    try:
        answered = status(port)
    except (OSError, http.client.HTTPException) as error:
        return f"nothing answers on port {port}: {error!r}"
    return None if answered == 200 else f"/healthz answers {answered}"


if __name__ == "__main__":
    sys.exit(main())
