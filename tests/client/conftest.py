"""The servers of the web's tests, for clients of theirs."""

from tests.web.conftest import recognizer, server, start  # noqa: F401  fixtures
