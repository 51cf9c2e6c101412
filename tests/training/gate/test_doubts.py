"""Of labels that were learned from, the wrong ones stand first."""

import csv
import random
from dataclasses import replace
from pathlib import Path

import pytest

from stt_server.corpus.clip import Clip
from stt_server.speech.recognizer import Recognizer
from training.evaluate import kit_clips
from training.gate.doubts import Doubt, doubts, write_doubts

SHARE_WRONG, FIRST, FOUND = 0.3, 0.4, 0.8


def mislabelled(clips: list[Clip], seed: int) -> tuple[list[Clip], set[Path]]:
    """Three of ten with the text of another clip, and which those are."""
    dice = random.Random(seed)
    wrong = set(dice.sample(range(len(clips)), round(SHARE_WRONG * len(clips))))
    texts = [clip.text for clip in clips]
    listed = [
        replace(clip, text=dice.choice([text for text in texts if text != clip.text])) if at in wrong else clip
        for at, clip in enumerate(clips)
    ]
    return listed, {clips[at].path for at in wrong}


def found_early(ordered: list[Doubt], wrong: set[Path]) -> float:
    """The share of the wrong ones that stand in the first 40 % of the list."""
    early = {each.clip.path for each in ordered[: round(FIRST * len(ordered))]}
    return len(early & wrong) / len(wrong)


@pytest.fixture(scope="module")
def shipped_ears(shipped_bundle: Path) -> Recognizer:
    return Recognizer.load(shipped_bundle, decoder="greedy")


def test_four_in_five_wrong_labels_stand_in_the_first_two_fifths(
    shipped_bundle: Path, shipped_ears: Recognizer
) -> None:
    spoken = [clip for clip in kit_clips(shipped_bundle) if clip.source == "kit-clean"][:40]
    listed, wrong = mislabelled(spoken, 1)
    ordered = doubts(shipped_ears, shipped_ears, listed, 2000)
    assert len(ordered) == 40
    assert all(0 <= each.suspect <= 1 for each in ordered)
    assert found_early(ordered, wrong) >= FOUND


@pytest.mark.nightly
@pytest.mark.timeout(3600)
def test_the_same_in_noise_and_over_many_draws(shipped_bundle: Path, shipped_ears: Recognizer) -> None:
    spoken = [clip for clip in kit_clips(shipped_bundle) if clip.text]
    for seed in (2, 3, 4):
        listed, wrong = mislabelled(spoken, seed)
        assert found_early(doubts(shipped_ears, shipped_ears, listed, 2000), wrong) >= FOUND


def test_the_list_has_a_number_for_each_clip_by_its_name(
    shipped_bundle: Path, shipped_ears: Recognizer, tmp_path: Path
) -> None:
    spoken = kit_clips(shipped_bundle)[:6]
    write_doubts(tmp_path / "suspects.csv", doubts(shipped_ears, shipped_ears, spoken, 3))
    with (tmp_path / "suspects.csv").open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert {row["clip"] for row in rows} == {spoken[at].path.stem for at in (0, 2, 4)}
    assert [float(row["suspect"]) for row in rows] == sorted((float(row["suspect"]) for row in rows), reverse=True)


def test_a_label_that_the_model_cannot_write_is_not_doubted(shipped_bundle: Path, shipped_ears: Recognizer) -> None:
    (clip,) = kit_clips(shipped_bundle)[:1]
    (doubt,) = doubts(shipped_ears, shipped_ears, [replace(clip, text="naïve 東京")], 1)
    assert 0 <= doubt.suspect <= 1
    assert doubts(shipped_ears, shipped_ears, [clip], 0) == []
