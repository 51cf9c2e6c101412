"""The image's health check as the engine runs it: by itself, against sockets that answer, refuse, hang or speak TLS."""

import shutil
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "docker" / "healthcheck.py"


class Server(HTTPServer):
    """Answers every request with one status and remembers the paths."""

    def __init__(self, status: int) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.status = status
        self.asked: list[str] = []

    def handle_error(self, request, client_address):
        """A handshake that was none is what the test is about."""


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self):
        self.server.asked.append(self.path)
        self.send_response(self.server.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_request(self, code="-", size="-"):
        """Say nothing."""


@contextmanager
def answering(status: int, context: ssl.SSLContext | None = None) -> Iterator[Server]:
    server = Server(status)
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def check(port: int) -> subprocess.CompletedProcess[str]:
    command, variables = [sys.executable, "-I", "-S", str(SCRIPT)], {"EARLOOP_PORT": str(port)}
    return subprocess.run(command, env=variables, capture_output=True, text=True, check=False, timeout=30)


@pytest.fixture
def certified(tmp_path: Path) -> ssl.SSLContext:
    """A certificate for another name than the address the check speaks to."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl here to make a certificate with")
    key, chain = tmp_path / "key.pem", tmp_path / "chain.pem"
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=stt.example", "-days", "1"]
    subprocess.run([*made, "-keyout", key, "-out", chain], check=True, capture_output=True, timeout=60)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain, key)
    return context


def test_a_server_that_lives_is_healthy():
    with answering(200) as server:
        done = check(server.server_port)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert server.asked == ["/healthz"]


def test_a_server_whose_engine_died_is_not():
    with answering(503) as server:
        done = check(server.server_port)
    assert (done.returncode, done.stderr) == (1, "/healthz answers 503\n")


def test_a_port_where_nothing_listens_is_a_sentence_and_no_traceback():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, not listening: refused
        done = check(taken.getsockname()[1])
    assert done.returncode == 1
    assert done.stderr.startswith("nothing answers on port ")
    assert done.stderr.count("\n") == 1


def test_a_server_that_takes_the_question_and_stays_silent_is_not_waited_for():
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        done = check(silent.getsockname()[1])
    assert done.returncode == 1
    assert "TimeoutError" in done.stderr


@pytest.mark.parametrize(("status", "code"), [(200, 0), (503, 1)])
def test_a_server_that_speaks_tls_is_asked_by_tls_whoever_its_certificate_names(certified, status, code):
    with answering(status, certified) as server:
        done = check(server.server_port)
    assert done.returncode == code, done.stderr
    assert server.asked == ["/healthz"]
