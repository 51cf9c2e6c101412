"""Texts larger than memory are counted in pieces; how large these are changes nothing."""

import tempfile
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from tests.training.lm.texts import sentences
from training.lm import counts, estimate, numbering


@pytest.mark.parametrize("piece", [1, 2, 7, 100])
@pytest.mark.parametrize("limit", [None, 50])
def test_the_size_of_the_pieces_changes_nothing(piece: int, limit: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    text = sentences(60, 1)
    whole = estimate(text, 4, (0, 0, 1), limit)
    monkeypatch.setattr(numbering, "PIECE", piece)
    monkeypatch.setattr(counts, "PIECE", piece)
    parts = estimate(text, 4, (0, 0, 1), limit)
    assert parts.vocabulary == whole.vocabulary
    for ours, theirs in zip(parts.orders, whole.orders, strict=True):
        np.testing.assert_array_equal(ours.words, theirs.words)
        np.testing.assert_array_equal(ours.log10_probability, theirs.log10_probability)
        np.testing.assert_array_equal(ours.log10_backoff, theirs.log10_backoff)


def test_tokens_lie_on_disk_and_leave_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    text = numbering.number_words(sentences(20, 1))
    assert isinstance(text.tokens, np.memmap)
    assert isinstance(numbering.limit_vocabulary(text, 3).tokens, np.memmap)
    assert list(tmp_path.iterdir()) == []


def test_every_ngram_points_at_its_first_and_its_last_words() -> None:
    tables = counts.count_ngrams(numbering.number_words(sentences(40, 2)), 4)
    for below, table in pairwise(tables):
        np.testing.assert_array_equal(below.words[table.context], table.words[:, :-1])
        np.testing.assert_array_equal(below.words[table.suffix], table.words[:, 1:])
