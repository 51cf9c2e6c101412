"""Train, dev and test of a snapshot, by the hashes of `corpus/splits`, so that a clip never changes its part.

| clips                                          | go by                                                             |
| ---------------------------------------------- | ----------------------------------------------------------------- |
| that were in an earlier snapshot               | nothing: they stay where they were                                |
| of a speaker who is in one part, or new        | speaker, as long as all three parts are filled; else by sentence  |
| of a speaker who is in several parts already   | sentence                                                          |
| of nobody known                                | sentence                                                          |

So a household of two begins with new sentences in its test part, and every speaker who comes later is in one part
alone. `strict` never divides a speaker, even where a part stays empty.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from stt_server.corpus.clip import Clip
from stt_server.corpus.splits import SHARES, Rule, holds_for, split_clips

if TYPE_CHECKING:
    from collections.abc import Sequence, Set

    from stt_server.store.snapshots import Line

SOURCE: Final = "earloop"  # the same for every dataset, so that a speaker is in the same part of all of them


@dataclass(frozen=True, slots=True)
class Division:
    """Lines with their splits, in the order they came, and a sentence that says for whom a result on the test holds."""

    lines: list[Line]
    rule: str
    holds_for: str


def divide(lines: Sequence[Line], *, strict: bool = False) -> Division:
    """Give every line its split."""
    clips = [_clip(line) for line in lines]
    placed: dict[Path, str] = {}
    rules = []
    for group, rule in _groups(clips, strict=strict):
        splitting = split_clips(group, rule)
        placed |= {clip.path: str(clip.split) for clip in splitting.clips}
        rules.append(rule)
    divided = [replace(line, split=placed[clip.path]) for line, clip in zip(lines, clips, strict=True)]
    told = ", ".join(dict.fromkeys(rules)) or Rule.GIVEN
    return Division(divided, told, holds_for([_clip(line) for line in divided]))


def _groups(clips: Sequence[Clip], *, strict: bool) -> list[tuple[list[Clip], Rule]]:
    parts = defaultdict(set)
    for clip in clips:
        if clip.speaker and clip.split:
            parts[clip.speaker].add(clip.split)
    mixed = {speaker for speaker, where in parts.items() if len(where) > 1}
    named = [clip for clip in clips if clip.speaker and clip.speaker not in mixed]
    others = [clip for clip in clips if not clip.speaker or clip.speaker in mixed]
    filled = {clip.split for clip in others if clip.split}
    whole = Rule.SPEAKER if strict or _fills(named, Rule.SPEAKER, filled) else _by_content(named)
    groups = [(named, whole), (others, _by_content(others))]
    return [(group, rule) for group, rule in groups if group]


def _by_content(clips: Sequence[Clip]) -> Rule:
    """By sentence; where there are too few of them for that, each recording by itself."""
    return Rule.SENTENCE if _fills(clips, Rule.SENTENCE) else Rule.TAKE


def _fills(clips: Sequence[Clip], rule: Rule, filled: Set[str | None] = frozenset()) -> bool:
    return {clip.split for clip in split_clips(clips, rule).clips} | filled >= {part for part, _ in SHARES}


def _clip(line: Line) -> Clip:
    """As splits know it. The speaker stands for the person in memory only."""
    return Clip(
        Path(line.clip_id), line.text, SOURCE, line.person_id, duration_s=line.duration_s, split=line.split or None
    )
