"""What a snapshot holds, counted when it is made; and in what it differs from another."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from stt_server.corpus.splits import SHARES
from stt_server.speech.text import normalize

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from stt_server.datasets.dividing import Division
    from stt_server.store.snapshots import Line, Mark


def statistics(division: Division) -> dict[str, Any]:
    """Numbers and the names of origins, verdicts, languages and licences: nothing of a single clip."""
    lines = division.lines
    return {
        **_amount(lines),
        "sentences": len({normalize(line.text, drop_unspellable=True) for line in lines if line.text}),
        "parts": {part: _amount([line for line in lines if line.split == part]) for part, _ in SHARES},
        "speakers_in_several_parts": _divided(lines),
        "split_by": division.rule,
        "holds_for": division.holds_for,
        **{f"{name}s": _counted(getattr(line, name) or "" for line in lines) for name in ("origin", "verdict")},
        **{
            f"{name}s": _counted(getattr(line, name) or "unknown" for line in lines) for name in ("language", "licence")
        },
    }


def difference(before: Mapping[str, Mark], after: Mapping[str, Mark]) -> dict[str, Any]:
    """Clips of two snapshots: which came, went by choice, have another text, were withdrawn; how many moved."""
    alive = {clip for clip, mark in after.items() if not mark.withdrawn}
    were = {clip for clip, mark in before.items() if not mark.withdrawn}
    gone = {clip for marks in (before, after) for clip, mark in marks.items() if mark.withdrawn}
    kept = alive & were
    lists = {
        "added": sorted(alive - set(before)),
        "removed": sorted(were - set(after)),
        "changed": sorted(clip for clip in kept if before[clip].text != after[clip].text),
        "withdrawn": sorted(gone),
    }
    moved = sum(before[clip].split != after[clip].split for clip in kept)
    return {"counts": {name: len(clips) for name, clips in lists.items()} | {"moved": moved}, **lists}


def _amount(lines: Sequence[Line]) -> dict[str, Any]:
    return {
        "clips": len(lines),
        "hours": round(sum(line.duration_s for line in lines) / 3600, 4),
        "speakers": len({line.person_id for line in lines if line.person_id}),
    }


def _divided(lines: Sequence[Line]) -> int:
    """How many speakers are in more than one part."""
    pairs = {(line.person_id, line.split) for line in lines if line.person_id}
    return sum(count > 1 for count in Counter(person for person, _ in pairs).values())


def _counted(values: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(values).items()))
