import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    command = (
        "import sys; sys.path.insert(0, '.'); from importlinter.cli import lint_imports_command as c; c(['--no-cache'])"
    )
    return subprocess.run([sys.executable, "-c", command], cwd=folder, capture_output=True, text=True, check=False)


def test_every_module_keeps_to_its_floor():
    result = lint(ROOT)
    assert result.returncode == 0, result.stdout


def test_the_contracts_catch_a_server_that_imports_torch_a_codec_with_numpy_and_a_module_without_a_floor(tmp_path):
    """The contracts must be able to fail: a tree of empty modules on the same floors, with one sin of each kind."""
    sins = {
        "stt_server/cli.py": "import torch",
        "stt_server/settings.py": "",
        "stt_server/errors.py": "",
        "stt_server/logs.py": "import stt_server.settings",
        "stt_server/messages.py": "",
        "stt_server/metrics.py": "",
        "stt_server/helpers.py": "",
        "stt_server/speech/pcm.py": "import asyncio",
        "stt_server/protocols/vosk.py": "import numpy",
        "training/augmentation/chain.py": "",
        "training/fit.py": "import stt_server.settings",
        "training/model.py": "import aiohttp",
        "training/worker/loop.py": "",
    }
    for name, text in sins.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).with_name("__init__.py").touch()
        (tmp_path / name).write_text(f"{text}\n")
    (tmp_path / "pyproject.toml").write_text((ROOT / "pyproject.toml").read_text(encoding="utf-8"), encoding="utf-8")
    result = lint(tmp_path)
    assert result.returncode == 1, result.stdout + result.stderr
    for sentence in (
        "stt_server.cli -> torch",
        "stt_server.logs -> stt_server.settings",
        "- stt_server.helpers",
        "stt_server.speech.pcm -> asyncio",
        "stt_server.protocols.vosk -> numpy",
        "training.fit -> stt_server.settings",
        "training.model -> aiohttp",
    ):
        assert sentence in result.stdout
