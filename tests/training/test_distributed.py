"""Two processes learn what one learns from the same batches; the first alone speaks; none is waited for in vain."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from stt_server.speech.bundle import load_bundle
from training import checkpoints
from training.distributed import ALONE

ROOT = Path(__file__).parents[2]
PROGRAM = Path(__file__).with_name("two_processes.py")
TIMEOUT_S = 240
SECTIONS: dict[str, Any] = {
    "schedule": {"epochs": 3, "batch_s": 2.0, "accumulate": 1, "validate_epochs": 1, "average_decay": 0.9},
    "augmentation": {"join": 0.3},
}

pytestmark = [pytest.mark.slow, pytest.mark.timeout(2 * TIMEOUT_S)]


def start(processes: int, folder: Path, *deed: str, **schedule: Any) -> "subprocess.Popen[str]":
    """By torchrun where there are several."""
    folder.mkdir(exist_ok=True)
    told = json.dumps(SECTIONS | {"schedule": SECTIONS["schedule"] | schedule})
    torchrun = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"] if processes > 1 else []
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
    command = [sys.executable, *torchrun, str(PROGRAM), str(folder), told, *deed]
    return subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True)


def finish(process: "subprocess.Popen[str]") -> tuple[int, str]:
    with process:
        try:
            _, told = process.communicate(timeout=TIMEOUT_S)
        finally:
            process.terminate()
    return process.returncode, told


def run(processes: int, folder: Path, *deed: str, **schedule: Any) -> tuple[int, str]:
    return finish(start(processes, folder, *deed, **schedule))


def test_two_processes_learn_what_one_learns_from_the_same_batches(tmp_path: Path) -> None:
    """Sums are of other order: a loss may differ in its sixth digit, and after some 12 steps a weight in its fourth."""
    one, two = tmp_path / "one", tmp_path / "two"
    for processes, folder, accumulate in ((1, one, 2), (2, two, 1)):
        code, told = run(processes, folder, accumulate=accumulate)
        assert code == 0, told
    single, double = (json.loads((folder / "result.json").read_text()) for folder in (one, two))
    assert (single["size"], double["size"]) == (1, 2)
    assert single["rates"] == double["rates"]
    ends = [checkpoints.load(folder / "last.pt") for folder in (one, two)]
    assert ends[0].progress.step == ends[1].progress.step > 5
    losses = [[entry["chosen_loss"] for entry in end.progress.history] for end in ends]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
    for name, weight in ends[0].model.items():
        assert torch.allclose(weight, ends[1].model[name], atol=2e-3, rtol=1e-3), name


def test_when_a_process_dies_the_others_end_and_the_run_can_be_resumed(tmp_path: Path) -> None:
    begun = time.monotonic()
    code, told = run(2, tmp_path / "run", "die", epochs=1000, validate_epochs=1)
    assert code != 0
    assert time.monotonic() - begun < TIMEOUT_S
    assert "exitcode  : 17" in told
    assert not (tmp_path / "run" / "result.json").exists()


def test_a_process_that_does_not_answer_is_not_waited_for_without_end(tmp_path: Path) -> None:
    """The deadline is twenty seconds here and ten minutes in earnest."""
    code, told = run(2, tmp_path / "run", "hang", epochs=1000)
    assert code != 0
    assert "rank 0: another process of the run has ended or does not answer" in told
    assert "--resume goes on from the last checkpoint" in told


def test_a_stop_wished_by_one_process_ends_all_at_the_same_step(tmp_path: Path) -> None:
    code, told = run(2, tmp_path / "run", "interrupt", epochs=1000)
    assert code == 0, told
    assert checkpoints.load(tmp_path / "run" / "last.pt").progress.step == 3


def test_ctrl_c_ends_all_processes_and_keeps_what_was_learned(tmp_path: Path) -> None:
    """torchrun passes it on, waits half a minute before it kills, and ends with a traceback of its own."""
    process = start(2, tmp_path / "run", epochs=100_000)
    deadline = time.monotonic() + TIMEOUT_S
    while not (tmp_path / "run" / "best.pt").exists():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline, "it never learned"
        time.sleep(0.05)
    process.send_signal(2)
    _, told = finish(process)
    assert (tmp_path / "run" / "last.pt").exists(), told
    progress = checkpoints.load(tmp_path / "run" / "last.pt").progress
    assert progress.step > 0
    assert progress.epoch < 100_000
    assert (tmp_path / "run" / "result.json").exists()
    assert told.count("heard SIGINT") == 2  # once each: a second one would mean to leave at once


@pytest.mark.nightly
def test_the_whole_way_by_torchrun_leaves_what_one_process_would(tmp_path: Path) -> None:
    changes = {f"data.{part}.0.synthetic.count": 4 for part in ("train", "dev", "test")}
    told = [f"--set={key}={value}" for key, value in {**changes, "kit.utterances": 2, "schedule.epochs": 1}.items()]
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    command = [*torchrun, "-m", "stt_server.cli", "train", "tiny", "--output", "run", "--cache", "cache", *told]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    started = subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True)
    code, said = finish(started)
    assert code == 0, said
    assert said.count("learning on cpu in fp32, in batches of 30 s, 2 of them a step") == 1
    assert load_bundle(tmp_path / "run" / "bundle").manifest.lineage["steps"] == 1
    assert (tmp_path / "run" / "report.json").exists()


def test_one_process_alone_is_a_team() -> None:
    weight = torch.nn.Parameter(torch.ones(3))
    weight.grad = torch.full((3,), 2.0)
    ALONE.add_gradients([weight])
    assert weight.grad.tolist() == [2.0, 2.0, 2.0]
    assert ALONE.sum(1, 2.5, True) == [1, 2.5, 1]
    assert ALONE.gather("a") == ["a"]
    assert ALONE.mine(range(2, 5)) == range(2, 5)
    assert ALONE.after_the_first(lambda: 7) == 7
