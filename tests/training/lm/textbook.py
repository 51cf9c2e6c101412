"""Interpolated modified Kneser-Ney as the papers write it, slowly, in dictionaries: the oracle of our own.

Chen & Goodman 1998, section 4.1.6 and equation 26; Heafield et al. 2013, sections 3.2 to 3.4. Shares no code with
training/lm and none of its ways: no numpy, no tables, probabilities by recursion, one at a time.
"""

from collections import Counter, defaultdict
from functools import cached_property

Ngram = tuple[str, ...]


class Textbook:
    """p(word | context) of sentences, n-grams seen `cutoffs[n - 1]` times or less left out above single words."""

    def __init__(self, sentences: list[str], order: int, cutoffs: tuple[int, ...] = ()) -> None:
        self.sentences = [["<s>", *sentence.split(), "</s>"] for sentence in sentences if sentence.split()]
        self.order = order
        self.cutoffs = [*cutoffs, *[cutoffs[-1] if cutoffs else 0] * (order - len(cutoffs))]
        self.words = {word for sentence in self.sentences for word in sentence} - {"<s>"} | {"<unk>"}

    @cached_property
    def seen(self) -> Counter[Ngram]:
        return Counter(
            tuple(sentence[start : start + n])
            for sentence in self.sentences
            for n in range(1, self.order + 1)
            for start in range(len(sentence) - n + 1)
        )

    @cached_property
    def highest(self) -> int:
        return max(len(ngram) for ngram in self.seen)

    @cached_property
    def adjusted(self) -> dict[Ngram, int]:
        """What an n-gram was seen, or, where a longer one can tell, how many different words stand before it."""
        before: dict[Ngram, set[str]] = defaultdict(set)
        for ngram in self.seen:
            before[ngram[1:]].add(ngram[0])
        counts = {}
        for ngram, count in self.seen.items():
            is_whole = len(ngram) == self.highest or ngram[0] == "<s>"
            counts[ngram] = count if is_whole else len(before[ngram])
        counts[("<s>",)] = 0
        return counts

    @cached_property
    def discounts(self) -> dict[int, dict[int, float]]:
        """By order, then by count; 3 stands for 3 and more."""
        return {n: self.discounts_of(n) for n in range(1, self.highest + 1)}

    def discounts_of(self, n: int) -> dict[int, float]:
        of = Counter(count for ngram, count in self.adjusted.items() if len(ngram) == n)
        fallback = {1: 0.5, 2: 1.0, 3: 1.5}
        if not (of[1] and of[2] and of[3]):
            return fallback
        y = of[1] / (of[1] + 2 * of[2])
        own = {k: k - (k + 1) * y * of[k + 1] / of[k] for k in (1, 2, 3)}
        own[3] = own[3] if of[4] else fallback[3]  # ours alone
        return own if all(0 <= own[k] <= k for k in own) else fallback

    def kept(self, ngram: Ngram) -> bool:
        return len(ngram) == 1 or self.seen[ngram] > self.cutoffs[len(ngram) - 1]

    @cached_property
    def following(self) -> dict[Ngram, dict[str, int]]:
        found: dict[Ngram, dict[str, int]] = defaultdict(dict)
        for ngram, count in self.adjusted.items():
            if count:
                found[ngram[:-1]][ngram[-1]] = count
        return found

    def probability(self, word: str, context: Ngram) -> float:
        """Of a word that is known, or <unk>."""
        context = context[-(self.order - 1) :] if self.order > 1 else ()
        while context and context not in self.following:
            context = context[1:]
        lower = self.probability(word, context[1:]) if context else 1 / len(self.words)
        counts = self.following[context]
        total = sum(counts.values())
        freed = own = 0.0
        for each, count in counts.items():
            ngram = (*context, each)
            taken = self.discounts[len(ngram)][min(count, 3)] if self.kept(ngram) else count
            freed += taken
            if each == word:
                own = count - taken
        return own / total + freed / total * lower
