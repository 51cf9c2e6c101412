"""A pack goes to a bare machine, is learned from in pieces there, and comes home."""

import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from stt_server.errors import BadInput, NotFound, TooLarge
from stt_server.speech.bundle import load_bundle
from tests.training.material import clip_array, with_graphs_of
from tests.voices import white_noise
from training import checkpoints
from training.bundling import load_model
from training.export import rounded
from training.exporting import export_run
from training.pack import MEBIBYTE, Writer, pack_run, told
from training.packed import UNFINISHED, learn, main, unpack
from training.places import Places
from training.recipe import load_recipe
from training.run import run_recipe
from training.rundir import Run, decoded, learned_from
from training.runlog import RunLog
from training.shards import Amount, Pack, Shard, read_pack, read_shard
from training.terminal import Terminal

ROOT = Path(__file__).parents[2]
AS_STARTED = dict(os.environ)  # commands that tests run in this process set threads, which would change the last bits
TIMEOUT_S = 240
NO_LOG = RunLog(None)
SMALL: dict[str, Any] = {
    "data.train.0.synthetic.count": 12,
    "data.dev.0.synthetic.count": 3,
    "data.test.0.synthetic.count": 2,
    "schedule.epochs": 3,
    "schedule.workers": 0,
    "schedule.threads": 1,
    "schedule.precision": "fp32",
    "schedule.device": "cpu",
    "kit": {"utterances": 0},
    "report.noise_minutes": 0.1,
}

pytestmark = pytest.mark.timeout(2 * TIMEOUT_S)


@dataclass(frozen=True)
class Packed:
    run: Run
    folder: Path
    said: list[str]


class Quiet(Terminal):
    def __init__(self) -> None:
        super().__init__(None, quiet=True)
        self.said: list[str] = []

    def say(self, sentence: str) -> None:
        self.said.append(sentence)


def small_run(folder: Path, **changes: Any) -> Run:
    recipe = load_recipe("tiny", SMALL | changes)
    return Run(recipe, Places(None, folder / "cache"), folder / "run", Quiet())


def packed_by(run: Run, **options: Any) -> Packed:
    folder = run.folder / "pack"
    pack_run(run, folder, **{"mib": 40, "encoding": "exact", **options})
    return Packed(run, folder, run.terminal.said)  # type: ignore[attr-defined]


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Packed:
    return packed_by(small_run(tmp_path_factory.mktemp("pack")))


