"""What the package is made of, without Mycroft, which is in no package index (`tests/plugins/test_assistants.py`)."""

import ast
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "mycroft_stt_plugin_earloop"


def test_the_shared_code_is_the_ovos_plugins_own():
    shared = ROOT.parent / "ovos" / "ovos_stt_plugin_earloop" / "earloop"
    assert (PACKAGE / "earloop").resolve() == shared.resolve()


def test_what_both_plugins_ship_is_of_pythons_that_old_assistants_run_on():
    files = [*PACKAGE.glob("*.py"), *(PACKAGE / "earloop").glob("*.py"), *ROOT.parent.glob("ovos/ovos_*/*.py")]
    assert len(files) > 10
    for file in files:
        ast.parse(file.read_text(encoding="utf-8"), str(file), feature_version=(3, 8))


def test_the_entry_points_name_classes_that_are_there():
    tree = ast.parse((PACKAGE / "__init__.py").read_text(encoding="utf-8"))
    classes = {node.name for node in tree.body if isinstance(node, ast.ClassDef)}
    lines = (ROOT / "pyproject.toml").read_text(encoding="utf-8").splitlines()
    named = {line.rpartition(":")[2].strip('"') for line in lines if '= "mycroft_stt_plugin_earloop:' in line}
    assert named == classes == {"EarloopSTT", "EarloopStreamingSTT"}
