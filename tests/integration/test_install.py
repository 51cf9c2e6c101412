"""What a user installs: a wheel, built from the files git tracks, in an environment without trainer and tests."""

import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DATA = "stt_server/bundles", "stt_server/web/static", "stt_server/web/pages", "training/recipes"

pytestmark = [pytest.mark.nightly, pytest.mark.timeout(1800)]


def run(*command: str | Path, cwd: Path) -> str:
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=True, timeout=900).stdout


def tracked(*folders: str) -> set[str]:
    return set(run("git", "ls-files", *folders, cwd=ROOT).splitlines())


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of the tracked files alone: what an untracked file hides would be missing here."""
    tree, out = tmp_path_factory.mktemp("tree"), tmp_path_factory.mktemp("wheel")
    for name in tracked():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, tree / name, follow_symlinks=False)  # a plugin has a link to a folder
    run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", out, ".", cwd=tree)
    (built,) = out.glob("earloop-*.whl")
    return built


def test_the_wheel_holds_every_tracked_module_and_data_file_and_nothing_of_the_tests(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    modules = {name for name in tracked("stt_server", "training") if name.endswith(".py")}
    assert modules | tracked(*DATA) <= names
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {"stt_server", "training"}


def test_the_installed_server_runs_without_torch(wheel, tmp_path):
    run(sys.executable, "-m", "venv", tmp_path / "env", cwd=tmp_path)
    python, earloop = tmp_path / "env/bin/python", tmp_path / "env/bin/earloop"
    run(python, "-m", "pip", "install", "--quiet", f"{wheel}[cpu,kenlm,reference]", cwd=tmp_path)
    installed = {entry["name"] for entry in json.loads(run(python, "-m", "pip", "list", "--format=json", cwd=tmp_path))}
    assert not installed & {"torch", "onnx", "pytest"}
    assert run(earloop, "--version", cwd=tmp_path).startswith("earloop ")
    assert "not installed (trains" in run(earloop, "doctor", cwd=tmp_path)
    assert "OK: en-small" in run(earloop, "models", "verify", "en-small", cwd=tmp_path)
