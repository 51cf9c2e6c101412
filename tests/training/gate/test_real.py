"""The gate on real models: one against itself, against a really worse one, and against a really better one."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from stt_server import cli
from stt_server.corpus.manifest import read_manifest
from stt_server.speech.bundle import load_bundle, sha256, write_bundle
from stt_server.speech.recognizer import Recognizer
from tests.training.gate.bundles import damaged, target_list, with_kit
from training.gate import judge, target_set
from training.gate.hearing import hear_set
from training.gate.labels import label_fit
from training.gate.parity import measure_parity
from training.gate.sets import kit_sets
from training.policy import Costs, Policy

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]  # several models are loaded and heard with
BAD = 1.0  # of their spread


@pytest.fixture(scope="module")
def good(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return with_kit(tiny_bundle, tmp_path_factory.mktemp("good") / "bundle")


@pytest.fixture(scope="module")
def bad(good: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return damaged(good, tmp_path_factory.mktemp("bad") / "bundle", BAD)


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return target_list(tmp_path_factory.mktemp("target") / "clips")


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a busy machine does to the clock of a step that takes microseconds is no business of these tests."""
    path = tmp_path_factory.mktemp("policy") / "policy.yaml"
    path.write_text("costs: {latency: 20, memory: 20}\ntolerances: {general: 0.1, noise: 0.1}\n", encoding="utf-8")
    return path


def gate(*words: object) -> int:
    with pytest.raises(SystemExit) as ended:
        cli.main(["gate", *map(str, words)])
    assert isinstance(ended.value.code, int)
    return ended.value.code


def read(folder: Path) -> dict[str, Any]:
    told: dict[str, Any] = json.loads((folder / "gate.json").read_text(encoding="utf-8"))
    return told


def test_a_really_better_model_passes_and_everything_is_written(
    good: Path, bad: Path, target: Path, policy: Path, tmp_path: Path
) -> None:
    learned = target_list(tmp_path / "learned", 6)
    words = ("--target", target, "--train", learned, "--policy", policy, "--output", tmp_path / "gate")
    code = gate(bad, good, *words)
    told = read(tmp_path / "gate")
    assert (code, told["verdict"], told["schema_version"]) == (0, "passed", 1)
    first = told["sets"][0]
    assert (first["name"], first["role"], first["verdict"]) == ("target", "target", "passed")
    assert first["candidate_wer"] < 0.05 < first["low"] < first["delta"] < first["high"]
    assert {each["name"] for each in told["sets"]} >= {"kit-clean", "kit-noisy", "kit-quiet"}
    assert told["guards"]["missing"] == ["earlier", "speaker"]
    assert told["clips_needed"] is None
    assert told["hashes"]["candidate"]["sha256"] == sha256(good / "bundle.json")
    assert set(told["hashes"]["sets"]) == {"target", "kit-clean", "kit-noisy", "kit-quiet"}
    doubted = (tmp_path / "gate" / "suspects.csv").read_text(encoding="utf-8").splitlines()
    assert (doubted[0].split(",")[:2], len(doubted)) == (["clip", "suspect"], 7)


def test_a_really_worse_model_is_refused_and_its_new_errors_can_be_heard(
    good: Path, bad: Path, target: Path, policy: Path, tmp_path: Path
) -> None:
    guard = f"earlier-words={target}"
    assert gate(good, bad, "--target", target, "--guard", guard, "--policy", policy, "--output", tmp_path) == 3
    told = read(tmp_path)
    assert told["verdict"] == "refused"
    assert told["guards"]["there"]["earlier"] == ["earlier-words"]
    assert {each["verdict"] for each in told["sets"] if each["name"] in ("target", "kit-clean", "earlier-words")} == {
        "refused"
    }
    worst = told["worst"][0]
    assert worst["candidate_errors"] > worst["base_errors"]
    page = (tmp_path / "gate.html").read_text(encoding="utf-8")
    assert page.count("data:audio/flac;base64,") == len(told["worst"]) == 20
    assert worst["said"] in page
    assert not re.search(r"<script|https?://", page)


def test_shuffled_labels_are_seen_in_what_a_good_model_hears(good: Path, target: Path) -> None:
    """They refuse whatever else was measured: test_verdict.py."""
    ears, clips = Recognizer.load(good), list(read_manifest(target))
    shuffled = [replace(clip, text=other.text) for clip, other in zip(clips, clips[5:] + clips[:5], strict=True)]
    for listed, fits in ((clips, True), (shuffled, False)):
        (heard,) = hear_set(ears, ears, target_set(listed))
        fit = label_fit([(pair.said, pair.candidate) for pair in heard.pairs])
        assert fit is not None
        assert fit.fits is fits


