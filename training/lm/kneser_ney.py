"""Interpolated modified Kneser-Ney smoothing.

Sources: Chen & Goodman 1998, "An empirical study of smoothing techniques for language modeling" (discounts, equation
26); Heafield et al. 2013, "Scalable modified Kneser-Ney language model estimation" (adjusted counts, interpolation down
to a uniform distribution, pruning by leaving n-grams out after their counts have been used).

    p(w | h) = (c(hw) - D(c(hw))) / c(h) + b(h) p(w | h')        h' is h without its first word

b(h) is the mass that discounts and cut-offs free after h, so the words after every h sum to one by construction.

KenLM's lmplz is the same method, and perplexities agree to four digits and more (tests/training/lm has some on record).
Three things differ on purpose: lmplz enters the last n-gram of each order but the highest with its occurrences into the
counts of counts, which moves the discounts of small texts by a hair; where no n-gram was counted four times it takes
away all of those counted three times (`own_discounts`); and words that a cut-off or limit leaves out are unknown here
before anything is counted, so that <unk> does not get what they had.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from stt_server.errors import BadOption
from training.lm.arpa import LOG10_OF_ZERO, ArpaModel, Ngrams
from training.lm.counts import Table, adjusted_counts, count_ngrams
from training.lm.numbering import END, START, limit_vocabulary, number_words

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray

HIGHEST_ORDER = 5
FALLBACK_DISCOUNTS = (0.0, 0.5, 1.0, 1.5)  # for texts too small to have n-grams seen one to three times
FALLBACK = "0.5, 1 and 1.5"


def estimate(
    sentences: Iterable[str],
    order: int = 3,
    cutoffs: Sequence[int] = (),
    vocabulary_limit: int | None = None,
    say: Callable[[str], None] = lambda sentence: None,
) -> ArpaModel:
    """A model of `order` or, where no sentence is so long, of the order there is.

    `cutoffs[n - 1]` leaves out n-grams seen that often or less; the last one holds for the orders above it. Words left
    out by `cutoffs[0]` or by `vocabulary_limit` (the most frequent stay) are unknown. <unk> gets a share of what the
    single words leave over, not the counts of the words left out: a decoder must not find unknown words cheap.
    `say` is told where a text is too small for its own discounts.

    Raises BadOption for an impossible order, cut-off or limit, BadInput for a text without sentences.
    """
    cutoffs = _check(order, cutoffs, vocabulary_limit)
    text = limit_vocabulary(number_words(sentences), vocabulary_limit, cutoffs[0])
    tables = count_ngrams(text, order)
    probabilities = [np.full(1, 1 / (len(text.vocabulary) - 1))]  # below single words: any of them but START
    backoffs: list[NDArray[np.float64]] = []
    kept: list[NDArray[np.bool_]] = []
    for index, table in enumerate(tables):
        counts = adjusted_counts(tables, index)
        if own_discounts(counts) is None:
            say(f"too few {index + 1}-grams for discounts of their own; they get {FALLBACK}")
        kept.append((counts > 0) & (table.occurrences > cutoffs[index]) if index else np.ones(len(table), bool))
        seen, freed = _interpolate(table, counts, kept[-1], len(probabilities[-1]))
        probabilities.append(seen + freed[table.context] * probabilities[-1][table.suffix])
        backoffs.append(freed)
    probabilities[1][START] = 0.0
    return ArpaModel(text.vocabulary, _sections(tables, kept, probabilities[1:], backoffs[1:]))


def _interpolate(
    table: Table, counts: NDArray[np.int64], kept: NDArray[np.bool_], contexts: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The share of its context that each n-gram keeps, and the share that each context has freed, 1 without words."""
    taken = np.where(kept, discounts(counts)[np.minimum(counts, 3)], counts)
    totals = np.bincount(table.context, counts, minlength=contexts)
    freed = np.bincount(table.context, taken, minlength=contexts)
    used = totals > 0
    totals[~used], freed[~used] = 1.0, 1.0
    return (counts - taken) / totals[table.context], freed / totals


def discounts(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """What to take from n-grams counted 0, 1, 2, and 3 or more times."""
    own = own_discounts(counts)
    return np.array(FALLBACK_DISCOUNTS) if own is None else own


def own_discounts(counts: NDArray[np.int64]) -> NDArray[np.float64] | None:
    """The discounts of Chen & Goodman; None where some counts are missing, or the formula leaves its range.

    Where nothing was counted four times the formula would take away all of what was counted three times, the surest
    there is in a small text; then that one discount is the usual one.
    """
    n1, n2, n3, n4 = (int(np.count_nonzero(counts == times)) for times in range(1, 5))
    if not (n1 and n2 and n3):
        return None
    y = n1 / (n1 + 2 * n2)
    last = 3 - 4 * y * n4 / n3 if n4 else FALLBACK_DISCOUNTS[3]
    found = np.array([0.0, 1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2, last])
    in_range = (found >= 0) & (found <= np.arange(4))
    return found if in_range.all() else None


def _sections(
    tables: Sequence[Table],
    kept: Sequence[NDArray[np.bool_]],
    probabilities: Sequence[NDArray[np.float64]],
    backoffs: Sequence[NDArray[np.float64]],
) -> tuple[Ngrams, ...]:
    """The n-grams that are kept, by order, without the orders above that cut-offs have emptied."""
    highest = max(index for index, rows in enumerate(kept) if rows.any())
    sections = []
    for index in range(highest + 1):
        rows = kept[index]
        backoff = backoffs[index][rows] if index < highest else np.ones(int(rows.sum()))
        sections.append(Ngrams(tables[index].words[rows], _log10(probabilities[index][rows]), _log10(backoff)))
    return tuple(sections) if highest else (sections[0], _one_bigram(sections[0]))


def _one_bigram(unigrams: Ngrams) -> Ngrams:
    """KenLM refuses a model without 2-grams: this one says of an empty sentence what backing off says."""
    probability = unigrams.log10_probability[[END]]
    return Ngrams(np.array([[START, END]], np.int32), probability, np.zeros(1))


def _log10(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.log10(values, out=np.full(len(values), LOG10_OF_ZERO), where=values > 0)


def _check(order: int, cutoffs: Sequence[int], vocabulary_limit: int | None) -> list[int]:
    """The cut-off of every order."""
    if not 1 <= order <= HIGHEST_ORDER:
        raise BadOption(f"the order is {order}; choose 1 to {HIGHEST_ORDER}", field="order")
    if len(cutoffs) > order:
        raise BadOption(f"{len(cutoffs)} cut-offs for order {order}; give at most one for each order", field="cutoff")
    filled = [*cutoffs, *[cutoffs[-1] if cutoffs else 0] * (order - len(cutoffs))]
    if filled[0] < 0 or filled != sorted(filled):
        raise BadOption(
            f"the cut-offs {', '.join(map(str, cutoffs))} must not fall: a longer n-gram stands on its shorter parts",
            field="cutoff",
        )
    if vocabulary_limit is not None and vocabulary_limit < 1:
        raise BadOption(
            f"the vocabulary is limited to {vocabulary_limit} words; leave at least one", field="vocabulary"
        )
    return filled
