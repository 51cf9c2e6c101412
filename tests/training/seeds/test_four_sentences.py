"""The seed "DeepSpeech: Train own model": four sentences, three CSVs, a net 134 wide, 75 epochs, early stop, a scorer.

Its author trained on 66 clips of one voice and got a WER of 12.5 % on clips of that voice, with the language model that
holds the answers. Here the test's voices are in no training clip.
"""

from pathlib import Path
from typing import Any

import pytest

from stt_server.speech.bundle import load_bundle
from stt_server.speech.decoder.choice import usual_search
from tests.training.seeds.recorded import UNHEARD, record, voices
from training.places import Places
from training.recipe import load_recipe
from training.run import run_recipe
from training.rundir import Run
from training.terminal import Terminal

SEARCH = usual_search()
SENTENCES = ("turn on the light", "turn off the light", "switch on the light", "switch off the light")
QUICK = {
    "model.width": 64,
    "model.depth": 2,
    "model.lookahead": [3, 3],
    "schedule.epochs": 24,
    "schedule.validate_epochs": 12,
    "schedule.batch_s": 6,
    "schedule.workers": 0,
    "augmentation.telephone": 0,
    "report.noise_minutes": 0.1,
}


def trained(folder: Path, lists: dict[str, Path], **changes: Any) -> dict[str, dict[str, dict[str, float]]]:
    """Decoder → rate of the bundle that `earloop train commands` makes of the lists."""
    sources = {f"data.{part}": [{"corpus": str(path)}] for part, path in lists.items()}
    recipe = load_recipe("commands", sources | changes)
    run_recipe(Run(recipe, Places(None, folder / "cache"), folder / "run", Terminal(folder / "log.jsonl")))
    rows = load_bundle(folder / "run" / "bundle").manifest.error_rates
    return {row["decoder"]: row for row in rows if row["source"] == "test"}


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_two_sentences_are_told_apart_on_voices_that_were_never_heard(tmp_path: Path) -> None:
    """The short twin: two sentences, six voices, a smaller net."""
    said = SENTENCES[::3]
    lists = {
        "train": record(tmp_path, "train", said, voices(10)),
        "dev": record(tmp_path, "dev", said, voices(2, 10)),
        "test": record(tmp_path, "test", said, UNHEARD[:4]),
    }
    measured = trained(tmp_path, lists, **QUICK)
    assert measured[SEARCH]["exact"]["value"] >= 0.75
    assert measured[SEARCH]["wer"]["value"] <= measured["greedy"]["wer"]["value"]


@pytest.mark.nightly
@pytest.mark.timeout(3600)
def test_four_sentences_are_heard_without_a_fault_on_voices_that_were_never_heard(tmp_path: Path) -> None:
    """The whole: 200 clips of 50 voices; sentence error 0 with the language model, WER at most 10 % without."""
    lists = {
        "train": record(tmp_path, "train", SENTENCES, voices(50)),
        "dev": record(tmp_path, "dev", SENTENCES, voices(14, 50)),
        "test": record(tmp_path, "test", SENTENCES, UNHEARD, takes=2),
    }
    measured = trained(tmp_path, lists)
    assert measured[SEARCH]["exact"]["value"] == 1.0
    assert measured["greedy"]["wer"]["value"] <= 0.10
