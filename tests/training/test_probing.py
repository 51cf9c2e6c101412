"""The longest batch is tried before the run begins, and halved until it fits."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from stt_server.errors import TooLarge
from tests.training.material import ALPHABET, recipe, six_clips, toy_model
from training import probing
from training.batches import Batch, longest_batch, plan_epoch
from training.distributed import ALONE
from training.memory import is_out_of_memory
from training.precision import PLAIN
from training.probing import halvings_needed, is_bearable
from training.recipe import Augmentation

ROOT = Path(__file__).parents[2]


def needed(most_frames: float, monkeypatch: pytest.MonkeyPatch) -> tuple[int, list[str]]:
    """In a world where `most_frames` padded frames fit into memory."""

    def bearable(model: object, batch: Batch, *_: object) -> bool:
        return batch.features.shape[0] * batch.features.shape[1] <= most_frames

    monkeypatch.setattr(probing, "is_bearable", bearable)
    told: list[str] = []
    made = recipe(schedule={"batch_s": 8})
    answer = halvings_needed(made, toy_model(), six_clips(), np.ones(6), ALPHABET, PLAIN, ALONE, 0, told.append)
    return answer, told


def test_what_fits_is_left_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    assert needed(1e9, monkeypatch) == (0, [])


def test_batches_are_halved_until_the_longest_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    halvings, told = needed(1000, monkeypatch)
    assert halvings == len(told) > 0
    assert "memory is too short for batches of 8 s: they are halved" in told[0]


def test_where_not_one_clip_fits_the_run_ends_with_what_to_change(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(TooLarge, match=r"one clip of .* s is too much .*; set data.longest_s or model.width lower"):
        needed(1, monkeypatch)


def test_the_longest_batch_counts_what_augmentation_adds() -> None:
    """A hundred words of a second, each led by 0.6 s, are more than ten clips of ten."""
    seconds = np.array([1.0] * 100 + [10.0] * 10)
    plan = plan_epoch(seconds, np.ones(110), 100, np.random.default_rng(0))
    unchanged = Augmentation(speed=0, lead=0)
    assert longest_batch(plan, seconds, unchanged)[1] in (1.0, 10.0)
    takes, longest = longest_batch(plan, seconds, Augmentation(speed=0, lead=0.5, lead_s=(0.0, 0.6)))
    assert longest == pytest.approx(2.2)
    assert len(takes) > 90
    assert longest_batch(plan, seconds, Augmentation(speed=1, speed_range=(0.5, 1.0), lead=0))[1] in (2.0, 20.0)


def test_probing_changes_no_weight_and_leaves_no_gradient() -> None:
    model = toy_model()
    before = [weight.clone() for weight in model.parameters()]
    batch = Batch(torch.zeros(2, 40, 80), torch.tensor([1, 2, 3]), torch.tensor([10, 10]), torch.tensor([1, 2]), [])
    assert is_bearable(model, batch, PLAIN, ALONE)
    assert all(torch.equal(one, other) for one, other in zip(before, model.parameters(), strict=True))
    assert all(weight.grad is None for weight in model.parameters())


def test_other_errors_are_not_taken_for_a_lack_of_memory() -> None:
    batch = Batch(torch.zeros(2, 40, 13), torch.tensor([1, 2]), torch.tensor([10, 10]), torch.tensor([1, 1]), [])
    with pytest.raises(RuntimeError):
        is_bearable(toy_model(), batch, PLAIN, ALONE)
    assert not is_out_of_memory(RuntimeError("shapes do not match"))
    assert is_out_of_memory(torch.OutOfMemoryError())
    assert is_out_of_memory(MemoryError())


SHORT_OF_MEMORY = """
import resource, sys
from pathlib import Path
import numpy as np
import torch
from tests.training.material import ALPHABET, MEL, Listener, clip_array, recipe
from tests.voices import white_noise
from training.batches import Surroundings
from training.clips import ClipArray
from training.fit import fit
from training.architectures import new_model
from training import checkpoints

torch.backends.mkldnn.enabled = False  # it writes to where it was given no memory
clips = clip_array([(white_noise(2, -30), "yes")] * 96)
made = recipe(schedule={"epochs": 1, "batch_s": 256}, model={"width": 256, "depth": 4, "lookahead": [0, 0, 0, 0]})
model = new_model(made)
told = Listener()
used = int(next(line for line in open("/proc/self/status") if line.startswith("VmSize")).split()[1]) * 1024
resource.setrlimit(resource.RLIMIT_AS, (used + 400_000_000, used + 400_000_000))
none = ClipArray(np.zeros(0, np.int16), np.zeros(0, np.int64), [])
fit(made, model, clips, none, ALPHABET, MEL, Surroundings(), Path(sys.argv[1]), told)
progress = checkpoints.load(Path(sys.argv[1]) / "last.pt").progress
print(progress.halvings, progress.step, progress.batch, progress.epoch)
print(*told.said, sep="\\n")
"""


def run(code: str, *words: Any) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-c", code, *map(str, words)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=500, check=False)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is bounded as Linux does")
@pytest.mark.timeout(600)
def test_a_run_short_of_memory_halves_its_batches_and_learns(tmp_path: Path) -> None:
    done = run(SHORT_OF_MEMORY, tmp_path)
    assert done.returncode == 0, done.stderr
    halvings, steps, _, epoch = map(int, done.stdout.splitlines()[0].split())
    assert halvings >= 1
    assert epoch == 1
    assert steps <= 2  # as many as without: 96 clips of two seconds are one batch of 256 s
    assert "memory is too short for batches of 256 s: they are halved, and twice as many make a step" in done.stdout
