import os
import subprocess
import sys
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

import pytest

from stt_server import cli
from stt_server.errors import Busy, EarloopError, NotFound

HEAVY = "aiohttp", "kenlm", "numpy", "onnxruntime", "pydantic", "rich", "torch", "training", "websockets"
TASKS = Path("/proc/self/task")
INSTALLED = [command for command in cli.COMMANDS if command.installed]


def run(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "stt_server.cli", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def imported_after(*statements: str) -> set[str]:
    """The modules a fresh interpreter holds after `statements`."""
    code = "\n".join([*statements, "import sys", "print(*sys.modules)"])
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    return set(done.stdout.splitlines()[-1].split())


def exit_of(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[object, str, str]:
    with pytest.raises(SystemExit) as ended:
        cli.main(words)
    return ended.value.code, *capsys.readouterr()


def test_version_is_that_of_the_distribution():
    assert run("--version").stdout == f"earloop {version('earloop')}\n"


def test_help_lists_every_installed_command_with_its_line():
    listed = run("--help").stdout
    for command in INSTALLED:
        assert command.name in listed


def test_help_imports_nothing_heavy():
    """What keeps `earloop --help` under half a second; the clock itself would test the machine."""
    loaded = imported_after("from stt_server import cli", "try: cli.main(['--help'])", "except SystemExit: pass")
    assert loaded & set(HEAVY) == set()


@pytest.mark.parametrize("command", INSTALLED, ids=lambda command: command.name)
def test_a_command_is_imported_without_torch_and_the_trainer(command):
    assert imported_after(f"import {command.module}") & {"torch", "training"} == set()


@pytest.mark.parametrize("command", INSTALLED, ids=lambda command: command.name)
def test_every_command_has_its_own_help(command):
    done = run(command.name, "--help")
    assert done.returncode == 0, done.stderr
    assert f"earloop {command.name}" in done.stdout.replace("stt_server.cli", "earloop")


@pytest.mark.skipif(not TASKS.is_dir(), reason="threads of libraries are seen on Linux only")
def test_numpy_starts_no_threads_of_its_own():
    """They would spin between our small products: 99 % of a core instead of 16 % for eight streams."""
    code = (
        "import os, sys",
        "from stt_server import cli",
        "try: cli.main(['--help'])",
        "except SystemExit: pass",
        "import numpy as np",
        "np.ones((500, 500)) @ np.ones((500, 500))",
        f"print(len(os.listdir('{TASKS}')))",
    )
    environment = {name: value for name, value in os.environ.items() if name != cli.ONE_BLAS_THREAD[0]}
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(code)], env=environment, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.splitlines()[-1] == "1"


def test_a_command_whose_module_is_missing_is_not_listed(monkeypatch, capsys):
    monkeypatch.setattr(cli, "COMMANDS", (*cli.COMMANDS, cli.Command("levitate", "Rise.")))
    assert "levitate" not in exit_of(capsys, "--help")[1]
    assert exit_of(capsys, "levitate")[0] == 2


def test_an_unknown_command_and_an_unknown_option_end_with_code_2(capsys):
    assert exit_of(capsys, "nonsense")[0] == 2
    assert exit_of(capsys, "--nonsense")[0] == 2


@pytest.mark.parametrize("error", [NotFound("No model is called x; see `earloop models list`."), Busy("Full.")])
def test_an_error_is_its_sentence_on_standard_error_and_its_exit_code(monkeypatch, capsys, error):
    assert INSTALLED, "no command to raise it from"

    def raises() -> EarloopError:
        raise error

    command = next(command for command in INSTALLED if not command.family)
    monkeypatch.setattr(import_module(command.module), command.name, raises)
    code, out, err = exit_of(capsys, command.name)
    assert (code, out, err) == (error.exit_code, "", f"earloop: {error.message}\n")
