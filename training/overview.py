"""Tables of what a run is about to learn from: sources with hours, clips and speakers; findings a line a kind."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from stt_server.corpus.findings import summarise

if TYPE_CHECKING:
    from collections.abc import Iterable

    from stt_server.corpus.clip import Clip
    from stt_server.corpus.findings import Finding

    Rows = list[tuple[str, ...]]

SOURCES = ("part", "source", "hours", "clips", "speakers")
FINDINGS = ("", "finding", "clips", "the first of them")


def source_rows(clips: Iterable[Clip]) -> Rows:
    """`SOURCES` of each part and source, and of each part in all where it has several."""
    parts: dict[str, dict[str, list[Clip]]] = defaultdict(lambda: defaultdict(list))
    for clip in clips:
        parts[clip.split or ""][clip.source].append(clip)
    rows: Rows = []
    for part, sources in parts.items():
        rows += [("" if row else part, *_figures(*source)) for row, source in enumerate(sources.items())]
        if len(sources) > 1:
            rows.append(("", *_figures("in all", [clip for mine in sources.values() for clip in mine])))
    return rows


def finding_rows(findings: Iterable[Finding]) -> Rows:
    """`FINDINGS` of each kind, errors first, with the first clip it was found in."""
    return [
        (line.severity, line.kind, str(line.clips), f"{line.example.clip.path}: {line.example.sentence}")
        for line in summarise(findings)
    ]


def _figures(source: str, clips: list[Clip]) -> tuple[str, str, str, str]:
    hours = sum(clip.duration_s or 0.0 for clip in clips) / 3600
    speakers = {(clip.source, clip.speaker) for clip in clips if clip.speaker}
    return source, f"{hours:.3f}" if hours < 1 else f"{hours:.1f}", str(len(clips)), str(len(speakers) or "not named")
