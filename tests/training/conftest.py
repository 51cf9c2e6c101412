"""What the trainer's tests share."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from stt_server.cli import ONE_BLAS_THREAD
from tests.commands import typed as commands
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

    def typed_in(family: str, *words: object) -> Typed:
        return Typed(*commands.run(capsys, *words, family=family))

    return typed_in
