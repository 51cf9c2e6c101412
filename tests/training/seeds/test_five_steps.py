r"""The seed "Train Your Own Speech Recognition Model in 5 Simple Steps": a checkpoint of DeepSpeech, downloaded, learns
three CSVs for three epochs at a rate of 0.0001. Here a bundle goes on, and the last two steps are one command:

    earloop train fine-tune --train train.csv --dev dev.csv --test test.csv \
        --set schedule.epochs=3 --set schedule.learning_rate=0.0001 --output output_models
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from stt_server.corpus.evaluation import evaluate
from stt_server.corpus.formats.table import read_corpus
from stt_server.speech.bundle import Bundle, load_bundle
from stt_server.speech.decoder.choice import usual_search
from stt_server.speech.recognizer import Recognizer
from tests.training.seeds.recorded import UNHEARD, record, voices
from training import checkpoints

SEARCH = usual_search()
ROOT = Path(__file__).parents[3]
TIMEOUT_S = 1800
SENTENCES = (
    "open the greenhouse roof",
    "water the tomatoes at seven",
    "is the irrigation running",
    "close the valve of tank two",
    "how humid is the greenhouse",
    "harvest the basil tomorrow",
    "dim the growing lights",
    "how much water is left in tank two",
    "warn me of frost tonight",
    "stop the irrigation",
)
WORDS = ("stop light", "yes stop", "no light", "light no")  # of the toy's vocabulary


def train(folder: Path, lists: dict[str, Path], *more: str) -> Bundle:
    """The seed's command, typed."""
    words = [word for part, path in lists.items() for word in (f"--{part}", str(path))]
    changes = ("schedule.epochs=3", "schedule.learning_rate=0.0001", *more)
    words += [word for change in changes for word in ("--set", change)]
    command = [sys.executable, "-m", "stt_server.cli", "train", "fine-tune", *words, "--output", "output_models"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "EARLOOP_CORPORA": ""}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )
    assert done.returncode == 0, done.stderr
    return load_bundle(folder / "output_models" / "bundle")


def validations(folder: Path) -> list[dict[str, Any]]:
    lines = (folder / "output_models" / "log.jsonl").read_text(encoding="utf-8").splitlines()
    return [event for event in map(json.loads, lines) if event["event"] == "validated"]


def wer(bundle: Path, listed: Path, decoder: str) -> float:
    score = evaluate(Recognizer.load(bundle), list(read_corpus(listed).clips), decoder).scores
    return next(iter(score.values())).wer.value


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_bundle_learns_three_lists_for_three_epochs(tmp_path: Path, tiny_bundle: Path) -> None:
    """The short twin: a toy of four words, which hears its lists at least as well as before."""
    lists = {
        "train": record(tmp_path, "train", WORDS, ["en-us"], takes=3),
        "dev": record(tmp_path, "dev", WORDS, ["en-us"]),
        "test": record(tmp_path, "test", WORDS, ["en-us", "en-us+f3"]),
    }
    toy = (f"start.model={tiny_bundle}", "data.replay_share=0", "schedule.workers=0", "report.noise_minutes=0.1")
    bundle = train(tmp_path, lists, *toy)
    learned = checkpoints.load(tmp_path / "output_models" / "last.pt")
    assert learned.progress.epoch == 3
    assert learned.optimizer["param_groups"][0]["lr"] <= 0.0001
    assert bundle.manifest.lineage["start"]["name"] == "tiny"
    assert bundle.manifest.lineage["clips"] == 12
    assert {row["decoder"] for row in bundle.manifest.error_rates if row["source"] == "test"} == {"greedy", SEARCH}
    assert len(validations(tmp_path)) >= 1
    assert wer(bundle.folder, lists["test"], "greedy") <= wer(tiny_bundle, lists["test"], "greedy")
    assert wer(bundle.folder, lists["test"], SEARCH) <= wer(tiny_bundle, lists["test"], SEARCH)


@pytest.mark.nightly
@pytest.mark.timeout(3600)
def test_a_house_of_plants_is_understood_after_three_epochs(tmp_path: Path, shipped_bundle: Path) -> None:
    """The whole: ten sentences of a domain, twelve people; of people who recorded nothing half the errors are gone."""
    lists = {
        "train": record(tmp_path, "train", SENTENCES, voices(12)),
        "dev": record(tmp_path, "dev", SENTENCES, voices(3, 12)),
        "test": record(tmp_path, "test", SENTENCES, UNHEARD),
    }
    bundle = train(tmp_path, lists)
    assert bundle.manifest.lineage["start"]["name"] == "en-small"
    assert wer(bundle.folder, lists["test"], "greedy") < wer(shipped_bundle, lists["test"], "greedy")
    assert wer(bundle.folder, lists["test"], SEARCH) <= 0.5 * wer(shipped_bundle, lists["test"], SEARCH)
