"""Finals as SubRip and WebVTT (https://www.w3.org/TR/webvtt1/): cues that can be read, cut at the times of words.

A cue has at most two lines of 42 characters and lasts at most 7 s, the customs of the trade (BBC, Netflix), and a pause
of a second begins the next. A single longer word stays whole.
"""

from __future__ import annotations

import html
import textwrap
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from stt_server.messages import Word

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from stt_server.messages import Final as Utterance

LINE: Final = 42  # characters
LINES: Final = 2
LONGEST_S: Final = 7.0
PAUSE_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Cue:
    start_s: float
    end_s: float
    lines: tuple[str, ...]


def cues(finals: Iterable[Utterance]) -> Iterator[Cue]:
    """In order, without overlap."""
    over_s = 0.0
    for final in finals:
        for words in _groups(final):
            start_s = max(over_s, words[0].start_s)
            over_s = max(start_s, min(words[-1].end_s, words[0].start_s + LONGEST_S))
            yield Cue(start_s, over_s, tuple(_lines(words)))


def srt(finals: Iterable[Utterance]) -> str:
    """SubRip: numbered cues, a comma before the milliseconds."""
    return "\n".join(f"{number}\n{_shown(cue, ',')}" for number, cue in enumerate(cues(finals), 1))


def vtt(finals: Iterable[Utterance]) -> str:
    """WebVTT: a header line, `&`, `<` and `>` escaped."""
    escaped = (replace(cue, lines=tuple(html.escape(line, quote=False) for line in cue.lines)) for cue in cues(finals))
    return "\n".join(["WEBVTT\n", *(_shown(cue, ".") for cue in escaped)])


def _shown(cue: Cue, point: str) -> str:
    """Times and text; `point` stands before the milliseconds."""
    text = "\n".join(cue.lines)
    return f"{_time(cue.start_s, point)} --> {_time(cue.end_s, point)}\n{text}\n"


def _groups(final: Utterance) -> Iterator[list[Word]]:
    group: list[Word] = []
    for word in _words(final):
        if group and not _goes_on(group, word):
            yield group
            group = []
        group.append(word)
    if group:
        yield group


def _goes_on(group: Sequence[Word], word: Word) -> bool:
    return (
        word.start_s - group[-1].end_s < PAUSE_S
        and word.end_s - group[0].start_s <= LONGEST_S
        and len(_lines([*group, word])) <= LINES
    )


def _words(final: Utterance) -> tuple[Word, ...]:
    """The words; those of a text without times spread evenly over its utterance."""
    texts = final.text.split()
    if final.words or not texts:
        return final.words
    each_s = max(0.0, final.end_s - final.start_s) / len(texts)
    start_s = final.start_s
    return tuple(Word(text, start_s + i * each_s, start_s + (i + 1) * each_s, 0.0) for i, text in enumerate(texts))


def _lines(words: Sequence[Word]) -> list[str]:
    text = " ".join(word.text for word in words)
    return textwrap.wrap(text, LINE, break_long_words=False, break_on_hyphens=False)


def _time(seconds: float, point: str) -> str:
    """01:02:03.456; hours may have more digits."""
    total_ms = round(seconds * 1000)
    minutes, ms = divmod(total_ms, 60_000)
    return f"{minutes // 60:02}:{minutes % 60:02}:{ms // 1000:02}{point}{ms % 1000:03}"
