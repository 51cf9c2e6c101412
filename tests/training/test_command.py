"""`earloop train` and `earloop export` as they are typed: lists in, the folder of a run out."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from stt_server.commands.train import _named, _sources
from stt_server.corpus.manifest import read_manifest
from stt_server.speech.bundle import load_bundle
from stt_server.speech.files import write_wav
from tests.training.conftest import Typed
from tests.training.material import with_graphs_of
from tests.voices import say
from training.exporting import export_run
from training.origin import read_origin
from training.places import Places
from training.recipe import Recipe, load_recipe
from training.terminal import Terminal

ROOT = Path(__file__).parents[2]
TIMEOUT_S = 240
SAID = [f"{verb} the {thing}" for verb in ("open", "close", "lift") for thing in ("door", "box", "gate", "lid")]
TOY: dict[str, Any] = {
    "extends": "from-scratch",
    "name": "toy",
    "model": {"width": 32, "depth": 2, "kernel": 5, "channels": 4, "lookahead": [1, 1]},
    "schedule": {"epochs": 2, "batch_s": 8, "workers": 0, "threads": 1, "precision": "fp32"},
    "report": {"noise_minutes": 0.1},
}

pytestmark = pytest.mark.timeout(3 * TIMEOUT_S)


def command(*words: object) -> list[str]:
    return [sys.executable, "-m", "stt_server.cli", *map(str, words)]


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "EARLOOP_CORPORA": "", "COLUMNS": "150"}


def run(folder: Path, *words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*words),
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )


def pile(folder: Path, sentences: list[str] = SAID) -> Path:
    """A folder of wav and txt, of one speaker."""
    (folder / "clips").mkdir(parents=True, exist_ok=True)
    for number, text in enumerate(sentences):
        write_wav(folder / "clips" / f"{number:02d}.wav", say(text))
        (folder / "clips" / f"{number:02d}.txt").write_text(f"{text}\n", encoding="utf-8")
    return folder / "clips"


def toy(folder: Path) -> Path:
    (folder / "toy.yaml").write_text(yaml.safe_dump(TOY), encoding="utf-8")
    return folder / "toy.yaml"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of clips alone, trained on by a toy recipe."""
    folder = tmp_path_factory.mktemp("command")
    done = run(folder, "train", toy(folder), "--train", pile(folder), "--output", "run", "--cache", "cache")
    assert done.returncode == 0, done.stderr
    (folder / "told.txt").write_text(done.stderr, encoding="utf-8")
    return folder


def test_lists_given_replace_all_data_of_a_recipe(tmp_path: Path) -> None:
    changes = _sources(["an4"], ["a.csv,b.csv", "c.csv"], None)
    recipe = load_recipe("tiny", changes)
    assert [source.corpus for source in recipe.data.train] == ["an4"]
    assert [source.name for source in recipe.data.dev] == ["a", "b", "c"]
    assert (recipe.data.test, recipe.data.split) == ((), False)
    assert load_recipe("tiny", _sources([str(tmp_path)], None, None)).data.split


def test_a_list_to_measure_on_leaves_the_training_data_alone() -> None:
    recipe = load_recipe("tiny", _sources(None, None, ["mine.csv"]))
    assert recipe.data.train[0].synthetic
    assert recipe.data.test[0].corpus == "mine.csv"


def test_lists_of_one_name_are_told_apart_by_their_sources() -> None:
    assert _named("test", ["/a/test.csv", "/b/test.csv"]) == [{"corpus": "/a/test.csv"}, {"corpus": "/b/test.csv"}]


def test_what_was_said_and_split_is_told_before_the_learning(finished: Path) -> None:
    told = (finished / "told.txt").read_text(encoding="utf-8")
    assert "split by " in told
    assert "The result holds for" in told
    assert told.index("The result holds for") < told.index("learning on cpu")


def test_the_folder_of_a_run_says_what_it_came_from(finished: Path) -> None:
    folder = finished / "run"
    recipe = Recipe.model_validate(yaml.safe_load((folder / "recipe.yaml").read_text(encoding="utf-8")))
    assert recipe.alphabet == " abcdefghilnoprstx"
    assert (recipe.name, recipe.sizes, recipe.model.width, recipe.lm.order if recipe.lm else 0) == ("toy", (), 32, 3)
    facts = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    assert sum(facts["data"]["clips"].values()) == len(SAID)
    assert len(facts["data"]["sha256"]) == 64
    assert set(facts["code"]) == {"commit", "dirty", "package"}
    assert facts["machine"]["packages"]["torch"]
    assert sorted(clip.path.name for clip in read_manifest(folder / "clips.csv")) == [f"{n:02d}.wav" for n in range(12)]
    assert (folder / "findings.csv").read_text(encoding="utf-8").startswith("severity,kind,path")
    for name in ("recipe.json", "log.jsonl", "last.pt", "lm.arpa.gz", "bundle/bundle.json"):
        assert (folder / name).is_file(), name


def test_the_recipe_that_was_run_is_a_recipe_to_run(finished: Path) -> None:
    assert load_recipe(str(finished / "run" / "recipe.yaml")) == read_origin(finished / "run").recipe


