"""New words for a model that is there: "is this word known?", and "then add it".

A word alone is added to the single words, as likely as an average one or so many times as likely; what stands before it
tells nothing of it. A word that is `like` a known one gets all the known one's n-grams with a share of its probability,
as one member more of its class (Brown et al. 1992, "Class-based n-gram models of natural language").
"""

from __future__ import annotations

import math
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from stt_server.errors import BadInput
from training.lm.arpa import LOG10_OF_ZERO, ArpaModel, Ngrams
from training.lm.mixing import mix
from training.lm.numbering import SPECIAL

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

Row = tuple[tuple[int, ...], float, float]


def add_words(model: ArpaModel, words: Sequence[str], times: float = 1.0) -> ArpaModel:
    """The model with `words`, each `times` as likely as an average word of it; the other words make room alike.

    Raises BadInput for a word that is known, or no word at all.
    """
    _check(model, words, times)
    known = len(model.vocabulary) - len(SPECIAL)
    share = times * len(words) / (times * len(words) + known)
    log10 = np.array([LOG10_OF_ZERO] * len(SPECIAL) + [-math.log10(len(words))] * len(words))
    numbers = np.arange(len(log10), dtype=np.int32)[:, None]
    return mix(model, ArpaModel((*SPECIAL, *words), (Ngrams(numbers, log10, np.zeros(len(log10))),)), share)


def add_like(model: ArpaModel, words: Sequence[str], like: str, times: float = 1.0) -> ArpaModel:
    """The model with `words` wherever it has `like`, each `times` as likely as what is left to `like`.

    What `like` had is shared among them in every context alike, so no other word's probability changes and all still
    sum to one. Raises BadInput for a word that is known, or a `like` that is not.
    """
    _check(model, words, times)
    if like not in model.vocabulary[len(SPECIAL) :]:
        raise BadInput(f"the model does not know {like!r}, so nothing can be like it", field="like")
    number = model.vocabulary.index(like)
    members = {number: -math.log10(1 + times * len(words))}
    members |= {len(model.vocabulary) + n: math.log10(times) + members[number] for n in range(len(words))}
    orders = tuple(_shared(ngrams, number, members) for ngrams in model.orders)
    return ArpaModel((*model.vocabulary, *words), orders)


def _check(model: ArpaModel, words: Sequence[str], times: float) -> None:
    if not words or len(set(words)) < len(words):
        raise BadInput("give one word or more, each once", field="words")
    for word in words:
        if word in model.vocabulary:
            raise BadInput(f"the model knows {word!r} already", field="words")
    if not 0 < times < math.inf:
        raise BadInput(f"a word cannot be {times:g} times as likely as another", field="times")


def _shared(ngrams: Ngrams, like: int, members: dict[int, float]) -> Ngrams:
    """The n-grams without `like` as they are; one with it for every member in each of its places, behind them."""
    has = (ngrams.words == like).any(axis=1)
    one = Ngrams(ngrams.words[has], ngrams.log10_probability[has], ngrams.log10_backoff[has])
    many = [member for row in one.rows() for member in _members(*row, like, members)]
    if not many:
        return ngrams
    words, log10, backoffs = zip(*many, strict=True)
    order = ngrams.words.shape[1]
    found = Ngrams(
        np.concatenate([ngrams.words[~has], np.array(words, np.int32).reshape(-1, order)]),
        np.concatenate([ngrams.log10_probability[~has], log10]),
        np.concatenate([ngrams.log10_backoff[~has], backoffs]),
    )
    return _by_number(found) if order == 1 else found


def _members(words: list[int], log10: float, backoff: float, like: int, members: dict[int, float]) -> Iterator[Row]:
    """One n-gram of the class. Of its probability the predicted word alone takes a share: contexts are likened."""
    for chosen in product(*(members if word == like else (word,) for word in words)):
        predicted = members[chosen[-1]] if words[-1] == like else 0.0
        yield chosen, log10 + predicted, backoff


def _by_number(unigrams: Ngrams) -> Ngrams:
    order = np.argsort(unigrams.words[:, 0])
    return Ngrams(unigrams.words[order], unigrams.log10_probability[order], unigrams.log10_backoff[order])
