"""A label is suspect where the model finds it unlikely and is sure of another text."""

import csv
import math
from pathlib import Path

from tests.training.report.heard import clip, heard
from training.report.suspects import Weighed, from_evaluation, from_losses, write_suspects_csv

SURE, UNSURE = 0.05, 1.2  # nats a letter


def test_only_unlikely_labels_with_a_sure_other_text_are_suspects() -> None:
    found = from_losses(
        [
            Weighed(clip("right", "stop"), 0.1, "stop it", SURE),
            Weighed(clip("wrong", "stop"), 4.0, "play", SURE),
            Weighed(clip("unsure", "stop"), 4.0, "play", UNSURE),
            Weighed(clip("silent", "stop"), 9.0, "", SURE),
            Weighed(clip("too long", "stop"), math.inf, "go", SURE),
        ]
    )
    assert [each.path for each in found] == ["too long.wav", "wrong.wav"]
    assert [each.loss for each in found] == [None, 4.0]
    assert found[1].confidence > 0.9
    assert found[0].reason == "the label is longer than the clip can hold"


def test_with_a_bundle_alone_another_text_that_is_heard_with_confidence_is_suspect() -> None:
    found = from_evaluation(
        [
            heard(clip("slip", "turn the light on"), "turn the light of"),
            heard(clip("other", "turn the light on"), "good morning"),
            heard(clip("unsure", "turn the light on"), "good morning", confidence=0.4),
            heard(clip("nothing", "turn the light on"), ""),
            heard(clip("noise", ""), "good morning"),
        ]
    )
    assert [each.path for each in found] == ["other.wav"]
    assert found[0].loss is None


def test_suspects_are_written_as_a_queue_takes_them(tmp_path: Path) -> None:
    suspects = from_losses([Weighed(clip("a, b", 'say "hi"'), 4.0, "play", SURE)])
    write_suspects_csv(tmp_path / "suspects.csv", suspects)
    with (tmp_path / "suspects.csv").open(encoding="utf-8", newline="") as lines:
        (row,) = csv.DictReader(lines)
    assert list(row) == ["path", "split", "text", "heard", "loss", "confidence", "reason"]
    assert (row["path"], row["text"], row["heard"], row["loss"]) == ("a, b.wav", 'say "hi"', "play", "4.000")
    assert math.isclose(float(row["confidence"]), math.exp(-SURE), abs_tol=1e-3)
