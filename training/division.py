"""Train, dev and test out of one pile of clips, the same ones again when a run is resumed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from stt_server.corpus.splits import Rule, split_clips

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from stt_server.corpus.clip import Clip

    Weighed = tuple[Clip, float]

SPLITS = ("train", "dev", "test")


@dataclass(frozen=True, slots=True)
class Division:
    """The clips of each part with their weights, and a sentence that says how they were divided."""

    parts: Mapping[str, Sequence[Weighed]]
    told: str


def divide(pile: Sequence[Weighed], known: Mapping[Path, str] | None = None) -> Division:
    """70/20/10 of the pile by `stt_server.corpus.splits`; clips in `known` stay in the part they were put in before.

    Splits of the corpus itself are kept, unless all of it is called by the same: a lone `train.csv` is a whole.
    """
    known = known or {}
    alike = len({clip.split for clip, _ in pile}) == 1
    own = {clip.path: clip.split for clip, _ in pile if clip.split in SPLITS and not alike} | dict(known)
    clips = [replace(clip, split=own.get(clip.path)) for clip, _ in pile]
    splitting = split_clips(clips)
    weights = {clip.path: weight for clip, weight in pile}
    parts: dict[str, list[Weighed]] = {split: [] for split in SPLITS}
    for clip in splitting.clips:
        parts[str(clip.split)].append((clip, weights[clip.path]))
    counts = ", ".join(f"{split} {len(parts[split])}" for split in SPLITS)
    by = "as the lists have it" if splitting.rule is Rule.GIVEN else f"by {splitting.rule}"
    left_out = f", {len(splitting.left_out)} left out" if splitting.left_out else ""
    return Division(parts, f"split {by}: {counts}{left_out}")
