"""A web server on loopback that gives files as real ones do, and as broken ones do."""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Misdeeds:
    """What the server does wrong, a list's items one request after another, then no more."""

    cuts: list[int] = field(default_factory=list)  # bytes after which the line breaks
    answers: list[int] = field(default_factory=list)  # statuses in place of the file
    retry_after: str = ""
    knows_ranges: bool = True
    names_length: bool = True
    stalls: threading.Event | None = None  # nothing more comes until it is set
    content_range: str = ""


@dataclass
class Served:
    url: str
    files: dict[str, bytes]
    misdeeds: Misdeeds
    ranges: list[str | None]  # of every request, in order

    def address(self, name: str) -> str:
        return f"{self.url}/{name}"


@contextmanager
def serving(files: dict[str, bytes]) -> Iterator[Served]:
    served = Served("", files, Misdeeds(), [])
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"served": served}))
    served.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield served
    finally:
        if served.misdeeds.stalls:
            served.misdeeds.stalls.set()
        server.shutdown()
        thread.join(10)
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    served: Served  # of the server it is made for

    def do_GET(self) -> None:
        bad = self.served.misdeeds
        self.served.ranges.append(self.headers.get("Range"))
        if bad.answers:
            return self._refuse(bad.answers.pop(0))
        if self.path[1:] not in self.served.files:
            return self._refuse(404)
        whole = self.served.files[self.path[1:]]
        return self._give(whole, self._start(bad), bad.cuts.pop(0) if bad.cuts else None)

    def _start(self, bad: Misdeeds) -> int:
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range") or "")
        return int(asked[1]) if asked and bad.knows_ranges else 0

    def _refuse(self, status: int) -> None:
        self.send_response(status)
        if self.served.misdeeds.retry_after:
            self.send_header("Retry-After", self.served.misdeeds.retry_after)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _give(self, whole: bytes, start: int, cut: int | None) -> None:
        bad = self.served.misdeeds
        self.send_response(206 if start else 200)
        if start:
            stated = bad.content_range or f"bytes {start}-{len(whole) - 1}/{len(whole)}"
            self.send_header("Content-Range", stated)
        if bad.names_length:
            self.send_header("Content-Length", str(len(whole) - start))
        self.end_headers()
        self.wfile.write(whole[start:] if cut is None else whole[start : start + cut])
        if bad.stalls:
            self.wfile.flush()
            bad.stalls.wait(30)
        self.close_connection = True

    def log_message(self, *args: object) -> None:
        pass
