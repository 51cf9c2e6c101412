import gzip
import struct
import sys
from pathlib import Path

import kenlm
import numpy as np
import pytest

from stt_server.errors import BadBundle, EarloopError, NotFound, Unsupported
from stt_server.speech.decoder.model import read_model
from stt_server.speech.decoder.ngram import build_search
from tests.speech.decoder.posteriors import ALPHABET, ARPA, WORDS, native, sentence, write_arpa, written
from training.lm import write_binary
from training.lm.reading import read_arpa

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def arpa(tmp_path_factory):
    return write_arpa(tmp_path_factory.mktemp("lm"))


@pytest.fixture(scope="module")
def binary(arpa):
    path = arpa.with_suffix(".lm")
    write_binary(read_arpa(arpa), path)
    return path


def refused(path):
    with pytest.raises(BadBundle) as caught:
        read_model(path)
    assert caught.value.field == "lm"
    return str(caught.value)


# ------------------------------------------------------------------------------------------------------------- the same


def test_scores_are_kenlms(arpa):
    model, theirs = read_model(arpa), kenlm.Model(str(arpa))
    rng = np.random.default_rng(0)
    for _ in range(300):
        words = list(rng.choice([*WORDS, "unknown"], int(rng.integers(1, 6))))
        said = [logprob for logprob, _, _ in theirs.full_scores(" ".join(words), bos=True, eos=True)]
        ours = [model.score(["<s>", *words[:place]], word) for place, word in enumerate([*words, "</s>"])]
        assert ours == pytest.approx(said, abs=1e-5)


def test_the_binary_form_and_the_gzipped_one_are_the_same_model(arpa, binary):
    packed = arpa.with_suffix(".arpa.gz")
    packed.write_bytes(gzip.compress(arpa.read_bytes()))
    plain = read_model(arpa)
    rng = np.random.default_rng(1)
    for path in (binary, packed):
        model = read_model(path)
        assert model.order == plain.order == 3
        assert all(model.knows(word) for word in WORDS)
        assert not model.knows("unknown")
        for _ in range(100):
            words = ["<s>", *rng.choice([*WORDS, "unknown"], 3)]
            assert model.score(words[:-1], words[-1]) == plain.score(words[:-1], words[-1])
        logprobs = written(sentence(rng, 5), rng, 3.0)
        first, second = native(arpa).begin(), native(path).begin()
        first.step(logprobs)
        second.step(logprobs)
        assert first.scores(10) == second.scores(10)


# -------------------------------------------------------------------------------------------------- what cannot be read


@pytest.mark.parametrize(
    ("line", "instead", "says"),
    [
        (1, "data", r"the file ends before \end\ "),
        (2, "ngram 1=x", 'line 2: expected "ngram 1=..."'),
        (2, "ngram 2=13", "line 2: orders must be counted one by one"),
        (2, "ngram 1=12", r"line 19: more n-grams than \data\ says"),
        (2, "ngram 1=14", "the 1-grams are 1 short"),
        (6, r"\2-grams:", r'line 6: "\2-grams:" was not expected here'),
        (7, "0.5\t<unk>", "line 7: a log-probability above 0"),
        (8, "-99", "line 8: a column is missing"),
        (10, "-x\tstop\t-0.3", 'line 10: "-x" is no number'),
        (10, "nan\tstop\t-0.3", 'line 10: "nan" is no number'),
        (10, "-1.1\tstop\t-0.3\t7", "line 10: more columns"),
        (11, "-1.3\tstop\t-0.2", '"stop" came twice'),
        (22, "-0.4\t<s> shout\t-0.2", 'line 22: "shout" is not among the unigrams'),
        (23, "-0.3\t<s> turn\t-0.3", "a 2-gram came twice"),
        (33, "", r"the file ends before \end\ "),
    ],
)
def test_a_bad_line_of_an_arpa_file_is_named(tmp_path, line, instead, says):
    lines = ARPA.splitlines()
    lines[line - 1] = instead
    (tmp_path / "bad.arpa").write_text("\n".join(lines) + "\n", encoding="utf-8")
    assert says.strip() in refused(tmp_path / "bad.arpa")


def test_bytes_that_are_no_words_and_lines_without_end_are_refused(tmp_path):
    (tmp_path / "bad.arpa").write_bytes(ARPA.encode().replace(b"\tstop\t", b"\tst\xffop\t"))
    assert "line 10: the word is not UTF-8" in refused(tmp_path / "bad.arpa")
    (tmp_path / "long.arpa").write_bytes(b"x" * (3 << 20))
    assert "longer than a mebibyte" in refused(tmp_path / "long.arpa")
    (tmp_path / "empty.arpa").write_bytes(b"")
    assert "ends before" in refused(tmp_path / "empty.arpa")
    packed = gzip.compress(ARPA.encode())
    (tmp_path / "cut.arpa.gz").write_bytes(packed[:-40])
    assert "cut.arpa.gz is not a language model" in refused(tmp_path / "cut.arpa.gz")
    with pytest.raises(NotFound, match="nothing.arpa"):
        read_model(tmp_path / "nothing.arpa")


