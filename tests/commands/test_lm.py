"""`earloop lm …` on real files."""

import gzip
import json
from pathlib import Path

import kenlm
import pytest

from stt_server import cli
from stt_server.corpus.clip import Clip
from stt_server.corpus.manifest import write_manifest
from stt_server.speech.bundle import Confidence, load_bundle
from stt_server.speech.files import read_audio, write_wav
from stt_server.speech.recognizer import Recognizer
from tests.bundles import WORDS, spoken

KENLM = Path(__file__).parents[1] / "speech/decoder/kenlm_trie.binary"


def build(*words: str | Path) -> int:
    with pytest.raises(SystemExit) as ended:
        cli.main(["lm", "build", *map(str, words)])
    return int(ended.value.code or 0)


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "text.txt"
    path.write_text("Turn ON the light!\nturn off the light\n\nwake me at 7:30\n", encoding="utf-8")
    return path


def unigrams(path: Path) -> set[str]:
    section = path.read_text().split("\\1-grams:\n")[1].split("\n\n")[0]
    return {line.split("\t")[1] for line in section.splitlines()} - {"<unk>", "<s>", "</s>"}


def test_sentences_are_normalised_and_the_file_loads_in_kenlm(text: Path, tmp_path: Path) -> None:
    assert build(text, "--order", "3", "--output", tmp_path / "lm.arpa") == 0
    assert unigrams(tmp_path / "lm.arpa") == set("turn on off the light wake me at seven thirty".split())
    model = kenlm.Model(str(tmp_path / "lm.arpa"))
    assert model.order == 3
    assert model.score("turn on the light") > model.score("light the on turn")


def test_texts_may_be_left_as_they_are(text: Path, tmp_path: Path) -> None:
    assert build(text, "--no-normalize", "--output", tmp_path / "lm.arpa") == 0
    assert {"Turn", "light!", "7:30"} <= unigrams(tmp_path / "lm.arpa")


def test_the_sentence_is_the_last_field_or_the_column_named(tmp_path: Path) -> None:
    (tmp_path / "t.tsv").write_text("slurp\tgo home\nsnips\tgo away\n")
    assert build(tmp_path / "t.tsv", "--output", tmp_path / "last.arpa") == 0
    assert unigrams(tmp_path / "last.arpa") == {"go", "home", "away"}
    assert build(tmp_path / "t.tsv", "--column", "1", "--output", tmp_path / "first.arpa") == 0
    assert unigrams(tmp_path / "first.arpa") == {"slurp", "snips"}