def bare(*words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "tests" / "training" / "bare.py"), *map(str, words)]
    return subprocess.run(
        command,
        env={**AS_STARTED, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )


def weights_in(path: Path) -> dict[str, torch.Tensor]:
    return checkpoints.load(path).averaged


def are_equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_what_is_packed_exactly_is_what_is_learned_from_at_home(pack: Packed) -> None:
    home = Run(pack.run.recipe, pack.run.places, pack.run.folder, Quiet())
    from training.preparing import prepare

    home, gathering = prepare(home, resume=True)
    clips, brought = decoded(home, learned_from(home, gathering)), unpack([pack.folder])
    assert [said.text for said in brought.train.said] == [said.text for said in clips.said]
    assert [said.weight for said in brought.train.said] == [said.weight for said in clips.said]
    assert np.array_equal(brought.train.samples, clips.samples)
    assert np.array_equal(brought.train.ends, clips.ends)
    assert len(brought.dev) == 3
    assert brought.recipe == home.recipe


def test_no_folder_of_this_machine_goes_along(pack: Packed) -> None:
    brought = unpack([pack.folder])
    assert all("/" not in said.name for said in brought.train.said)
    assert str(pack.run.places.cache) not in "".join(
        path.read_text(encoding="utf-8") for path in pack.folder.iterdir() if path.suffix in (".json", ".yaml")
    )


@pytest.fixture(scope="module")
def learned(pack: Packed, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """On a bare machine, in one go."""
    output = tmp_path_factory.mktemp("bare") / "out"
    done = bare(pack.folder, "--output", output, "--light")
    assert done.returncode == 0, done.stderr
    assert "12 clips" in done.stderr
    assert "greedy WER: synthetic" in done.stderr
    return output


def test_a_bare_machine_learns_what_home_would(pack: Packed, learned: Path, tmp_path: Path) -> None:
    assert are_equal(weights_in(learned / "last.pt"), weights_in(in_one_go(pack, tmp_path) / "last.pt"))


def in_one_go(pack: Packed, folder: Path) -> Path:
    assert learn(unpack([pack.folder]), folder, np.inf, NO_LOG)
    return folder


def test_stopped_by_the_clock_and_called_again_it_learns_the_same(pack: Packed, learned: Path, tmp_path: Path) -> None:
    for _ in range(60):
        if learn(unpack([pack.folder]), tmp_path, time.monotonic(), NO_LOG):
            break
    else:
        pytest.fail("it never came to an end")
    assert are_equal(weights_in(learned / "last.pt"), weights_in(tmp_path / "last.pt"))


def test_the_exit_code_says_whether_there_is_more_to_learn(pack: Packed, tmp_path: Path) -> None:
    words = [str(pack.folder), "--output", str(tmp_path), "--set", "schedule.epochs=1000"]
    assert main([*words, "--minutes", "0.02"]) == UNFINISHED
    assert main([*words, "--anew", "--set", "schedule.epochs=1"]) == 0
    assert (tmp_path / "previous.pt").is_file()
    assert main([str(tmp_path), "--output", str(tmp_path)]) == NotFound.exit_code


def test_the_log_is_one_that_a_report_reads(learned: Path) -> None:
    events = [json.loads(line) for line in (learned / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    assert {"said", "validated"} <= {event["event"] for event in events}


def test_light_weights_are_those_that_are_exported(learned: Path) -> None:
    light, best = (weights_in(learned / name) for name in ("weights.pt", "best.pt"))
    assert (learned / "weights.pt").stat().st_size < 0.2 * (learned / "best.pt").stat().st_size
    for name, weight in best.items():
        expected = weight if name in ("mean", "scale") else weight.half().float()
        assert torch.equal(light[name], expected), name


def test_light_weights_cannot_be_gone_on_with(pack: Packed, learned: Path, tmp_path: Path) -> None:
    shutil.copy(learned / "weights.pt", tmp_path / "last.pt")
    with pytest.raises(BadInput, match="weights to export and not what learning needs"):
        learn(unpack([pack.folder]), tmp_path, np.inf, NO_LOG)


@pytest.mark.slow
def test_home_again_it_is_exported_and_resumed(pack: Packed, learned: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Light weights and the best make the same model: the graph of the one is held against the other."""
    run = pack.run
    for name in ("weights.pt", "last.pt", "best.pt"):
        shutil.copy(learned / name, run.folder / name)
    recipe = load_recipe(str(run.folder / "recipe.yaml"))
    bundle = run_recipe(Run(recipe, run.places, run.folder, run.terminal), resume=True)
    assert bundle is not None
    kept = [rounded(load_model(run.folder / name)).state_dict() for name in ("weights.pt", "best.pt")]
    assert are_equal(*kept)
    with_graphs_of(bundle.folder, monkeypatch)
    light = export_run(run.folder / "weights.pt", run.folder / "light", run.places, run.terminal)
    parities = [load_bundle(each.folder).manifest.lineage["parity"] for each in (light, bundle)]
    assert parities[0] == parities[1]


def test_packed_again_nothing_is_written_anew(pack: Packed) -> None:
    before = {path: path.stat().st_mtime_ns for path in pack.folder.glob("*.npz")}
    again = packed_by(Run(pack.run.recipe, pack.run.places, pack.run.folder, Quiet()))
    assert {path: path.stat().st_mtime_ns for path in again.folder.glob("*.npz")} == before


def test_what_was_packed_otherwise_is_taken_out(pack: Packed, tmp_path: Path) -> None:
    shutil.copytree(pack.folder, tmp_path / "pack")
    pack_run(pack.run, tmp_path / "pack", 40, "mulaw")
    listed = {shard.file for shard in read_pack(tmp_path / "pack").shards}
    assert {path.name for path in (tmp_path / "pack").glob("*.npz")} == listed


def noises(count: int, seconds: float = 1.0) -> Any:
    """What no compressor makes smaller."""
    return clip_array([(white_noise(seconds, -20, seed=number), f"number {number}") for number in range(count)])


@pytest.mark.parametrize("encoding", ["exact", "mulaw", "adpcm"])
def test_a_pack_is_never_larger_than_asked_and_as_full_as_can_be(tmp_path: Path, encoding: str) -> None:
    clips, room = noises(60), 400_000
    shards = list(Writer(tmp_path, encoding, room).fill("train", clips))
    size = sum(path.stat().st_size for path in tmp_path.iterdir())
    assert size <= room
    assert size >= 0.75 * room or sum(shard.clips for shard in shards) == 60
    numbers = [row.number for shard in shards for row in read_shard(tmp_path / shard.file, encoding)[2]]
    assert len(set(numbers)) == len(numbers) == sum(shard.clips for shard in shards)


def test_a_pack_too_small_for_one_clip_is_refused(tmp_path: Path) -> None:
    run = small_run(tmp_path)
    with pytest.raises(TooLarge, match="not one training clip fits into 0.02 MiB; raise --mib"):
        pack_run(run, tmp_path / "pack", 0.02, "exact")


def test_it_is_told_what_fits_and_what_all_would_need(tmp_path: Path) -> None:
    (tmp_path / "train.npz").write_bytes(bytes(MEBIBYTE))
    shard = Shard(file="train.npz", sha256="", part="train", clips=10, seconds=1800, snr_db=24.3)
    amounts = {"train": Amount(clips=40, seconds=7200), "dev": Amount(clips=0, seconds=0)}
    nothing = Amount(clips=0, seconds=0)
    whole = amounts | {"noise": nothing, "rir": nothing}
    lines = list(told(Pack(encoding="adpcm", whole=whole, first_replay=40, shards=[shard]), tmp_path))
    assert lines[0] == "to learn from: 10 of 40 clips, 0.50 h of 2.00 h"
    assert "adpcm: what is lost lies 24 dB or more below the speech" in lines[1]
    assert lines[2].endswith("all of them need about --mib 5")


def test_shards_may_come_on_several_journeys_and_none_may_be_missing(pack: Packed, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    shutil.copytree(pack.folder, first)
    second.mkdir()
    shard = next(first.glob("train-*.npz"))
    shard.rename(second / shard.name)
    assert len(unpack([first, second]).train) == 12
    with pytest.raises(NotFound, match=f"there is no {shard.name}"):
        unpack([first])


def test_a_damaged_shard_is_refused(pack: Packed, tmp_path: Path) -> None:
    shutil.copytree(pack.folder, tmp_path / "pack")
    shard = next((tmp_path / "pack").glob("train-*.npz"))
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.write_bytes(content)
    with pytest.raises(BadInput, match="is not what was packed"):
        unpack([tmp_path / "pack"])


@pytest.mark.slow
def test_a_tuned_run_takes_the_weights_it_starts_from_along_and_holds_to_them(learned: Path, tmp_path: Path) -> None:
    replay = [{"synthetic": {"by_rule": 1.0, "count": 5, "seed": 9}}]
    changes = {"start": {"model": str(learned / "best.pt"), "freeze": ["subsampling.*"]}, "data.replay": replay}
    tuned = packed_by(small_run(tmp_path, **changes))
    brought = unpack([tuned.folder])
    assert brought.hold is not None
    assert brought.hold.first == 12
    assert len(brought.train) == 17
    assert are_equal(brought.model.state_dict(), weights_in(learned / "best.pt"))
    frozen = [name for name, weight in brought.model.named_parameters() if not weight.requires_grad]
    assert frozen
    assert all(name.startswith("subsampling.") for name in frozen)
    done = bare(tuned.folder, "--output", tmp_path / "out", "--set", "schedule.epochs=1")
    assert done.returncode == 0, done.stderr
