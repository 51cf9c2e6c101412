"""A real mail server on loopback that keeps what it is given, and can refuse the first few."""

from __future__ import annotations

import socketserver
import threading
from contextlib import contextmanager
from email import message_from_bytes, policy
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from email.message import EmailMessage


class Mailbox(socketserver.ThreadingTCPServer):
    """SMTP as RFC 5321 has it, as far as a sender goes; no TLS, no login."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, refusals: int = 0) -> None:
        super().__init__(("127.0.0.1", 0), _Conversation)
        self.refusals = refusals
        self.taken: list[tuple[str, list[str], EmailMessage]] = []  # from, to, what

    @property
    def url(self) -> str:
        return f"smtp://127.0.0.1:{self.server_address[1]}"


class _Conversation(socketserver.StreamRequestHandler):
    timeout = 20
    server: Mailbox

    def handle(self) -> None:
        sender, recipients = "", []
        self._say("220 mailbox")
        for line in self.rfile:
            word, _, rest = line.decode().strip().partition(" ")
            match word.upper():
                case "MAIL" if self.server.refusals:
                    self.server.refusals -= 1
                    self._say("451 busy")
                case "MAIL":
                    sender = rest
                    self._say("250 ok")
                case "RCPT":
                    recipients.append(rest)
                    self._say("250 ok")
                case "DATA":
                    self._say("354 go on")
                    self.server.taken.append((sender, recipients, self._message()))
                    self._say("250 taken")
                case "QUIT":
                    self._say("221 bye")
                    return
                case _:
                    self._say("250 ok")

    def _message(self) -> EmailMessage:
        lines = []
        while (line := self.rfile.readline()) not in (b".\r\n", b""):
            lines.append(line.removeprefix(b".") if line.startswith(b"..") else line)
        return message_from_bytes(b"".join(lines), policy=policy.default)

    def _say(self, line: str) -> None:
        self.wfile.write(f"{line}\r\n".encode())


@contextmanager
def mailbox(refusals: int = 0) -> Iterator[Mailbox]:
    with Mailbox(refusals) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join(10)
