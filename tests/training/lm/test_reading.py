"""ARPA files of other programs are read; a damaged one is refused with the line that is wrong."""

import gzip
import math
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stt_server.errors import BadInput
from training.lm import ArpaModel, Scorer, estimate, read_arpa, write_arpa
from training.lm.numbering import START, UNKNOWN

GOOD = """\\data\\
ngram 1=5
ngram 2=2

\\1-grams:
-1.5\t<unk>\t0
-99\t<s>\t-0.3
-0.5\t</s>
-0.7\tgo\t-0.2
-0.9\thome\t0

\\2-grams:
-0.1\t<s> go
-0.2\tgo home

\\end\\
"""


def read(text: str | bytes, folder: Path) -> ArpaModel:
    path = folder / "lm.arpa"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return read_arpa(path)


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("-0.7\tgo\t-0.2", "-0.7\tgo home\t-0.2", "line 9: no 1-gram: probability, 1 words"),
        ("-0.7\tgo", "half\tgo", "line 9: 'half' is no number"),
        ("-0.7\tgo", "0.7\tgo", "line 9: 0.7 is no logarithm of a probability"),
        ("-0.7\tgo", "nan\tgo", "line 9: nan is no logarithm"),
        ("go\t-0.2", "go\tinf", "line 9: inf is no weight"),
        ("-0.9\thome", "-0.9\tgo", "line 10: the word 'go' stands here a second time"),
        ("<s> go\n", "<s> went\n", "line 13: the word 'went' is no 1-gram"),
        ("-0.2\tgo home", "-0.2\tgo", "line 14: no 2-gram"),
        ("ngram 1=5", "ngram 1=6", "line 12: the 1-grams end here: 5, but the header says 6"),
        ("ngram 1=5", "ngram 1=4", "line 10: more 1-grams than the 4 of the header"),
        ("ngram 2=2", "ngram 3=2", "line 3: the count of 2-grams should stand here"),
        ("ngram 1=5\nngram 2=2\n", "", r"line 3: ngram 1=… should stand here"),
        ("\\2-grams:", "\\3-grams:", r"line 12: \\2-grams: should stand here"),
        ("\\end\\", "\\3-grams:", r"line 16: \\end\\ should stand here"),
        ("\\end\\\n", "", r"line 15: the file ends here, before \\end\\"),
        ("\\data\\", "\\date\\", r"the file ends here"),
        ("go home", "go " + "x" * 100_000, "line 14: longer than"),
    ],
)
def test_a_damaged_file_is_refused_with_its_line(old: str, new: str, complaint: str, tmp_path: Path) -> None:
    assert old in GOOD
    with pytest.raises(BadInput, match=complaint):
        read(GOOD.replace(old, new, 1), tmp_path)


def test_a_file_cut_within_its_compressed_bytes_is_refused_with_the_line_before(tmp_path: Path) -> None:
    packed = gzip.compress(GOOD.encode() * 50)
    with pytest.raises(BadInput, match="behind line"):
        read(packed[: len(packed) // 2], tmp_path)
    with pytest.raises(BadInput, match="not UTF-8"):
        read(GOOD.replace("home", "h\xf6me").encode("latin-1"), tmp_path)


@pytest.mark.parametrize("blanks", [" ", "  "])
def test_fields_may_be_parted_by_blanks(blanks: str, tmp_path: Path) -> None:
    model = read(GOOD.replace("\t", blanks).replace("go home", f"go{blanks}home"), tmp_path)
    assert model.counts == (5, 2)
    assert model.orders[0].log10_backoff.tolist() == [0, -0.3, 0, -0.2, 0]


def test_windows_line_ends_and_a_preamble_are_read(tmp_path: Path) -> None:
    assert read("made by hand\n\n" + GOOD.replace("\n", "\r\n"), tmp_path).counts == (5, 2)


def test_single_words_in_any_order_without_unknown_word(tmp_path: Path) -> None:
    lines = GOOD.splitlines()
    lines[5:10] = lines[9:5:-1]
    model = read("\n".join(lines).replace("1=5", "1=4"), tmp_path)
    assert model.vocabulary == ("<unk>", "<s>", "</s>", "home", "go")
    assert model.orders[0].log10_probability.tolist() == [-100, -99, -0.5, -0.9, -0.7]
    assert model.orders[0].words[:, 0].tolist() == [0, 1, 2, 3, 4]


def test_minus_infinity_is_zero(tmp_path: Path) -> None:
    assert read(GOOD.replace("-99", "-inf"), tmp_path).orders[0].log10_probability[START] == -99


def test_a_highest_order_without_ngrams_is_left_out(tmp_path: Path) -> None:
    text = GOOD.replace("ngram 2=2\n", "ngram 2=2\nngram 3=0\n").replace("\\end\\", "\\3-grams:\n\n\\end\\")
    assert read(text, tmp_path).order == 2


def test_a_word_that_the_file_lacks_is_scored_as_unknown(tmp_path: Path) -> None:
    scores = Scorer(read(GOOD, tmp_path)).score("go away")
    assert [known for _, known in scores] == [True, False, True]
    assert scores[1][0] == pytest.approx(-0.2 - 1.5)


GOOD_BYTES = GOOD.encode()


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(st.integers(0, len(GOOD_BYTES) - 1), st.integers(0, 255)), max_size=4),
    st.integers(0, len(GOOD_BYTES)),
    st.booleans(),
)
def test_damaged_bytes_are_read_or_refused_and_nothing_else(
    tmp_path: Path, changes: list[tuple[int, int]], end: int, packed: bool
) -> None:
    data = bytearray(gzip.compress(GOOD_BYTES) if packed else GOOD_BYTES)
    for place, value in changes:
        data[place % len(data)] = value
    try:
        model = read(bytes(data[: max(1, end)] if end % 3 == 0 else data), tmp_path)
    except BadInput as error:
        assert "line" in str(error)
    else:
        assert all(math.isfinite(value) for ngrams in model.orders for value in ngrams.log10_probability.tolist())
        assert model.vocabulary[UNKNOWN] == "<unk>"


def test_words_of_any_script_come_back(tmp_path: Path) -> None:
    model = estimate(["schönen \u3042\u308a \xa0 tag", "zażółć tag"], 2)
    write_arpa(model, tmp_path / "lm.arpa")
    assert read_arpa(tmp_path / "lm.arpa").vocabulary == model.vocabulary
