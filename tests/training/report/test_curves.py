"""Curves come from log.jsonl as it is, with restarts, broken lines and numbers that are none."""

import json
from pathlib import Path
from typing import Any

from tests.training.report.heard import clip, evaluations
from training.report.charts import LINES, curve_chart, learning_chart
from training.report.curves import MOST_POINTS, read_curves
from training.report.figures import Ears, of_the_test
from training.report.groups import Sorting
from training.report.learning import learning_curve, record_next
from training.report.schema import Interval, LearningPoint, Point


def log(folder: Path, *events: dict[str, Any], end: str = "") -> Path:
    path = folder / "log.jsonl"
    path.write_text("".join(json.dumps(event) + "\n" for event in events) + end, encoding="utf-8")
    return path


def step(number: int, loss: float) -> dict[str, Any]:
    return {"event": "step", "step": number, "loss": loss}


def validated(number: int, **wer: float) -> dict[str, Any]:
    return {"event": "validated", "step": number, "wer": wer}


def test_losses_and_rates_are_read_in_order(tmp_path: Path) -> None:
    path = log(
        tmp_path, {"event": "said"}, step(50, 2.0), validated(60, a=1.2, b=0.5), step(100, 1.0), end='{"event": "st'
    )
    curves = read_curves(path)
    assert [(point.step, point.value) for point in curves.loss] == [(50, 2.0), (100, 1.0)]
    assert {name: points[0].value for name, points in curves.wer.items()} == {"a": 1.2, "b": 0.5}


def test_a_run_begun_anew_in_the_same_folder_replaces_what_the_old_one_said(tmp_path: Path) -> None:
    curves = read_curves(log(tmp_path, step(50, 9.0), step(100, 8.0), validated(100, a=0.9), step(50, 2.0)))
    assert [(point.step, point.value) for point in curves.loss] == [(50, 2.0)]


def test_what_is_no_number_is_left_out_and_no_log_is_no_curve(tmp_path: Path) -> None:
    assert read_curves(log(tmp_path, step(50, float("nan")))).loss == []
    assert read_curves(None).loss == read_curves(tmp_path / "none.jsonl").loss == []


def test_a_long_run_is_thinned_out_and_keeps_its_end(tmp_path: Path) -> None:
    curves = read_curves(log(tmp_path, *(step(number, 1.0) for number in range(50, 50 * 2003, 50))))
    assert len(curves.loss) <= MOST_POINTS + 1
    assert (curves.loss[0].step, curves.loss[-1].step) == (50, 50 * 2002)


def test_a_chart_takes_the_pages_colours_and_tells_names_as_they_are() -> None:
    points = [Point(step=1, value=0.5), Point(step=2, value=0.25)]
    svg = curve_chart("WER", "WER, %", {"<script>x</script>": points, "_hidden $a$": points}, per_cent=True)
    assert svg.startswith("<svg role=")
    assert "var(--line-1)" in svg
    assert "var(--line-2)" in svg
    assert "currentColor" in svg
    assert not any(colour in svg for colour in LINES)
    assert "<script" not in svg
    assert "&lt;script&gt;" in svg
    assert "_hidden $a$" in svg
    assert "stroke-dasharray" in svg  # lines differ without their colours, too


def test_charts_of_one_page_share_no_id_and_none_is_drawn_of_nothing() -> None:
    points = [Point(step=1, value=0.5), Point(step=2, value=0.25)]
    first, second = (set(_ids(curve_chart(title, "x", {"a": points}))) for title in ("one", "two"))
    assert first
    assert not first & second
    assert curve_chart("one", "x", {"a": []}) == learning_chart([]) == ""


def _ids(svg: str) -> list[str]:
    return [part.split('"')[0] for part in svg.split(' id="')[1:]]


def interval(value: float, spread: float = 0.01) -> Interval:
    return Interval(value=value, low=value - spread, high=value + spread)


def test_the_learning_curve_carries_the_last_doubling_on() -> None:
    points = [
        LearningPoint(share=share, clips=int(40 * share), wer=interval(wer)) for share, wer in ((1, 0.2), (0.5, 0.4))
    ]
    learning, svg = learning_curve(points)
    assert [point.share for point in learning.points] == [0.5, 1]
    assert "WER fell from 40.0 to 20.0 %; as much growth again may bring about 10.0 %." in learning.sentence
    assert svg.startswith("<svg")


def test_within_its_intervals_a_curve_forecasts_nothing() -> None:
    points = [LearningPoint(share=share, clips=10, wer=interval(0.3, 0.2)) for share in (0.5, 1)]
    assert "would bring little" in learning_curve(points)[0].sentence
    assert "One point is no curve" in learning_curve(points[:1])[0].sentence


def test_words_that_are_often_wrong_and_seldom_learned_are_to_be_recorded_next() -> None:
    wrong = [(clip(f"w{n}", "turn kitchen on", speaker="anna"), "turn chicken of", "turn chicken of") for n in range(3)]
    right = [(clip(f"r{n}", "turn off", speaker="bo"), "turn off", "turn off") for n in range(3)]
    learned = [clip(f"l{n}", "on") for n in range(8)] + [clip("x", "kitchen", speaker="bo")]
    advice = record_next(of_the_test(Ears(evaluations(*wrong, *right)).best), learned, Sorting(learned, {}, {}))
    words = [(each.name, each.errors, each.chances, each.learned_from) for each in advice if each.kind == "word"]
    assert words == [("“kitchen”", 3, 3, 1), ("“on”", 3, 3, 8)]
    speakers = [each.name for each in advice if each.kind == "speaker"]
    assert speakers == ["mine anna"]
    assert advice[0].sentence == "“kitchen”: 3 errors in 3 words of the test, 1 clips to learn from"


def test_sentences_that_are_wrong_again_and_again_are_to_be_recorded_next() -> None:
    wrong = [(clip(f"w{n}", "open the gate"), "open a gate", "open a gate") for n in range(3)]
    right = [(clip(f"r{n}", "close the gate"), "close the gate", "close the gate") for n in range(3)]
    learned = [clip("x", "Open the gate!"), clip("y", "gate")]
    advice = record_next(of_the_test(Ears(evaluations(*wrong, *right)).best), learned, Sorting(learned, {}, {}))
    sentences = [each.sentence for each in advice if each.kind == "sentence"]
    assert sentences == ["“open the gate”: 3 errors in 3 utterances of the test, 1 clips to learn from"]


def test_letters_that_are_wrong_in_several_words_stand_for_a_sound() -> None:
    heard = [("thought", "sort"), ("bought", "bort"), ("garden", "garden")]
    wrong = [(clip(said, said), text, text) for said, text in heard]
    learned = [clip("x", "garden"), clip("y", "ought")]
    advice = record_next(of_the_test(Ears(evaluations(*wrong)).best), learned, Sorting(learned, {}, {}))
    letters = {each.name: each for each in advice if each.kind == "letters"}
    assert set(letters) == {"“oug”", "“ugh”", "“ght”"}
    assert letters["“ght”"].sentence == ("“ght”: 2 errors in 2 words, as in bought, of the test, 1 clips to learn from")
