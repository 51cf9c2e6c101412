"""A model that is damaged on disk: `earloop serve` says what is wrong and does not start."""

import asyncio
import json
import shutil
import sys
from asyncio.subprocess import PIPE
from collections.abc import Callable
from pathlib import Path

import pytest

from stt_server.speech.bundle import entry
from tests.faults.process import ROOT, process
from tests.web.conftest import PATIENCE_S

BAD_BUNDLE = 4


@pytest.fixture
def damaged(tiny_bundle: Path, tmp_path: Path) -> Path:
    """A copy of a sound bundle, to be damaged."""
    return Path(shutil.copytree(tiny_bundle, tmp_path / "damaged"))


def flip_bytes(bundle: Path) -> None:
    """As a failing disk does."""
    model = bundle / "model.fp32.onnx"
    data = bytearray(model.read_bytes())
    data[len(data) // 2] ^= 0xFF
    model.write_bytes(data)


def cut_short(bundle: Path) -> None:
    model = bundle / "model.fp32.onnx"
    model.write_bytes(model.read_bytes()[:1000])


def no_model_at_all(bundle: Path) -> None:
    """With a manifest that fits it."""
    (bundle / "model.fp32.onnx").write_bytes(b"<html>not found</html>")
    _describe(bundle, "models", "fp32", entry(bundle, "model.fp32.onnx"))


def of_another_text(bundle: Path) -> None:
    """A model that hears something else than was exported."""
    manifest = json.loads((bundle / "bundle.json").read_text())
    _describe(bundle, "golden", "text", "no " + manifest["golden"]["text"])


def _describe(bundle: Path, part: str, key: str, value: object) -> None:
    path = bundle / "bundle.json"
    manifest = json.loads(path.read_text())
    manifest[part][key] = value
    path.write_text(json.dumps(manifest))


DAMAGE: dict[Callable[[Path], None], str] = {
    flip_bytes: "model.fp32.onnx",
    cut_short: "model.fp32.onnx",
    no_model_at_all: "not a model onnxruntime can open",
    of_another_text: "golden clip",
}


@pytest.mark.parametrize("damage", DAMAGE, ids=lambda damage: damage.__name__)
async def test_a_damaged_model_is_a_sentence_and_exit_code_4(damaged: Path, damage: Callable[[Path], None]):
    damage(damaged)
    command = [sys.executable, "-m", "stt_server.cli", "serve", "--port", "0", "--model", str(damaged)]
    child = await asyncio.create_subprocess_exec(*command, stdout=PIPE, stderr=PIPE, cwd=ROOT)
    said, errors = await asyncio.wait_for(child.communicate(), PATIENCE_S)
    assert (child.returncode, said) == (BAD_BUNDLE, b"")
    last = errors.decode().splitlines()[-1]
    assert last.startswith("earloop: ")
    assert DAMAGE[damage] in last
    assert b"Traceback" not in errors


async def test_who_knows_better_may_start_without_the_golden_clip(damaged: Path):
    of_another_text(damaged)
    async with process("--model", str(damaged), "--no-check-model") as server:
        assert await server.metric("earloop_build_info") == 1