@pytest.mark.parametrize("form", ["probing", "trie"])
def test_kenlms_own_form_is_asked_through_its_package_and_decodes_like_the_text(arpa, form):
    """The files are what KenLM's `build_binary` made of `ARPA`."""
    theirs, ours = read_model(HERE / f"kenlm_{form}.binary"), read_model(arpa)
    assert theirs.order == 3
    for words in ("<s> turn on the light", "sea stop", "turn on dimmer the", "<s> dimmer"):
        *before, last = words.split()
        assert theirs.score(before, last) == pytest.approx(ours.score(before, last), abs=1e-4)
    assert theirs.knows("light")
    assert not theirs.knows("dimmer")
    rng = np.random.default_rng(11)
    logprobs = written(sentence(rng, 7), rng, 2.5)
    heard = [native(lm).begin() for lm in (HERE / f"kenlm_{form}.binary", arpa)]
    for decoding in heard:
        decoding.step(logprobs)
    (text, score), (same, as_good) = (decoding.scores(1)[0] for decoding in heard)
    assert text == same
    assert score == pytest.approx(as_good, abs=1e-2)


def test_the_reference_reads_kenlms_own_form_as_well(arpa):
    rng = np.random.default_rng(12)
    logprobs = written(sentence(rng, 7), rng, 2.5)
    one, other = (build_search(ALPHABET, lm, 0.7, 1.0) for lm in (HERE / "kenlm_trie.binary", arpa))
    assert one.decode(logprobs) == other.decode(logprobs)


def test_kenlms_own_form_without_its_words_is_refused_with_what_to_give_instead(tmp_path):
    (tmp_path / "lm.bin").write_bytes(b"mmap lm http://kheafield.com/code format version 5\n\0" + bytes(100))
    assert "give the ARPA file" in refused(tmp_path / "lm.bin")


def test_kenlms_own_form_is_refused_with_the_extra_that_reads_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "kenlm", None)
    with pytest.raises(Unsupported, match="install the extra kenlm"):
        read_model(HERE / "kenlm_trie.binary")


@pytest.mark.parametrize(
    ("at", "form", "value", "says"),
    [
        (8, "I", 2, "version: 2"),
        (12, "I", 0, "order: 0"),
        (12, "I", 7, "order: 7"),
        (16, "Q", 5, "file_bytes: 5"),
        (24, "Q", 1 << 60, "text_bytes"),
        (32, "Q", 2, "ngrams of order 1: 2"),
        (32, "Q", 1 << 30, "unigrams: reaches beyond the end"),
        (56 + 8, "Q", 0, "order 2: n-grams, buckets and slots"),
        (56 + 16, "Q", 1 << 40, "order 2: reaches beyond the end"),
        (80 + 8, "Q", 1 << 32, "order 3: n-grams, buckets and slots"),
    ],
)
def test_a_bad_field_of_a_binary_file_is_named(tmp_path, binary, at, form, value, says):
    data = bytearray(binary.read_bytes())
    struct.pack_into(f"<{form}", data, at, value)
    (tmp_path / "bad.lm").write_bytes(data)
    assert says in refused(tmp_path / "bad.lm")


def test_a_table_without_end_is_refused(tmp_path, binary):
    data = bytearray(binary.read_bytes())
    data[-16:-8] = b"\xff" * 8
    (tmp_path / "bad.lm").write_bytes(data)
    assert "order 3: the last slot" in refused(tmp_path / "bad.lm")


def fuzz(path, content: bytes, tmp_path, rounds: int) -> int:
    """Damage a file in many ways: it is read, and decodes, or it is refused. How often it was refused."""
    rng = np.random.default_rng(7)
    logprobs = written(sentence(rng, 2), rng, 3.0)
    failed = 0
    for _ in range(rounds):
        damaged = bytearray(content)
        for place in rng.integers(0, len(damaged), int(rng.integers(1, 4))):
            damaged[place] = int(rng.integers(256))
        if rng.random() < 0.2:
            del damaged[int(rng.integers(len(damaged))) :]
        (tmp_path / path).write_bytes(damaged)
        try:
            decoding = native(tmp_path / path, beam=8).begin()
            decoding.step(logprobs)
            decoding.final()
        except EarloopError as error:
            failed += 1
            assert path in str(error)
    return failed


def test_damaged_files_are_read_or_refused(tmp_path, binary):
    assert fuzz("fuzzed.arpa", ARPA.encode(), tmp_path, 150) > 20
    assert fuzz("fuzzed.lm", binary.read_bytes(), tmp_path, 150) > 20


@pytest.mark.nightly
def test_many_damaged_files_are_read_or_refused(tmp_path, binary):
    assert fuzz("fuzzed.arpa", ARPA.encode(), tmp_path, 20_000) > 2000
    assert fuzz("fuzzed.lm", binary.read_bytes(), tmp_path, 20_000) > 2000
