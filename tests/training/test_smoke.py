"""The install check where no voice is installed; with one, `test_command.py` types it."""

from pathlib import Path

import pytest

from training.smoke import check_install
from training.terminal import Terminal


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_without_a_voice_three_tones_are_learned_by_heart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    check_install(Terminal(tmp_path / "log.jsonl"))
    told = (tmp_path / "log.jsonl").read_text(encoding="utf-8")
    assert (
        "espeak-ng is not installed: apt-get install espeak-ng flite; until then three tones stand for speech" in told
    )
    assert "OK: learned 'abc', exported it and found it unchanged" in told
