"""Faults and overload at a real server over real sockets; the fixtures are those of the web tests."""

from tests.web.conftest import http, recognizer, server, start  # noqa: F401
