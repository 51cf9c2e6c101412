"""Our binary language model: what is written is found again, by us and by the decoder, and damage is refused."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stt_server.errors import BadBundle, BadInput, BadOption, NotFound, Unsupported
from stt_server.speech.decoder.model import NgramModel
from stt_server.speech.decoder.model import read_model as read_natively
from tests.training.lm.texts import sentences
from training.lm import (
    ArpaModel,
    Ngrams,
    Scorer,
    estimate,
    neighbours,
    perplexity,
    read_binary,
    read_model,
    read_ngrams,
    write_binary,
    write_model,
)
from training.lm.binary import home, keys_of


@pytest.fixture(scope="module")
def model() -> ArpaModel:
    return estimate([*sentences(300, 1), "schön ö z"], 4, (0, 0, 1))


@pytest.fixture
def path(model: ArpaModel, tmp_path: Path) -> Path:
    write_binary(model, tmp_path / "model.lm")
    return tmp_path / "model.lm"


def natively(path: Path) -> NgramModel:
    try:
        return read_natively(path)
    except Unsupported as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("order", [1, 2, 3, 5])
def test_sentences_score_as_in_memory(order: int, tmp_path: Path) -> None:
    model = estimate(sentences(200, 1), order)
    write_binary(model, tmp_path / "model.lm")
    mapped, text = read_binary(tmp_path / "model.lm"), [*sentences(50, 2), "un heard of"]
    assert (mapped.order, mapped.counts) == (model.order, model.counts)
    ours, theirs = perplexity(model, text), perplexity(mapped, text)
    assert theirs.with_unknown == pytest.approx(ours.with_unknown, rel=1e-6)
    assert (theirs.words, theirs.missing) == (ours.words, ours.missing)


def test_every_ngram_is_found_and_no_other(model: ArpaModel, path: Path) -> None:
    mapped = read_binary(path)
    ids = {word: number for number, word in enumerate(mapped.vocabulary)}
    to_ids = np.array([ids[word] for word in model.vocabulary])
    for ngrams in model.orders:
        there, log10, backoff = mapped.find(to_ids[ngrams.words])
        assert there.all()
        np.testing.assert_allclose(log10, ngrams.log10_probability, rtol=1e-6)
        if ngrams is not model.orders[-1]:
            np.testing.assert_allclose(backoff, ngrams.log10_backoff, rtol=1e-6, atol=1e-7)
    known = {tuple(row) for row in to_ids[model.orders[1].words].tolist()}
    others = [
        pair for pair in np.random.default_rng(1).integers(3, len(ids), (500, 2)).tolist() if tuple(pair) not in known
    ]
    assert not mapped.find(np.array(others))[0].any()


def test_the_decoder_finds_what_was_written(model: ArpaModel, path: Path) -> None:
    native, scorer = natively(path), Scorer(model)
    assert native.order == model.order
    for sentence in [*sentences(50, 2), "schön ö z", "un heard of"]:
        words = [*sentence.split(), "</s>"]
        known = [word if native.knows(word) else "<unk>" for word in words]
        for place, (log10, is_known) in enumerate(scorer.score(sentence)):
            assert native.knows(words[place]) == is_known
            assert native.score(["<s>", *known[:place]], known[place]) == pytest.approx(log10, abs=1e-5)


def test_the_same_model_gives_the_same_bytes(model: ArpaModel, path: Path, tmp_path: Path) -> None:
    write_binary(model, tmp_path / "again.lm")
    assert (tmp_path / "again.lm").read_bytes() == path.read_bytes()
    assert sorted(each.name for each in tmp_path.iterdir()) == ["again.lm", "model.lm"]


def test_words_lie_by_their_bytes_behind_the_three_marks(path: Path) -> None:
    vocabulary = read_binary(path).vocabulary
    assert vocabulary[:3] == ("<unk>", "<s>", "</s>")
    assert list(vocabulary[3:]) == sorted(vocabulary[3:], key=str.encode)


def test_a_key_is_the_one_of_the_format() -> None:
    """The example is worked out by LM_FORMAT.md with whole numbers, from the last word to the first."""
    key = 0
    for number in (7, 3):
        key = (key + (number + 1) * 0x9E3779B97F4A7C15) % 2**64
        key = (key ^ key >> 30) * 0xBF58476D1CE4E5B9 % 2**64
        key = (key ^ key >> 27) * 0x94D049BB133111EB % 2**64
        key ^= key >> 31
    keys = keys_of(np.array([[3, 7]]))
    assert keys.tolist() == [key]
    assert home(keys, 1000).tolist() == [(key >> 32) * 1000 >> 32]


def test_neighbours_of_a_word_are_those_of_the_arpa(model: ArpaModel, path: Path) -> None:
    word = model.vocabulary[3]
    ours, theirs = neighbours(model, word, 5), neighbours(read_binary(path), word, 5)
    assert theirs.probability == pytest.approx(ours.probability, rel=1e-5)
    assert [p for _, p in theirs.behind] == pytest.approx([p for _, p in ours.behind], rel=1e-5)


def test_the_form_is_known_by_its_first_bytes_and_written_by_its_name(model: ArpaModel, tmp_path: Path) -> None:
    for name in ("a.lm", "a.arpa", "a.arpa.gz"):
        write_model(model, tmp_path / name)
        (tmp_path / name).rename(tmp_path / f"{name}.renamed")
        assert read_model(tmp_path / f"{name}.renamed").counts == model.counts
    with pytest.raises(BadInput, match="mixing needs the ARPA"):
        read_ngrams(tmp_path / "a.lm.renamed", "mixing")
    with pytest.raises(NotFound, match="no language model"):
        read_model(tmp_path / "gone.lm")
    with pytest.raises(BadInput, match="cannot be read"):
        read_model(tmp_path)
    with pytest.raises(BadInput, match="cannot be written"):
        write_model(model, tmp_path / "no" / "folder.lm")


def test_an_order_that_the_form_does_not_hold_is_refused(tmp_path: Path) -> None:
    empty = Ngrams(np.zeros((0, 7), np.int32), np.zeros(0), np.zeros(0))
    base = estimate(["a b"], 2)
    with pytest.raises(BadOption, match="order 7"):
        write_binary(ArpaModel(base.vocabulary, (*base.orders, *[empty] * 5)), tmp_path / "model.lm")


@pytest.mark.parametrize(
    ("at", "value", "complaint"),
    [
        (0, b"X", "magic"),
        (8, b"\x02", "version"),
        (12, b"\x07", "order"),
        (16, b"\x00", "file_bytes"),
        (24, b"\xff\xff\xff\x7f", "text_bytes"),
        (32, b"\xff\xff\xff\x7f", "n-grams of order 1"),
        (56 + 8, b"\xff\xff\xff\x7f", "sizes of order 2"),
        (32 + 5 * 24, b"\x01", "sizes above the order"),
        (-16, b"\x01", "no empty slot at its end"),
    ],
)
def test_a_damaged_file_is_refused_with_its_field(at: int, value: bytes, complaint: str, path: Path) -> None:
    data = bytearray(path.read_bytes())
    at %= len(data)
    data[at : at + len(value)] = value
    path.write_bytes(data)
    with pytest.raises(BadInput, match=complaint):
        read_binary(path)


@pytest.mark.parametrize("length", [0, 8, 100, 175, 176, -1])
def test_a_cut_file_is_refused(length: int, path: Path) -> None:
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(BadInput, match="no binary language model of ours"):
        read_binary(path)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, 10**9), st.integers(0, 255)), min_size=1, max_size=6), st.booleans())
def test_damaged_bytes_are_refused_or_every_search_ends(
    model: ArpaModel, path: Path, changes: list[tuple[int, int]], in_header: bool
) -> None:
    write_binary(model, path)
    data = bytearray(path.read_bytes())
    for place, value in changes:
        data[place % (200 if in_header else len(data))] = value
    path.write_bytes(data)
    try:
        mapped = read_binary(path)
    except BadInput:
        return
    for order in range(1, mapped.order + 1):
        there, _, _ = mapped.find(np.random.default_rng(1).integers(0, len(mapped.vocabulary), (20, order)))
        assert there.shape == (20,)


def test_the_decoder_refuses_what_we_refuse(path: Path) -> None:
    natively(path)
    data = bytearray(path.read_bytes())
    data[12] = 7
    path.write_bytes(data)
    with pytest.raises(BadBundle, match="order"):
        read_natively(path)
