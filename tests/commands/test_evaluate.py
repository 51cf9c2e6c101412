import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from stt_server.corpus.clip import Clip
from stt_server.corpus.evaluation import Evaluation, Heard, changes, evaluate
from stt_server.corpus.manifest import write_manifest
from stt_server.errors import BadAudio, BadInput, NotFound
from stt_server.speech.files import write_flac
from stt_server.speech.wer import score
from tests.bundles import VOICES, spoken
from tests.commands import typed
from tests.voices import white_noise

run = partial(typed.run, family="evaluate")

SAID = [("yes",), ("no",), ("stop",), ("light",), ("stop", "light"), ("yes", "no", "yes")]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Twelve clips of two sources, one with a wrong text, and a silent one; the last is of another split."""
    folder = tmp_path_factory.mktemp("corpus")
    clips = []
    for voice in VOICES:
        for words in SAID:
            path = folder / f"{'-'.join(words)}-{voice}.flac"
            write_flac(path, spoken(*words, voice=voice))
            text = "turn it off" if voice == VOICES[1] and words == ("no",) else " ".join(words).capitalize() + "!"
            clips.append(Clip(path, text, source=f"voice {VOICES.index(voice)}", split="test"))
    write_flac(folder / "silence.flac", white_noise(2.0, -60))
    clips.append(Clip(folder / "silence.flac", "", source="nothing", split="test"))
    write_flac(folder / "other.flac", spoken("yes"))
    clips.append(Clip(folder / "other.flac", "yes", source="voice 0", split="dev"))
    write_manifest(folder / "manifest.csv", clips)
    return folder / "manifest.csv", clips


def test_rates_are_those_of_what_was_said_and_heard(tiny, corpus):
    clips = [clip for clip in corpus[1] if clip.split == "test"]
    done: list[int] = []
    result = evaluate(tiny, clips, "greedy", done.append)
    assert done == list(range(1, 14))
    assert list(result.scores) == ["voice 0", "voice 1", "all"]
    assert result.scores["voice 0"].wer.value == 0
    assert result.scores["voice 0"].exact.value == 1
    wrong = result.scores["voice 1"]
    assert wrong.words.total == 3  # "turn it off", of which "no" was heard
    assert wrong.wer.low <= wrong.wer.value <= wrong.wer.high
    assert wrong.exact.value == pytest.approx(5 / 6)
    assert result.scores["all"].utterances == 12
    assert result.false_words == (0, 1)
    worst = result.worst(1)[0]
    assert (worst.said, worst.heard, worst.errors) == ("turn it off", "no", 3)


def test_a_clip_is_heard_in_the_stack_as_it_is_heard_alone(tiny, corpus):
    from stt_server.speech.files import read_audio

    result = evaluate(tiny, corpus[1])
    assert result.decoder == "native"
    for each in result.heard:
        assert each.heard == tiny.transcribe(read_audio(each.clip.path)).text


def test_a_clip_that_cannot_be_read_and_no_clips_at_all_are_errors(tiny, corpus, tmp_path):
    with pytest.raises(BadInput, match="no clips"):
        evaluate(tiny, [])
    with pytest.raises(NotFound):
        evaluate(tiny, [*corpus[1], Clip(tmp_path / "none.wav", "yes")])
    (tmp_path / "bad.wav").write_bytes(b"RIFF\x04\x00\x00\x00WAVE")
    with pytest.raises(BadAudio):
        evaluate(tiny, [Clip(tmp_path / "bad.wav", "yes")])


def test_the_command_prints_the_decoders_side_by_side_and_the_worst(capsys, tiny_bundle, corpus):
    code, out, err = run(capsys, tiny_bundle, corpus[0], "--split", "test")
    assert (code, err) == (0, "")
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in out.splitlines() if "voice" in line]
    assert [row[:3] for row in rows] == [
        [source, "6", decoder] for source in ("voice 0", "voice 1") for decoder in ("greedy", "native", "reference")
    ]
    assert rows[0][3].startswith("0.0 % (0.0 to 0.0)")
    assert "words heard in 0 of 1 clips without speech" in out
    assert out.index("true   turn it off") < out.index("heard  no") < out.index("true   yes")


def test_a_folder_of_recordings_and_texts_is_measured_as_it_would_be_learned_from(capsys, tiny_bundle, tmp_path):
    (tmp_path / "clips").mkdir()
    for name, words in (("a", ("yes",)), ("b", ("stop", "light"))):
        write_flac(tmp_path / "clips" / f"{name}.flac", spoken(*words))
        (tmp_path / "clips" / f"{name}.txt").write_text(" ".join(words), encoding="utf-8")
    write_flac(tmp_path / "clips" / "untold.flac", spoken("no"))
    code, out, err = run(capsys, tiny_bundle, f"{tmp_path}/clips", "--decoder", "greedy")
    assert code == 0
    assert "clips: 1 things in it are no clips, such as: " in err
    (row,) = [line for line in out.splitlines() if "greedy" in line and "│" in line]
    assert [cell.strip() for cell in row.split("│")[1:3]] == ["clips", "2"]


def test_the_figures_go_to_a_json_file(capsys, tiny_bundle, corpus, tmp_path):
    target = tmp_path / "figures.json"
    words = [tiny_bundle, corpus[0], "--split", "test", "--decoder", "greedy", "--json", target]
    assert run(capsys, *words, "--precision", "int8")[0] == 0
    figures = json.loads(target.read_text(encoding="utf-8"))
    assert (figures["model"], figures["version"], figures["precision"]) == ("tiny", "1", "int8")
    (evaluation,) = figures["evaluations"]
    assert evaluation["decoder"] == "greedy"
    assert set(evaluation["scores"]["all"]["wer"]) == {"value", "low", "high"}
    assert np.isfinite(evaluation["scores"]["all"]["wer"]["high"])
    assert len(evaluation["utterances"]) == 13
    assert {"path", "true", "heard"} <= set(evaluation["utterances"][0])


def test_int8_is_measured_beside_fp32_with_the_difference_paired(capsys, tiny_bundle, corpus, tmp_path):
    target = tmp_path / "figures.json"
    words = [tiny_bundle, corpus[0], "--split", "test", "--decoder", "greedy", "--precision", "int8", "--json", target]
    code, out, _ = run(capsys, *words)
    assert code == 0
    table = out[out.index("int8 beside fp32") :]
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in table.splitlines() if "voice" in line]
    assert [row[:2] for row in rows] == [["voice 0", "greedy"], ["voice 1", "greedy"]]
    against = json.loads(target.read_text(encoding="utf-8"))["against"]
    assert against["precision"] == "fp32"
    change = against["wer_change"]["greedy"]["voice 0"]
    assert rows[0][4].startswith(f"{100 * change['value']:+.2f} (")


def heard_as(*texts: str) -> Evaluation:
    said = ["yes", "stop light", "", "no"]
    heard = tuple(Heard(Clip(Path("x"), text, "a"), text, got) for text, got in zip(said, texts, strict=True))
    return Evaluation("greedy", heard, {"a": score([(each.said, each.heard) for each in heard if each.said])})


def test_a_change_counts_words_of_utterances_in_which_something_is_said():
    before, after = heard_as("yes", "stop", "", "no"), heard_as("no", "stop light", "yes", "on")
    change = changes(before, after)["a"]
    assert change.value == pytest.approx((2 - 1) / 4)
    assert change.low <= change.value <= change.high
    same = changes(before, before)["a"]
    assert (same.value, same.low, same.high) == (0, 0, 0)


def test_a_report_is_written_where_it_is_asked_for(capsys, tiny_bundle, corpus, tmp_path):
    code, _, err = run(capsys, tiny_bundle, corpus[0], "--split", "test", "--report", tmp_path)
    assert code == 0
    assert err.splitlines()[-1] == f"the report is {tmp_path / 'report.html'}"
    report = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert report["test"]["lm"]["utterances"] == 12
    assert {source["name"] for source in report["sources"]} == {"voice 0", "voice 1"}
    assert "turn it off" in (tmp_path / "report.html").read_text(encoding="utf-8")
    assert (tmp_path / "suspects.csv").is_file()


def test_only_so_many_clips_are_measured_where_a_limit_is_given(capsys, tiny_bundle, corpus):
    code, out, _ = run(capsys, tiny_bundle, corpus[0], "--limit", "3", "--decoder", "greedy")
    assert code == 0
    assert out.count("true   ") == 3


@pytest.mark.parametrize(
    ("more", "code", "says"),
    [
        (["--split", "train"], 2, "no clips"),
        (["--decoder", "best"], 2, "'best'"),
        (["--lm", "none.arpa"], 3, "none.arpa"),
    ],
)
def test_what_cannot_be_measured_ends_with_a_sentence(capsys, tiny_bundle, corpus, more, code, says):
    ended, _, err = run(capsys, tiny_bundle, corpus[0], *more)
    assert ended == code
    assert says in err


def test_a_manifest_that_is_not_there_is_said_so(capsys, tiny_bundle, tmp_path):
    code, _, err = run(capsys, tiny_bundle, tmp_path / "none.csv")
    assert code == NotFound.exit_code
    assert "none.csv" in err


def test_the_bundles_own_kit_can_be_measured(capsys, shipped_bundle):
    code, out, _ = run(capsys, shipped_bundle, "kit", "--decoder", "greedy")
    assert code == 0
    assert "clips without speech" in out
