"""A report of a real bundle on real clips: one folder, one schema, one page that loads and runs nothing."""

import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from stt_server.corpus.clip import Clip
from stt_server.corpus.findings import Finding, Kind
from stt_server.corpus.noise import NoiseClip
from stt_server.errors import Unsupported
from stt_server.speech.files import write_flac
from tests.bundles import spoken
from tests.voices import pink_noise
from training.evaluate import hear
from training.report import LearningPoint, Material, Report, check_packages, summary, write_report
from training.report.players import Player
from training.report.schema import Interval, Part, Suspect

EVIL = '<script>alert(1)</script><img src="https://example.org/x" onerror=alert(2)>'
NOTHING_SAID = 3.0


@pytest.fixture(scope="module")
def material(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Material:
    folder = tmp_path_factory.mktemp("material")
    said = (("yes",), ("no",), ("stop", "light"), ("light", "yes"), ("no", "no", "yes"))
    texts = ("yes", "No!", "stop light", EVIL, "turn it off and on again")
    test = []
    for number, (words, text) in enumerate(zip(said, texts, strict=True)):
        samples = spoken(*words)
        write_flac(folder / f"{number}.flac", samples)
        seconds = len(samples) / 16000
        test.append(Clip(folder / f"{number}.flac", text, EVIL, f"{EVIL}{number % 2}", seconds, "test"))
    write_flac(folder / "quiet.flac", np.zeros(48000, np.float32))
    test.append(Clip(folder / "quiet.flac", "", "nothing", None, NOTHING_SAID, "test"))
    write_flac(folder / "noise.flac", pink_noise(6.0, -30))
    noise = [NoiseClip(folder / "noise.flac", "noise", 6.0, ""), NoiseClip(folder / "none.flac", "rir", 1.0, "")]
    train = [Clip(folder / "0.flac", "yes", EVIL, f"{EVIL}0", 1.0, "train")]
    (folder / "log.jsonl").write_text(
        f'{{"event": "step", "step": 50, "loss": 2.0}}\n{{"event": "step", "step": 100, "loss": 1.0}}\n'
        f"{json.dumps({'event': 'validated', 'step': 100, 'wer': {EVIL: 1.5}})}\n"
    )
    return Material(
        name="tried",
        bundle=tiny_bundle,
        evaluations=hear(tiny_bundle, test, lambda sentence: None),
        state="interrupted",
        train=train,
        test=test,
        findings=[Finding(Kind.CLIPPING, test[0], f"{EVIL} is too loud; record it again")],
        noise=noise,
        log=folder / "log.jsonl",
        suspects=[
            Suspect(
                path=str(train[0].path), split="train", text=EVIL, heard="yes", loss=4.0, confidence=0.9, reason="-"
            )
        ],
        learning=[
            LearningPoint(share=share, clips=int(8 * share), wer=Interval(value=wer, low=wer - 0.01, high=wer + 0.01))
            for share, wer in ((0.25, 0.5), (0.5, 0.3), (1.0, 0.2))
        ],
    )


@pytest.fixture(scope="module")
def folder(material: Material, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    write_report(material, folder)
    return folder


@pytest.fixture(scope="module")
def report(folder: Path) -> Report:
    """Read back: the file is the schema's."""
    return Report.model_validate_json((folder / "report.json").read_text(encoding="utf-8"))


class Tags(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words += data


@pytest.fixture(scope="module")
def page(folder: Path) -> Tags:
    return Tags((folder / "report.html").read_text(encoding="utf-8"))


def test_the_figures_are_fractions_with_intervals(folder: Path, report: Report) -> None:
    plain = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    for decoder in ("greedy", "lm"):
        for rate in ("wer", "cer", "exact", "sentence_error"):
            found = plain["test"][decoder][rate]
            assert set(found) == {"value", "low", "high"}
            assert found["low"] <= found["value"] <= found["high"]
    assert report.test.measured_on == "test"
    assert report.test.greedy
    assert report.test.greedy.utterances == 5
    assert report.test.greedy.sentence_error.value == pytest.approx(2 / 5)
    assert report.state == "interrupted"


def test_words_by_the_hour_are_told_with_the_hours_of_silence_and_noise(report: Report) -> None:
    rows = {(row.decoder, row.material): row for row in report.false_accepts}
    assert {decoder for decoder, _ in rows} == {"greedy", "lm"}
    assert len(rows) == 4
    for (_, material), row in rows.items():
        seconds = 6.0 if "noise" in material else NOTHING_SAID
        assert row.clips == 1
        assert row.hours == pytest.approx(seconds / 3600, abs=1e-5)
        assert row.words_per_hour == pytest.approx(row.words / row.hours, rel=0.02)


def test_data_model_and_machine_are_told(report: Report, material: Material) -> None:
    assert re.fullmatch("[0-9a-f]{64}", report.data.hash)
    assert report.data.holds_for.startswith("The result holds for speakers")
    assert (report.data.train.clips, report.data.test.clips) == (1, 6)
    assert [(each.severity, each.kind, each.clips) for each in report.data.findings] == [("warning", "clipping", 1)]
    assert {each.precision for each in report.model.steps} == {"fp32", "int8"}
    assert all(0 < each.median_ms <= each.p95_ms for each in report.model.steps)
    assert report.model.bundle_bytes > sum(report.model.files.values()) > 0
    assert report.machine.cores >= 1
    assert report.machine.packages["numpy"]
    assert report.learning
    assert report.learning.points[-1].share == 1.0


def test_the_hash_knows_the_data_and_not_where_they_lie(material: Material, report: Report, tmp_path: Path) -> None:
    from dataclasses import replace

    from training.report.lineage import data_hash

    moved = [replace(clip, path=tmp_path / clip.path.name) for clip in reversed(material.test)]
    assert data_hash(material.train, (), moved) == report.data.hash
    assert data_hash(material.train, (), moved[1:]) != report.data.hash
    assert data_hash(material.train, (), [replace(moved[0], text="other"), *moved[1:]]) != report.data.hash


def test_suspects_of_test_and_training_are_in_the_list_and_in_the_csv(folder: Path, report: Report) -> None:
    assert {each.split for each in report.suspects} == {"train", "test"}
    assert len((folder / "suspects.csv").read_text(encoding="utf-8").splitlines()) == len(report.suspects) + 1


def test_nobodys_text_becomes_markup(page: Tags) -> None:
    tags = {tag for tag, _ in page.tags}
    assert not tags & {"script", "img", "iframe", "object", "form", "base"}
    assert not any(name.startswith("on") for _, attributes in page.tags for name in attributes)
    assert page.words.count(EVIL) >= 5  # source, finding, suspect, group, chart


def test_the_page_loads_nothing_from_elsewhere(page: Tags) -> None:
    for tag, attributes in page.tags:
        for name in ("src", "href", "xlink:href"):
            target = attributes.get(name)
            assert target is None or target.startswith(("#", "data:")), (tag, target)
    policy = next(attributes["content"] for tag, attributes in page.tags if "http-equiv" in attributes)
    assert policy
    assert policy.startswith("default-src 'none'")
    assert "script" not in policy


def test_every_player_has_a_name_and_audio_that_plays(page: Tags) -> None:
    players = [attributes for tag, attributes in page.tags if tag == "audio"]
    assert len(players) >= 5
    for player in players:
        assert "controls" in player
        assert player["aria-label"]
        assert str(player["src"]).startswith("data:audio/flac;base64,")


def test_changed_words_are_marked_by_more_than_colour(page: Tags) -> None:
    assert {"ins", "del", "s"} <= {tag for tag, _ in page.tags}


def test_the_pages_audio_has_a_bound(material: Material, tmp_path: Path) -> None:
    player = Player(70_000)
    uris = [player(clip.path) for clip in material.test]
    assert 0 < sum(map(len, uris)) <= 70_000
    assert "" in uris
    assert player(tmp_path / "gone.flac") == ""


def test_a_bundle_alone_is_reported_without_a_run(tiny_bundle: Path, material: Material, tmp_path: Path) -> None:
    (tmp_path / "moved").mkdir()
    clip = Clip(tmp_path / "moved" / "0.flac", "yes", "mine")
    shutil.copyfile(material.test[0].path, clip.path)
    report = write_report(
        Material("bare", tiny_bundle, hear(tiny_bundle, [clip], lambda s: None), test=[clip]), tmp_path
    )
    assert (report.state, report.record_next, report.learning) == ("measured", [], None)
    assert report.data.holds_for == "What the model learned from is not at hand."
    assert not any(group.by in ("speakers", "sentences") for group in report.groups)


def test_nothing_measured_is_said_so(tiny_bundle: Path, tmp_path: Path) -> None:
    report = write_report(Material("nothing", tiny_bundle, []), tmp_path)
    assert report.test.measured_on == "nothing"
    assert "Nothing was measured" in Tags((tmp_path / "report.html").read_text(encoding="utf-8")).words
    assert summary(report, tmp_path) == [f"the report is {tmp_path / 'report.html'}"]


def test_the_terminal_hears_the_result_in_a_few_lines(folder: Path, report: Report) -> None:
    lines = summary(report, folder)
    assert 4 <= len(lines) <= 7
    assert lines[0].startswith("greedy: WER ")
    assert lines[1].startswith("with language model: WER ")
    assert lines[-1] == f"the report is {folder / 'report.html'}"


def test_what_a_report_lacks_is_named_before_it_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    check_packages()
    monkeypatch.setattr("training.report.writing.find_spec", lambda name: None)
    with pytest.raises(Unsupported, match=r"a report needs jinja2 and matplotlib: pip install 'earloop\[train\]'"):
        check_packages()


def test_every_key_of_the_report_says_what_it_is() -> None:
    for part in Part.__subclasses__():
        assert all(field.description for field in part.model_fields.values()), part