@pytest.mark.slow
def test_a_resumed_run_keeps_parts_alphabet_and_size_though_the_pile_has_grown(finished: Path) -> None:
    before = {clip.path.name: clip.split for clip in read_origin(finished / "run").clips}
    pile(finished, [*SAID, "open the box", "close the gate"])
    write_wav(finished / "clips" / "13.wav", say("close the gate", rate=130))
    write_wav(finished / "clips" / "12.wav", say("open the box", rate=130))
    again = run(finished, "train", "--resume", "--output", "run", "--cache", "cache", "--set", "schedule.epochs=3")
    assert again.returncode == 0, again.stderr
    after = {clip.path.name: clip.split for clip in read_origin(finished / "run").clips}
    assert len(after) == len(before) + 2
    assert {name: after[name] for name in before} == before


@pytest.mark.slow
def test_a_checkpoint_is_exported_without_training(
    finished: Path, typed: Callable[..., Typed], monkeypatch: pytest.MonkeyPatch
) -> None:
    with_graphs_of(finished / "run" / "bundle", monkeypatch)
    monkeypatch.chdir(finished)
    done = typed("export", "run/best.pt", "--output", "again", "--cache", "cache")
    assert done.code == 0, done.err
    manifest = load_bundle(finished / "again").manifest
    assert (manifest.name, bool(manifest.lm)) == ("toy", True)
    assert {row["source"] for row in manifest.error_rates} == {"clips"}


class Impatient(Terminal):
    """Somebody who presses Ctrl-C when the first rate is shown."""

    def say(self, sentence: str) -> None:
        if "greedy: WER" in sentence:
            raise KeyboardInterrupt


@pytest.mark.slow
def test_ctrl_c_while_a_bundle_is_measured_keeps_it_without_rates(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_graphs_of(finished / "run" / "bundle", monkeypatch)
    places = Places(None, finished / "cache", finished / "run")
    bundle = export_run(finished / "run", tmp_path / "bundle", places, Impatient(None))
    assert load_bundle(bundle.folder).manifest.error_rates == []
    assert "Not measured" in (tmp_path / "bundle" / "card.md").read_text(encoding="utf-8")
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["export", "nowhere"], "nowhere is no folder of a run: there is no recipe.yaml and run.json in it"),
        (["train"], "there is nothing to learn from: name lists with --train, or `data.train` in a recipe"),
        (["train", "--train", "./gone.csv"], "./gone.csv: there is no such file or folder"),
        (["train", "--resume"], "which run is to go on? Name its recipe, or its folder with --output"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_sentence(
    words: list[str], complaint: str, typed: Callable[..., Typed], tmp_path: Path
) -> None:
    done = typed(*words)
    assert done.code in (2, 3)
    assert complaint in done.err
    assert not list(tmp_path.iterdir())


def test_a_dry_run_shows_all_and_writes_nothing_but_the_cache(typed: Callable[..., Typed], tmp_path: Path) -> None:
    clips, recipe = pile(tmp_path), toy(tmp_path)
    before = set(tmp_path.iterdir())
    done = typed("train", recipe, "--train", clips, "--dry-run", "--cache", tmp_path / "cache")
    assert done.code == 0, done.err
    assert set(tmp_path.iterdir()) == before | {tmp_path / "cache"}
    for told in (
        "speakers",
        "The result holds for",
        "(clips, frames of 10 ms, bands)",
        "open the",
        "model conv: ",
        " parameters, ",
        "language model: ",
        " x real time, about ",
        " for 2 epochs at most, for it may stop early",
        " MB of memory",
    ):
        assert told in done.err


def test_a_recipe_is_shown_with_every_key(typed: Callable[..., Typed], tmp_path: Path) -> None:
    done = typed("train", toy(tmp_path), "--set", "schedule.seed=9", "--show")
    shown = Recipe.model_validate(yaml.safe_load(done.out))
    assert (shown.schedule.seed, shown.model.width, shown.lm is not None) == (9, 32, True)


@pytest.mark.slow
def test_the_install_check_learns_a_clip_by_heart(tmp_path: Path) -> None:
    done = run(tmp_path, "train", "smoke")
    assert done.returncode == 0, done.stderr
    assert "OK: learned 'this works', exported it and found it unchanged" in done.stderr
    assert not list(tmp_path.iterdir())


def test_ctrl_c_while_data_is_made_leaves_nothing_half_written(tmp_path: Path) -> None:
    words = ("train", "tiny", "--set", "data.train.0.synthetic.count=5000", "--output", "run", "--cache", "cache")
    process = subprocess.Popen(command(*words), cwd=tmp_path, env=environment(), stderr=subprocess.PIPE, text=True)
    try:
        deadline = time.monotonic() + TIMEOUT_S
        while not list(tmp_path.glob("cache/*/*/*.flac")):
            assert process.poll() is None, process.communicate()[1]
            assert time.monotonic() < deadline, "it never spoke"
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=TIMEOUT_S)
    finally:
        process.kill()
    assert process.returncode == 130
    assert told.endswith("earloop: stopped; nothing was learned\n")
    assert "Traceback" not in told
    assert not (tmp_path / "run").exists()
    assert not list(tmp_path.rglob("*.part"))
