"""What more data would bring, and which: the learning curve, and where errors are many and clips few."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from stt_server.speech.text import normalize
from training.report.charts import learning_chart
from training.report.differences import differences
from training.report.schema import Advice, Learning, LearningPoint

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from stt_server.corpus.clip import Clip
    from stt_server.corpus.evaluation import Heard
    from training.report.groups import Sorting

MOST_WORDS, MOST_SENTENCES, MOST_LETTERS, MOST_OTHERS = 12, 6, 6, 4
LETTERS, IN_WORDS = 3, 2  # letters in a row, and in how many words they must be wrong to be at fault
ENOUGH_ERRORS = 2
CONDITIONS = ("noise", "duration", "speakers")


def learning_curve(points: Iterable[LearningPoint]) -> tuple[Learning, str]:
    """The points in order with a forecast in one sentence, and their chart as SVG.

    A run on 25, 50 and 100 % of the new data gives three of them. The forecast carries on the last doubling, and only
    where the intervals of its two points lie apart: Hestness et al. 2017 find error falling as a power of the data.
    """
    ordered = sorted(points, key=lambda point: point.share)
    return Learning(points=ordered, sentence=_forecast(ordered)), learning_chart(ordered)


def record_next(utterances: Sequence[Heard], learned: Sequence[Clip], sorting: Sorting) -> list[Advice]:
    """Words, sentences, sounds, speakers and conditions with many errors and few training clips, the most rewarding
    of each first. Sounds go by letters in a row, since the trainer knows no pronunciations.
    """
    return [
        *_words(utterances, learned),
        *_sentences(utterances, learned),
        *_letters(utterances, learned),
        *_others("speaker", "speaker", utterances, learned, sorting),
        *(each for way in CONDITIONS for each in _others("condition", way, utterances, learned, sorting)),
    ]


def _forecast(points: Sequence[LearningPoint]) -> str:
    if len(points) < 2:
        return "One point is no curve; `report.learning_curve: true` repeats the run on 25 and 50 % of the new data."
    before, last = points[-2:]
    growth = last.share / before.share
    if last.wer.high >= before.wer.low:
        told = "lie within each other's intervals: more of the same data would bring little"
        return f"The rates of {before.clips} and {last.clips} clips {told}, or the test is too small to tell."
    ahead = 100 * last.wer.value**2 / before.wer.value if before.wer.value else 0.0
    told = f"WER fell from {100 * before.wer.value:.1f} to {100 * last.wer.value:.1f} %"
    return f"With {growth:g} times the clips {told}; as much growth again may bring about {ahead:.1f} %."


def _words(utterances: Sequence[Heard], learned: Sequence[Clip]) -> list[Advice]:
    wrong, said = Counter[str](), Counter[str]()
    for utterance in utterances:
        for each in differences(utterance.said, utterance.heard):
            if each.said:
                said[each.said] += 1
                wrong[each.said] += each.kind != "right"
    having = Counter(word for clip in learned for word in set(normalize(clip.text, drop_unspellable=True).split()))
    names = _ranked(wrong, said, having)[:MOST_WORDS]
    return [_advice("word", f"“{name}”", wrong[name], said[name], having[name]) for name in names]


def _sentences(utterances: Sequence[Heard], learned: Sequence[Clip]) -> list[Advice]:
    """Those that are said more than once: of one that is said once nobody knows whether it is hard."""
    wrong, said = Counter[str](), Counter[str]()
    for each in utterances:
        if " " in each.said:
            said[each.said] += 1
            wrong[each.said] += each.errors > 0
    having = Counter(normalize(clip.text, drop_unspellable=True) for clip in learned)
    names = _ranked(wrong, said, having)[:MOST_SENTENCES]
    return [_advice("sentence", f"“{name}”", wrong[name], said[name], having[name], "utterances") for name in names]


def _letters(utterances: Sequence[Heard], learned: Sequence[Clip]) -> list[Advice]:
    """Letters in a row that are wrong in several words; of one word it is the word that is to be recorded."""
    wrong, said, words = Counter[str](), Counter[str](), defaultdict[str, set[str]](set)
    for utterance in utterances:
        for each in differences(utterance.said, utterance.heard):
            for row in _rows(each.said):
                said[row] += 1
                if each.kind != "right":
                    wrong[row] += 1
                    words[row].add(each.said)
    having = Counter(row for clip in learned for row in _rows(normalize(clip.text, drop_unspellable=True)))
    names = [name for name in _ranked(wrong, said, having) if len(words[name]) >= IN_WORDS][:MOST_LETTERS]
    return [
        _advice("letters", f"“{name}”", wrong[name], said[name], having[name], f"words, as in {min(words[name])},")
        for name in names
    ]


def _rows(text: str) -> set[str]:
    """All letters in a row within the words of a text."""
    words = text.split()
    return {word[at : at + LETTERS] for word in words for at in range(len(word) - LETTERS + 1)}


def _others(
    kind: str, way: str, utterances: Sequence[Heard], learned: Sequence[Clip], sorting: Sorting
) -> list[Advice]:
    wrong, said = Counter[str](), Counter[str]()
    for each in utterances:
        name = sorting.group(way, each.clip)
        if name:
            said[name] += len(each.said.split())
            wrong[name] += each.errors
    if len(said) < 2:  # nothing to compare it with
        return []
    having = Counter(sorting.group(way, clip) for clip in learned)
    is_known = sorting.knows(way, learned)
    overall = sum(wrong.values()) / max(1, sum(said.values()))
    names = [name for name in _ranked(wrong, said, having) if wrong[name] / max(1, said[name]) > overall]
    return [
        _advice(kind, name, wrong[name], said[name], having[name] if is_known else None) for name in names[:MOST_OTHERS]
    ]


def _ranked(wrong: Counter[str], said: Counter[str], having: Counter[str]) -> list[str]:
    """By errors that might go: many, often, and with few clips to learn from."""

    def gain(name: str) -> float:
        return wrong[name] ** 2 / max(1, said[name]) / math.sqrt(1 + having[name])

    return sorted((name for name in wrong if wrong[name] >= ENOUGH_ERRORS), key=lambda name: (-gain(name), name))


def _advice(
    kind: str, name: str, errors: int, chances: int, learned_from: int | None, counted: str = "words"
) -> Advice:
    told = f"{errors} errors in {chances} {counted} of the test"
    if learned_from is not None:
        told += f", {learned_from} clips to learn from"
    return Advice(
        kind=kind,
        name=name,
        errors=errors,
        chances=chances,
        learned_from=learned_from,
        sentence=f"{name}: {told}",
    )
