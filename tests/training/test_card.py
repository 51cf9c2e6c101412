"""A model card says what was measured and listed, all of it, and nothing of the machine it was written on."""

from pathlib import Path
from typing import Any

import pytest

from stt_server.corpus.clip import Clip
from training.card import write_card
from training.recipe import Recipe

LINEAGE = {
    "parity": {"fp32_logprob": 1e-5, "int8_probability": 0.002},
    "training_minutes": 3.0,
    "steps": 120,
    "recipe": "mine",
    "code": "abc1234",
    "model": {"architecture": "deepspeech"},
}
MANIFEST: dict[str, Any] = {
    "name": "mine",
    "version": "20261121.0a1b2c3d",
    "language": "nl",
    "licence": "CC0-1.0",
    "parameters": 1_200_000,
    "right_context_ms": 175,
    "step_frames": 16,
    "features": {"hop_ms": 10},
    "error_rates": [],
    "lineage": LINEAGE,
}
CLIPS = [
    Clip(Path("/home/me/a.flac"), "yes", "mixed", duration_s=1800.0, licence="CC BY 4.0"),
    Clip(Path("/home/me/b.flac"), "no", "mixed", duration_s=1800.0, licence="CC BY-SA 3.0"),
    Clip(Path("/home/me/c.flac"), "stop", "an4", duration_s=3600.0),
    Clip(Path("/home/me/d.flac"), "go", "mine", duration_s=3600.0),
]
RECIPE = Recipe.model_validate(
    {
        "name": "mine",
        "data": {"train": [{"corpus": "/home/me/mine.csv"}], "noise": ["/home/me/noise"]},
        "lm": {"sentences": ["/home/me/assistant_commands.tsv", "/home/me/own.txt"]},
    }
)


def card(folder: Path, **lineage: Any) -> str:
    write_card(folder / "card.md", {**MANIFEST, "lineage": LINEAGE | lineage}, CLIPS, RECIPE, [])
    return (folder / "card.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "line",
    [
        "# mine 20261121.0a1b2c3d",
        "| mixed | 2 | 1.00 | CC BY 4.0, CC BY-SA 3.0 |",
        "| an4 | 1 | 1.00 | CMU AN4 licence, BSD-style (Carnegie Mellon University 1991-2005) |",
        "| mine | 1 | 1.00 | see the corpus |",
        "- own.txt: see the file",
    ],
)
def test_every_source_is_told_of_with_each_licence_that_its_clips_name(line: str, tmp_path: Path) -> None:
    assert line in card(tmp_path).splitlines()


def test_language_and_architecture_are_those_of_the_model(tmp_path: Path) -> None:
    told = " ".join(card(tmp_path).split())
    assert "for the language `nl`: 1.20 million parameters, dense layers and one LSTM, 175 ms of right context" in told


def test_texts_and_noises_are_known_by_their_names_wherever_they_lay(tmp_path: Path) -> None:
    told = card(tmp_path)
    assert "- assistant_commands.tsv: SLURP (CC BY 4.0)" in told
    assert "- noise: Speech Commands background noise" in told
    assert "/home/me" not in told


def test_what_learning_went_on_from_is_named_where_it_went_on(tmp_path: Path) -> None:
    assert "It went on from" not in card(tmp_path)
    start = {"name": "en-small", "version": "20261121", "sha256": "0123456789abcdef" * 4}
    assert "It went on from `en-small 20261121`, whose weights have the SHA-256 `0123456789ab…`." in card(
        tmp_path, start=start
    )
