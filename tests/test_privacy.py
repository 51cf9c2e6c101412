"""Nothing of ours, and nothing that we import, reports anything to anybody."""

import os
import subprocess
import sys

import pytest


@pytest.mark.parametrize("module", ["stt_server.speech.acoustic", "training.export"])
def test_onnxruntime_keeps_no_telemetry_of_a_user(module, tmp_path):
    """With its telemetry on, onnxruntime 1.31 gives the user a device id in ~/.cache as soon as it is imported."""
    home = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    home |= {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    code = f"import {module}, sys; assert 'onnxruntime' in sys.modules"
    subprocess.run([sys.executable, "-c", code], env=home, check=True, timeout=120)
    assert [path.name for path in tmp_path.rglob("*") if "microsoft" in str(path).casefold()] == []
