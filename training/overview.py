"""Tables of what a run is about to learn from: sources with hours, clips and speakers; findings a line a kind."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from rich.table import Column, Table
from rich.text import Text

from stt_server.corpus.findings import summarise

if TYPE_CHECKING:
    from collections.abc import Iterable

    from stt_server.corpus.clip import Clip
    from stt_server.corpus.findings import Finding


def sources_table(clips: Iterable[Clip]) -> Table:
    """Hours, clips and speakers for each part and source, and for each part in all where it has several."""
    parts: dict[str, dict[str, list[Clip]]] = defaultdict(lambda: defaultdict(list))
    for clip in clips:
        parts[clip.split or ""][clip.source].append(clip)
    right = {"justify": "right"}
    table = Table(
        "part", Column("source", overflow="fold"), *(Column(name, **right) for name in ("hours", "clips", "speakers"))
    )
    for part, sources in parts.items():
        for row, (source, mine) in enumerate(sources.items()):
            table.add_row("" if row else part, source, *_figures(mine))
        if len(sources) > 1:
            table.add_row("", "in all", *_figures([clip for mine in sources.values() for clip in mine]), style="bold")
    return table


def findings_table(findings: Iterable[Finding]) -> Table:
    """A line a kind of finding, errors first, each with the first clip it was found in."""
    first = Column("the first of them", overflow="fold")  # paths are to be copied whole
    table = Table("", Column("finding", no_wrap=True), Column("clips", justify="right"), first)
    for line in summarise(findings):
        example = f"{line.example.clip.path}: {line.example.sentence}"
        table.add_row(line.severity.value, line.kind.value, str(line.clips), Text(example))
    return table


def _figures(clips: list[Clip]) -> tuple[str, str, str]:
    hours = sum(clip.duration_s or 0.0 for clip in clips) / 3600
    speakers = {(clip.source, clip.speaker) for clip in clips if clip.speaker}
    return f"{hours:.3f}" if hours < 1 else f"{hours:.1f}", str(len(clips)), str(len(speakers) or "not named")
