"""`earloop bench hotwords`: rare words put into sentences, asked for as hotwords and not, and sentences without them.

| figure | what |
| --- | --- |
| found | of the rare words that were spoken, those that were heard |
| false | hotwords that were heard in sentences which do not have them |
| errors | word error rate of those sentences |
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stt_server.commands.bench.grammar import text_of
from stt_server.commands.bench.rare import CARRIERS, RARE
from stt_server.commands.bench.spoken import hear_others, hear_sentences
from stt_server.errors import BadInput
from stt_server.speech.decoder.interface import Asked
from stt_server.speech.wer import count_errors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from stt_server.corpus.posteriors import Posteriors
    from stt_server.speech.decoder.interface import Decoder
    from stt_server.speech.recognizer import Recognizer

SEED = 1  # of the voices
RAREST = math.log10(1 / 40_000)  # of a word by itself
BOOSTS = (2.0, 4.0, 6.0, 8.0, 12.0)
MANY = 1000


@dataclass(frozen=True, slots=True)
class Row:
    """`hotwords` is what was asked for; of `others` sentences without the rare words `false` hotwords were heard in."""

    hotwords: str
    boost: float
    spoken: int
    found: int
    others: int
    false: int
    other_errors: float


def run_hotwords(
    recognizer: Recognizer, folder: Path, words: int, others: int, tell: Callable[[str], None]
) -> list[Row]:
    """Speak, hear, decode. Raises Unsupported where a speech program is missing, BadInput for a bundle without LM."""
    from training.lm import read_ngrams

    elsewhere = hear_others(recognizer, others, folder, tell)
    manifest = recognizer.bundle.manifest
    assert manifest.lm is not None  # else there were no others
    known = read_ngrams(recognizer.bundle.path(manifest.lm), "looking for rare words")
    logprobs = dict(zip(known.vocabulary, known.orders[0].log10_probability.tolist(), strict=True))
    rare = [word for word in RARE if logprobs.get(word, -math.inf) < RAREST][:words]
    if not rare:
        raise BadInput("every rare word of the benchmark is a usual one to this language model", field="lm")
    sentences = [carrier.format(word) for word in rare for carrier in CARRIERS]
    heard = hear_sentences(recognizer, sentences, folder / "rare", SEED, tell)
    spoken = list(zip([word for word in rare for _ in CARRIERS], heard, strict=True))
    more = sorted(word for word, logprob in logprobs.items() if logprob < RAREST and word.isalpha() and len(word) > 3)
    many = [*rare, *(word for word in more if word not in rare)][: max(MANY, len(rare))]
    lists = {f"all {len(rare)}": rare, f"{len(many)} rare words": many}
    decoder = recognizer.decoders["native"]
    rows = [_row(decoder, "none", 0.0, lambda word: (), (), spoken, elsewhere)]
    for boost in BOOSTS:
        rows.append(_row(decoder, "its own", boost, lambda word: (word,), None, spoken, elsewhere))
        rows += [_row(decoder, name, boost, _same(each), each, spoken, elsewhere) for name, each in lists.items()]
    return rows


def _same(words: Sequence[str]) -> Callable[[str], Sequence[str]]:
    return lambda word: words


def _row(
    decoder: Decoder,
    name: str,
    boost: float,
    asked_for: Callable[[str], Sequence[str]],
    elsewhere_for: Sequence[str] | None,
    spoken: Sequence[tuple[str, Posteriors]],
    elsewhere: Sequence[Posteriors],
) -> Row:
    """Of the other sentences nothing is known where `elsewhere_for` is None."""
    found = sum(word in text_of(decoder, _asked(asked_for(word), boost), each).split() for word, each in spoken)
    if elsewhere_for is None:
        return Row(name, boost, len(spoken), found, 0, 0, 0.0)
    asked, wanted = _asked(elsewhere_for, boost), {*elsewhere_for}
    pairs = [(each.said, text_of(decoder, asked, each)) for each in elsewhere]
    false = sum(_false(said, heard, wanted) for said, heard in pairs)
    return Row(name, boost, len(spoken), found, len(pairs), false, count_errors(pairs).rate)


def _asked(words: Iterable[str], boost: float) -> Asked:
    return Asked(boosts=tuple((word, boost) for word in words))


def _false(said: str, heard: str, wanted: set[str]) -> int:
    """How many hotwords were heard more often than they were said."""
    more = Counter(heard.split()) - Counter(said.split())
    return sum(count for word, count in more.items() if word in wanted)


def table(rows: Sequence[Row]) -> list[str]:
    """For people to read."""
    first = rows[0]
    lines = [
        f"{first.spoken} rare words in sentences, {first.others} sentences without",
        f"{'hotwords':<20}{'boost':>6}{'found %':>10}{'false':>8}{'errors %':>10}",
    ]
    for row in rows:
        others = f"{row.false:>8}{100 * row.other_errors:>10.1f}" if row.others else ""
        lines.append(f"{row.hotwords:<20}{row.boost:>6g}{100 * row.found / row.spoken:>10.1f}{others}")
    return lines
