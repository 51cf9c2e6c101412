import tomllib
from pathlib import Path

import pytest

from stt_server import cli
from stt_server.commands.doctor import EXTRAS, present, runtime_fault

PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"


def test_doctor_names_the_version_of_what_is_installed(capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(["doctor"])
    out = capsys.readouterr().out
    assert ended.value.code == 0
    assert f"onnxruntime {present('onnxruntime')}" in out
    assert "gpu           not installed" in out


def test_every_extra_doctor_knows_is_one_of_the_distribution_with_those_packages():
    declared = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    for extra in EXTRAS:
        wanted = " ".join(declared[extra.name])
        assert all(distribution in wanted for distribution in extra.distributions)


def test_one_onnxruntime_is_well_none_or_both_are_a_fault():
    assert runtime_fault("1.31", None) is None
    assert runtime_fault(None, "1.31") is None
    assert "earloop[cpu]" in (runtime_fault(None, None) or "")
    assert "overwrite each other" in (runtime_fault("1.31", "1.31") or "")
