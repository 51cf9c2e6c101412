"""Rates of utterances, together and in groups, with 95 % bootstrap intervals."""

from __future__ import annotations

from collections import defaultdict
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from stt_server.speech.wer import score, word_errors
from training.report.schema import Effect, Group, Interval, Measured, Rates, Source

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from stt_server.corpus.evaluation import Evaluation, Heard
    from stt_server.speech.wer import Estimate
    from training.report.groups import Sorting

    Utterances = Sequence[Heard]

RESAMPLES = 1000
RESAMPLES_OF_A_GROUP = 200  # there may be a hundred groups
KIT = "kit-"


class Ears:
    """What the decoders heard: `greedy`, and `lm` where there is a language model, each in the order of the clips."""

    def __init__(self, evaluations: Sequence[Evaluation]) -> None:
        by_name = {each.decoder: each.heard for each in evaluations}
        self.greedy: Utterances = by_name.pop("greedy", ())
        self.lm: Utterances = next(iter(by_name.values()), ())

    @property
    def best(self) -> Utterances:
        """As the bundle is served: with its language model if it has one."""
        return self.lm or self.greedy

    @property
    def pairs(self) -> list[tuple[Heard, Heard]]:
        """Each tested utterance as heard greedily and with the language model; [] without one."""
        return list(zip(of_the_test(self.greedy), of_the_test(self.lm), strict=True)) if self.greedy and self.lm else []

    @property
    def both(self) -> dict[str, Utterances]:
        return {name: heard for name, heard in (("greedy", self.greedy), ("lm", self.lm)) if heard}


def is_kit(heard: Heard) -> bool:
    """Whether the clip is of the bundle's own evaluation kit."""
    return heard.clip.source.startswith(KIT)


def of_the_test(utterances: Utterances) -> list[Heard]:
    """The utterances that the figures are of: spoken ones of the test, of the kit where the test has none."""
    spoken = [each for each in utterances if each.said]
    return [each for each in spoken if not is_kit(each)] or spoken


def measured(ears: Ears) -> Measured:
    """All test clips together."""
    listed = of_the_test(ears.best)
    name = "nothing" if not listed else "kit" if is_kit(listed[0]) else "test"
    return Measured(measured_on=name, **{each: rates(of_the_test(heard)) for each, heard in ears.both.items()})


def by_source(ears: Ears) -> list[Source]:
    """Of each source in which something is said."""
    parts = _parts({name: [each for each in heard if each.said] for name, heard in ears.both.items()}, _source)
    return [Source(name=source, **found) for source, found in parts.items()]


def by_group(ears: Ears, sorting: Sorting) -> list[Group]:
    """Of the test clips, by each of the sorting's ways; its way says what is left out."""
    groups = []
    spoken = {name: of_the_test(heard) for name, heard in ears.both.items()}
    for way in sorting.ways:
        parts = _parts(spoken, partial(_group, sorting, way), RESAMPLES_OF_A_GROUP)
        groups += [Group(by=way, name=name, **parts[name]) for name in sorting.in_order(way, parts) if name]
    return groups


def rates(utterances: Utterances, resamples: int = RESAMPLES) -> Rates | None:
    """None where nothing is said."""
    if not utterances:
        return None
    found = score(((each.said, each.heard) for each in utterances), resamples=resamples)
    exact = found.exact
    return Rates(
        utterances=found.utterances,
        words=found.words.words,
        wer=_interval(found.wer),
        cer=_interval(found.cer),
        exact=_interval(exact),
        sentence_error=Interval(value=1 - exact.value, low=1 - exact.high, high=1 - exact.low),
    )


def lm_effect(ears: Ears) -> Effect | None:
    """What the language model repairs and breaks; None where there is none."""
    pairs = ears.pairs
    if not pairs:
        return None
    return Effect(
        repaired=sum(bool(before.errors) and not after.errors for before, after in pairs),
        broken=sum(bool(after.errors) and not before.errors for before, after in pairs),
        wer_change=_paired_change(pairs),
    )


def _paired_change(pairs: Sequence[tuple[Heard, Heard]]) -> Interval:
    """The difference of the word error rates over the same resampled utterances."""
    words = np.array([word_errors(before.said, before.heard).words for before, _ in pairs])
    changes = np.array([after.errors - before.errors for before, after in pairs])
    drawn = np.random.default_rng(0).integers(len(pairs), size=(RESAMPLES, len(pairs)))
    rate = changes[drawn].sum(1) / words[drawn].sum(1)
    low, high = np.quantile(rate, [0.025, 0.975], method="nearest")
    return Interval(value=float(changes.sum() / words.sum()), low=float(low), high=float(high))


def _parts(
    spoken: Mapping[str, Utterances], key: Callable[[Heard], str], resamples: int = RESAMPLES
) -> dict[str, dict[str, Rates | None]]:
    """Group → decoder → rates."""
    sorted_: dict[str, dict[str, list[Heard]]] = defaultdict(lambda: defaultdict(list))
    for decoder, utterances in spoken.items():
        for each in utterances:
            sorted_[key(each)][decoder].append(each)
    return {
        name: {decoder: rates(utterances, resamples) for decoder, utterances in decoders.items()}
        for name, decoders in sorted_.items()
    }


def _group(sorting: Sorting, way: str, heard: Heard) -> str:
    return sorting.group(way, heard.clip)


def _source(heard: Heard) -> str:
    return heard.clip.source or "clips"


def _interval(estimate: Estimate) -> Interval:
    return Interval(value=estimate.value, low=estimate.low, high=estimate.high)
