"""What the trainer's tests share."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from stt_server.cli import ONE_BLAS_THREAD, main
from tests.training.exported import deepspeech  # noqa: F401  a fixture for every test of the trainer


@dataclass(frozen=True)
class Typed:
    """How a command ended, and what it wrote."""

    code: int
    out: str
    err: str


@pytest.fixture
def typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Typed]:
    """Types words behind `earloop` in `tmp_path`, without corpora; in this process, for another imports torch first.

    An error that is no sentence comes out as what it is, and fails the test.
    """
    monkeypatch.chdir(tmp_path)
    for name, value in (("EARLOOP_CORPORA", ""), ("COLUMNS", "150"), ONE_BLAS_THREAD):
        monkeypatch.setenv(name, value)

    def typed_in(*words: object) -> Typed:
        with pytest.raises(SystemExit) as ended:
            main([str(word) for word in words])
        return Typed(int(ended.value.code or 0), *capsys.readouterr())

    return typed_in