def test_the_shipped_model_against_itself_never_passes(shipped_bundle: Path) -> None:
    """On a few clips of its own kit."""
    clips = [clip for each in kit_sets(shipped_bundle) if each.name == "kit-clean" for clip in each.clips]
    report = judge(shipped_bundle, shipped_bundle, [target_set(clips[1::16])], Policy(most=4))
    assert report.verdict == "refused"
    assert report.reasons[0] == "candidate and base are the same bundle"
    assert {each.delta for each in report.sets} == {0.0}
    assert report.labels is None
    assert report.costs.parity.verdict == "passed"
    assert report.costs.parity.declared is not None
    assert report.costs.memory.base_mb > 10
    assert all(each.verdict != "passed" for each in report.sets if each.role == "target")


@pytest.mark.nightly
@pytest.mark.timeout(3600)
def test_the_shipped_model_is_told_from_a_damaged_one_both_ways(shipped_bundle: Path, tmp_path: Path) -> None:
    """With its whole kit, whose every second clean clip is the target."""
    worse = damaged(shipped_bundle, tmp_path / "worse", 0.3)
    clips = [clip for each in kit_sets(shipped_bundle) if each.name == "kit-clean" for clip in each.clips]
    policy = Policy(costs=Costs(latency=20, memory=20))
    better = judge(worse, shipped_bundle, [target_set(clips[::2])], policy)
    assert better.verdict == "passed", better.reasons
    assert judge(shipped_bundle, worse, [target_set(clips[::2])], policy).verdict == "refused"
    assert judge(shipped_bundle, shipped_bundle, [target_set(clips[::2])], policy).verdict == "refused"


def test_a_bundle_whose_export_is_not_proven_is_refused(tiny_bundle: Path, good: Path) -> None:
    (fault,) = measure_parity(load_bundle(tiny_bundle), [], Costs()).faults
    assert "does not say how far the graph is from the trained model" in fault
    proven = measure_parity(load_bundle(good), [], Costs())
    assert (proven.verdict, proven.declared) == ("passed", 1e-5)
    assert proven.int8_moved is not None
    assert 0 < proven.int8_moved < 0.05
    strict = measure_parity(load_bundle(good), [], Costs(parity=1e-6, int8=1e-6))
    assert [fault.split(" ")[0] for fault in strict.faults] == ["its", "int8"]


def test_a_bundle_that_mishears_its_golden_clip_is_refused(good: Path, tmp_path: Path) -> None:
    folder = tmp_path / "bundle"
    shutil.copytree(good, folder)
    described = load_bundle(folder).manifest.model_dump(mode="json")
    described["golden"]["text"] = "yes"
    faults = measure_parity(write_bundle(folder, described), [], Costs()).faults
    assert [fault.split(",")[0] for fault in faults] == ["in fp32", "in int8"]


def test_what_cannot_be_judged_ends_with_neither_verdict_nor_its_exit_code(
    good: Path, target: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nobody = tmp_path / "nobody"
    output = ("--output", tmp_path / "gate")
    assert gate(good, nobody, "--target", target, *output) == 2
    assert gate(good, good, "--target", target, "--guard", "unnamed.csv", *output) == 2
    assert gate(good, good, "--target", target, "--guard", f"kit-clean={target}", *output) == 2
    assert gate(good, good, "--target", target, "--policy", nobody, *output) == 2
    policy = tmp_path / "policy.yaml"
    policy.write_text("tolerance: {general: 0.1}\n", encoding="utf-8")
    assert gate(good, good, "--target", target, "--policy", policy, *output) == 2
    assert "did you mean `tolerances`?" in capsys.readouterr().err
    (tmp_path / "list.csv").write_text("path,transcript\nnone.flac,stop\n", encoding="utf-8")
    assert gate(good, good, "--target", tmp_path / "list.csv", *output) == 2
    assert not (tmp_path / "gate" / "gate.json").exists()


def test_a_damaged_bundle_still_loads_and_says_what_it_hears(bad: Path) -> None:
    """That is what makes it a worse model and not a broken one."""
    assert load_bundle(bad).manifest.version == "damaged"
