"""What holds on a processor holds on a GPU. `python -m training.cudacheck` is the same where there is no pytest."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from training import cudacheck
from training.precision import DTYPES

ROOT = Path(__file__).parents[2]
needs_cuda = pytest.mark.skipif(
    not torch.cuda.is_available(), reason="there is no CUDA device: what only a GPU can show is not checked here"
)


@needs_cuda
@pytest.mark.parametrize("precision", DTYPES)
@pytest.mark.parametrize("architecture", cudacheck.ARCHITECTURES)
def test_log_probabilities_are_those_of_the_processor(architecture: str, precision: str) -> None:
    found = cudacheck.parity(architecture, precision)
    assert found.right, found.told


@needs_cuda
@pytest.mark.parametrize("precision", DTYPES)
def test_steps_in_every_precision_make_the_loss_fall(precision: str) -> None:
    found = cudacheck.learning(precision)
    assert found.right, found.told


@needs_cuda
@pytest.mark.parametrize("precision", DTYPES)
def test_how_fast_the_shipped_sizes_learn_is_told(precision: str, capsys: pytest.CaptureFixture[str]) -> None:
    found = cudacheck.speed(precision, 10)
    with capsys.disabled():
        sys.stdout.write(f"\n{found.told}\n")
    assert found.right


@pytest.mark.skipif(torch.cuda.is_available(), reason="here is a CUDA device")
def test_without_a_device_the_check_says_so_and_fails() -> None:
    words = [sys.executable, "-m", "training.cudacheck"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (1, "there is no CUDA device here\n")