def test_a_column_that_is_not_there_is_refused_with_its_line(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    (tmp_path / "t.tsv").write_text("a\tgo home\ngo away\n")
    assert build(tmp_path / "t.tsv", "--column", "2", "--output", tmp_path / "lm.arpa") == 2
    assert "line 2: 1 tab-separated fields; there is no column 2" in capsys.readouterr().err
    assert not (tmp_path / "lm.arpa").exists()


@pytest.mark.parametrize(
    "cutoff", [["--cutoff", "0 0 1"], ["--cutoff", "0,0,1"], ["--cutoff", "0"] * 2 + ["--cutoff", "1"]]
)
def test_cutoffs_are_written_in_any_of_three_ways(cutoff: list[str], text: Path, tmp_path: Path) -> None:
    text.write_text("turn on the light\nturn on the radio\n")
    assert build(text, *cutoff, "--output", tmp_path / "lm.arpa") == 0
    assert "ngram 3=2\n" in (tmp_path / "lm.arpa").read_text()  # <s> turn on, turn on the


def test_the_vocabulary_can_be_limited(text: Path, tmp_path: Path) -> None:
    assert build(text, "--vocabulary", "3", "--output", tmp_path / "lm.arpa") == 0
    assert unigrams(tmp_path / "lm.arpa") == {"turn", "the", "light"}


def test_compressed_texts_and_several_texts_are_read(text: Path, tmp_path: Path) -> None:
    (tmp_path / "more.txt.gz").write_bytes(gzip.compress(b"good night\n"))
    assert build(text, tmp_path / "more.txt.gz", "--output", tmp_path / "lm.arpa") == 0
    assert {"turn", "night"} <= unigrams(tmp_path / "lm.arpa")


def test_lines_that_cannot_be_spelled_are_left_out_and_told(
    text: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    text.write_text("turn on\n" + "打开\n" * 5, encoding="utf-8")
    assert build(text, "--output", tmp_path / "lm.arpa") == 0
    told = capsys.readouterr().err
    assert "line 2: left out, '打开' cannot be spelled a-z" in told
    assert "left out 5 lines in all" in told
    assert unigrams(tmp_path / "lm.arpa") == {"turn", "on"}


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["gone.txt"], "gone.txt: there is no such text file"),
        (["text.txt", "--order", "9"], "the order is 9; choose 1 to 5"),
        (["text.txt", "--cutoff", "1,0"], "must not fall"),
        (["text.txt", "--cutoff", "few"], "--cutoff few: write whole numbers"),
        (["bytes.txt"], "bytes.txt: not UTF-8 text"),
        (["bytes.gz"], "bytes.gz: damaged or no gzip file"),
        (["empty.txt"], "there is no sentence to learn from"),
        (["text.txt", "--output", "no/such/folder.arpa"], "folder.arpa: cannot be written"),
        (["."], "cannot be read"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_sentence(
    options: list[str],
    complaint: str,
    text: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("bytes.txt", "bytes.gz"):
        (tmp_path / name).write_bytes(b"\xff\xfe\x00go")
    (tmp_path / "empty.txt").touch()
    assert build("--output", "lm.arpa", *options) != 0
    assert complaint in capsys.readouterr().err
    assert not (tmp_path / "lm.arpa").exists()


def lm(*words: str | Path) -> int:
    with pytest.raises(SystemExit) as ended:
        cli.main(["lm", *map(str, words)])
    return int(ended.value.code or 0)


@pytest.fixture
def base(tmp_path: Path) -> Path:
    (tmp_path / "base.txt").write_text("turn on the light\nturn off the lamp\nwhat time is it\n" * 3)
    assert build(tmp_path / "base.txt", "--output", tmp_path / "base.arpa.gz") == 0
    return tmp_path / "base.arpa.gz"


def test_a_text_too_small_for_discounts_is_told(text: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert build(text, "--output", tmp_path / "lm.arpa") == 0
    assert "too few 1-grams for discounts of their own; they get 0.5, 1 and 1.5" in capsys.readouterr().err


def test_our_binary_form_is_built_shown_and_measured(text: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert build(text, "--output", tmp_path / "lm.lm") == 0
    assert lm("show", tmp_path / "lm.lm", "--word", "the", "--most", "1") == 0
    shown = capsys.readouterr().out
    assert "order       3" in shown
    assert "1-grams     13" in shown
    assert "the light" in shown
    assert lm("eval", tmp_path / "lm.lm", text, "--json") == 0
    measured = json.loads(capsys.readouterr().out)
    assert (measured["unknown"], measured["sentences"]) == (0, 3)
    assert 1 < measured["value"] < 13


def test_a_model_is_turned_into_the_form_that_loads_at_once_and_not_back(
    base: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    assert lm("convert", base, "--output", tmp_path / "base.lm") == 0
    assert lm("words", tmp_path / "base.lm", "lamp") == 0
    assert lm("convert", tmp_path / "base.lm", "--output", tmp_path / "again.arpa") == 2
    assert "does not list its n-grams" in capsys.readouterr().err


def test_a_text_is_measured_with_the_words_that_are_missing(
    base: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    (tmp_path / "t.txt").write_text("Turn on the DIMMER\ndimmer\n")
    assert lm("eval", base, tmp_path / "t.txt") == 0
    told = capsys.readouterr().out
    assert "unknown words       2 of 5 (40.00 %)" in told
    assert "2  dimmer" in told
    (tmp_path / "t.txt").write_text("\n")
    assert lm("eval", base, tmp_path / "t.txt") == 2
    assert "no sentence to measure" in capsys.readouterr().err


def test_two_models_are_mixed_by_a_share_or_by_what_a_text_asks_for(
    base: Path, text: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    assert build(text, "--output", tmp_path / "new.arpa") == 0
    assert lm("mix", base, tmp_path / "new.arpa", "--share", "0.3", "--output", tmp_path / "a.arpa") == 0
    assert unigrams(tmp_path / "a.arpa") >= {"seven", "lamp"}
    assert lm("mix", base, tmp_path / "new.arpa", "--tuned-on", text, "--output", tmp_path / "b.arpa") == 0
    captured = capsys.readouterr()
    assert "share 0.9" in captured.err
    assert len(captured.out.splitlines()) == 3
    for options, complaint in (
        ([], "either --share or --tuned-on"),
        (["--share", "0.3", "--tuned-on", text], "either --share or --tuned-on"),
        (["--share", "1"], "a share of 1 leaves nothing"),
    ):
        assert lm("mix", base, tmp_path / "new.arpa", *options, "--output", tmp_path / "c.arpa") == 2
        assert complaint in capsys.readouterr().err
    assert not (tmp_path / "c.arpa").exists()


def test_words_are_known_or_the_command_ends_with_one(base: Path, capsys: pytest.CaptureFixture) -> None:
    assert lm("words", base, "Lamp") == 0
    assert lm("words", base, "lamp", "dimmer") == 1
    assert "dimmer: not known" in capsys.readouterr().out


def test_words_are_added_to_a_file_alone_or_like_another(
    base: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    assert lm("words", base, "dimmer", "lamp", "--add", "--like", "lamp", "--output", tmp_path / "new.arpa") == 0
    assert lm("words", tmp_path / "new.arpa", "radio", "--add", "--in-place") == 0
    assert lm("words", tmp_path / "new.arpa", "dimmer", "radio", "lamp") == 0
    assert "the dimmer" in (tmp_path / "new.arpa").read_text().replace("\t", " ")
    assert lm("words", base, "dimmer") == 1
    before = (tmp_path / "new.arpa").read_bytes()
    assert lm("words", tmp_path / "new.arpa", "radio", "--add", "--in-place") == 0
    assert "all of them are known" in capsys.readouterr().err
    assert (tmp_path / "new.arpa").read_bytes() == before


def test_sentences_are_added_by_a_share(base: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    (tmp_path / "more.txt").write_text("Dim the lamp\n打开\n", encoding="utf-8")
    assert lm("words", base, "--text", tmp_path / "more.txt", "--share", "0.2", "--output", tmp_path / "new.arpa") == 0
    assert "line 2: left out, '打开' cannot be spelled a-z" in capsys.readouterr().err
    assert lm("words", tmp_path / "new.arpa", "dim") == 0


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ([], "give words, or sentences with --text"),
        (["two words"], "is several words"),
        (["打开"], "cannot be spelled a-z"),
        (["!"], "is no word"),
        (["dimmer", "--output", "o.arpa"], "--output and --in-place are of no use without --add or --text"),
        (["lamp", "--like", "light"], "words are only looked up: --like"),
        (["dimmer", "--add"], "give --output FOLDER for a new bundle, or --in-place"),
        (["dimmer", "--add", "--like", "torch", "--output", "o.arpa"], "nothing can be like it"),
        (["dimmer", "--add", "--times", "0", "--output", "o.arpa"], "0 times as likely"),
        (["dimmer", "--add", "--share", "2", "--output", "o.arpa"], "a share of 2 leaves nothing"),
    ],
)
def test_words_that_cannot_be_added_are_refused(
    options: list[str],
    complaint: str,
    base: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert lm("words", base, *options) == 2
    assert complaint in capsys.readouterr().err
    assert not (tmp_path / "o.arpa").exists()


def test_a_bundle_is_shown_given_words_and_another_model(
    tiny_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    mine = tmp_path / "mine"
    assert lm("show", tiny_bundle) == 0
    assert "bundle      tiny 1" in capsys.readouterr().out
    assert lm("words", tiny_bundle, "dimmer", "--add", "--like", "light", "--output", mine) == 0
    assert lm("words", mine, "dimmer") == 0
    (tmp_path / "t.txt").write_text("stop light\nyes no stop\n")
    assert build(tmp_path / "t.txt", "--output", tmp_path / "new.arpa") == 0
    assert lm("attach", mine, "--lm", tmp_path / "new.arpa", "--alpha", "0.9", "--beta", "0.1", "--in-place") == 0
    assert "alpha 0.9, beta 0.1" in capsys.readouterr().out
    assert lm("words", mine, "dimmer") == 1
    assert lm("attach", mine, "--lm", tmp_path / "new.arpa") == 2
    assert lm("attach", "nowhere", "--lm", tmp_path / "new.arpa", "--in-place") == 3


def test_weights_are_tuned_on_a_manifest_and_what_was_heard_is_kept(
    tiny_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    said = ("stop light", "yes", "no stop")
    clips = [Clip(tmp_path / f"{number}.wav", text, licence="CC0-1.0") for number, text in enumerate(said)]
    for clip in clips:
        write_wav(clip.path, spoken(*clip.text.split()))
    write_manifest(tmp_path / "clips.csv", clips)
    kept = tmp_path / "kept.npz"
    for _ in range(2):
        asked: list[str | Path] = [
            "tune",
            tiny_bundle,
            tmp_path / "clips.csv",
            "--trials",
            "3",
            "--logprobs",
            kept,
            "--json",
        ]
        assert lm(*asked) == 0
        tuned = json.loads(capsys.readouterr().out)
        assert (tuned["trials"], tuned["clips"]) == (4, 3)
        assert tuned["best"]["wer"] <= tuned["before"]["wer"]
    assert kept.exists()
    assert lm("tune", tiny_bundle, tmp_path / "clips.csv", "--limit", "1", "--logprobs", kept) == 5
    assert lm("tune", tiny_bundle, tmp_path / "clips.csv", "--decoder", "greedy") == 2
    assert "takes no language model" in capsys.readouterr().err
    assert lm("tune", tiny_bundle, tmp_path / "clips.csv", "--logprobs", kept, "--lm", KENLM, "--trials", "1") == 0


def test_kenlms_own_form_is_looked_into_by_nobody(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    for command in (("show", KENLM), ("convert", KENLM, "--output", tmp_path / "made.arpa")):
        assert lm(*command) == 2
        assert "is KenLM's binary form" in capsys.readouterr().err
    assert not (tmp_path / "made.arpa").exists()


@pytest.mark.parametrize("asked", [("tune", "--logprobs"), ("calibrate", "--test-logprobs"), ("calibrate", "--plot")])
def test_what_could_not_be_kept_is_refused_before_anything_is_heard(
    asked: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    command, option = asked
    assert lm(command, "no-bundle", "no-clips.csv", option, tmp_path / "gone" / "kept") == 3
    assert f"There is no folder {tmp_path / 'gone'} for kept" in capsys.readouterr().err


def test_confidence_is_calibrated_on_one_split_and_measured_on_another(
    tiny_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    clips = []
    for number, split in enumerate(["dev"] * 7 + ["test"] * 2):
        said = [WORDS[(number + i * i) % len(WORDS)] for i in range(16)]
        told = [word if i % 4 else WORDS[(number + 1) % len(WORDS)] for i, word in enumerate(said)]  # some are wrong
        clips.append(Clip(tmp_path / f"{number}.wav", " ".join(told), licence="CC0-1.0", split=split))
        write_wav(clips[-1].path, spoken(*said))
    write_manifest(tmp_path / "clips.csv", clips)
    plot, new = tmp_path / "reliability.svg", tmp_path / "new"
    asked: list[str | Path] = ["calibrate", tiny_bundle, tmp_path / "clips.csv", "--logprobs", tmp_path / "dev.npz"]
    assert lm(*asked, "--plot", plot, "--output", new, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    fitted, tested = told["confidence"], told["splits"][1]
    assert told["splits"][0]["words"] >= 100
    assert (tested["split"], tested["words"] > 20) == ("test", True)
    assert told["splits"][0]["after"]["ece"] < told["splits"][0]["before"]["ece"]
    assert load_bundle(new).manifest.decoder.confidence.model_dump() == fitted
    assert load_bundle(tiny_bundle).manifest.decoder.confidence == Confidence()
    assert plot.read_text().startswith("<svg ")
    words = Recognizer.load(new).transcribe(read_audio(clips[0].path)).words
    assert all(0 < word.confidence < 1 for word in words)
    assert lm(*asked, "--output", new) == 5
    assert lm(*asked, "--limit", "1") == 5, "the file keeps what was heard of other clips"
    assert lm(*asked[:3], "--limit", "1", "--in-place") == 2
    assert "100 are needed" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ("\\2-grams:", "\\9-grams:", "line 21"),
        ("ngram 1=", "ngram 1=x", "line 2"),
        ("\\end\\", "\\2-grams:", "line "),
        ("\tlamp", "\t", "line "),
        ("-", "x", "line "),
    ],
)
def test_every_command_names_the_line_of_a_damaged_model(
    old: str, new: str, line: str, base: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    """With a sentence and not a traceback, and without leaving a file behind."""
    damaged = tmp_path / "damaged.arpa"
    damaged.write_text(gzip.decompress(base.read_bytes()).decode().replace(old, new, 1))
    (tmp_path / "t.txt").write_text("turn on the lamp\n")
    made = tmp_path / "made.arpa"
    for command in (
        ("show", damaged),
        ("eval", damaged, tmp_path / "t.txt"),
        ("words", damaged, "lamp"),
        ("mix", base, damaged, "--share", "0.5", "--output", made),
        ("convert", damaged, "--output", tmp_path / "made.lm"),
        ("words", damaged, "dimmer", "--add", "--output", made),
    ):
        assert lm(*command) == 2, command
        told = capsys.readouterr().err
        assert line in told
        assert "Traceback" not in told
    assert not [path for path in tmp_path.iterdir() if "made" in path.name]
