"""`earloop lm build` on real files."""

import gzip
from pathlib import Path

import kenlm
import pytest

from stt_server import cli


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
