"""What a model knows of a word: how likely it is, and its 2-grams."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from stt_server.errors import NotFound
from training.lm.mapped import BinaryModel
from training.lm.numbering import START, UNKNOWN

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from training.lm.arpa import ArpaModel

    Floats = NDArray[np.float64]

Ranked = tuple[tuple[str, float], ...]


@dataclass(frozen=True, slots=True)
class Neighbours:
    """`probability` of the word by itself. `behind`: words with p(they | it), likeliest first. `before`: words with
    p(it | they), likeliest pairs first.
    """

    probability: float
    before: Ranked
    behind: Ranked


def neighbours(model: ArpaModel | BinaryModel, word: str, most: int) -> Neighbours:
    """Of a word, <s> or </s>. Raises NotFound for one that the model does not know."""
    if word not in model.vocabulary or word == model.vocabulary[UNKNOWN]:
        raise NotFound(f"the model does not know the word {word!r}")
    number = model.vocabulary.index(word)
    alone = 10 ** _unigrams(model)
    alone[START] = alone.max()  # never predicted, yet before every sentence
    words, p = _two_grams(model, number, 1)
    words, often = words[:, 0], p * alone[words[:, 0]]
    before = _ranked(model, words, p, often, most)
    words, p = _two_grams(model, number, 0)
    return Neighbours(float(alone[number]), before, _ranked(model, words[:, 1], p, p, most))


def _unigrams(model: ArpaModel | BinaryModel) -> Floats:
    if isinstance(model, BinaryModel):
        return model.unigrams["logprob"].astype(np.float64)
    return model.orders[0].log10_probability


def _two_grams(model: ArpaModel | BinaryModel, number: int, place: int) -> tuple[NDArray[np.int64], Floats]:
    """Those with the word at `place`, 0 or 1, and the probability of their second word behind the first."""
    if model.order < 2:
        return np.zeros((0, 2), np.int64), np.zeros(0)
    if isinstance(model, BinaryModel):
        pairs = np.tile(np.arange(len(model.vocabulary))[:, None], 2)
        pairs[:, place] = number
        there, log10, _ = model.find(pairs)
        return pairs[there], 10 ** log10[there].astype(np.float64)
    ngrams = model.orders[1]
    has = ngrams.words[:, place] == number
    return ngrams.words[has].astype(np.int64), 10 ** ngrams.log10_probability[has]


def _ranked(model: ArpaModel | BinaryModel, words: NDArray[np.int64], p: Floats, by: Floats, most: int) -> Ranked:
    best = np.argsort(-by, kind="stable")[:most]
    return tuple((model.vocabulary[words[row]], float(p[row])) for row in best)
