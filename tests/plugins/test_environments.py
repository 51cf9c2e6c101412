"""When a test that needs packages of others is skipped, and when it fails."""

import socket
from pathlib import Path

import pytest

from tests.plugins.environments import pip

WANTED = ("download", "--no-deps", "--no-cache-dir", "earloop-of-nobody==2.0")


@pytest.fixture(autouse=True)
def _own_index(monkeypatch: pytest.MonkeyPatch, unused_tcp_port: int) -> None:
    """Nobody's configuration, and an index where nothing listens."""
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    for name in ("PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_NO_INDEX"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{unused_tcp_port}/simple")


def test_a_package_index_that_is_not_there_skips_and_is_named_as_the_reason(tmp_path: Path):
    with pytest.raises(pytest.skip.Exception, match="no package index that answers.*connection broken"):
        pip(*WANTED, "--dest", tmp_path)
    with pytest.raises(pytest.skip.Exception, match="no package index that answers.*from versions: none"):
        pip(*WANTED, "--no-index", "--dest", tmp_path)


def test_a_package_index_that_is_slow_skips_and_is_named_as_the_reason(tmp_path: Path, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{silent.getsockname()[1]}/simple")
        with pytest.raises(pytest.skip.Exception, match="within 1 s"):
            pip(*WANTED, "--dest", tmp_path, within_s=1)


def test_a_version_that_an_index_does_not_have_is_a_failure(tmp_path: Path):
    (tmp_path / "earloop_of_nobody-1.0-py3-none-any.whl").write_bytes(b"")
    with pytest.raises(AssertionError, match=r"from versions: 1\.0"):
        pip(*WANTED, "--no-index", "--find-links", tmp_path, "--dest", tmp_path)
